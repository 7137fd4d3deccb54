use std::sync::Arc;

use futures::future::join_all;

use super::verdict::Verdict;
use super::{Cell, Runner};
use crate::Findings;
use crate::sync::{Mutex, Notify, lock};

/// A run that is under way, and what its waiters wait on.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    pub(crate) findings: Findings,
    landing: Mutex<Landing>,
    arrival: Notify,
}

/// What has become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Landing {
    #[default]
    Awaited,
    /// It was given up: the runtime that it ran on has ended.
    Lost,
    /// Its verdict is in the cell.
    Settled,
}

impl Flight {
    /// Waits for its end. `false` when it was given up.
    pub(crate) async fn landed(&self) -> bool {
        loop {
            let arrival = self.arrival.notified(); // before the look, so that no arrival is missed
            match self.landing() {
                Landing::Settled => return true,
                Landing::Lost => return false,
                Landing::Awaited => arrival.await,
            }
        }
    }

    /// Whether the cell has its verdict.
    pub(crate) fn is_settled(&self) -> bool {
        self.landing() == Landing::Settled
    }

    fn landing(&self) -> Landing {
        *lock(&self.landing)
    }

    fn land(&self, landing: Landing) {
        *lock(&self.landing) = landing;
        self.arrival.notify_waiters();
    }
}

/// Flights by their cells.
pub(crate) type Flights = Vec<(usize, Arc<Flight>)>;

/// Whoever holds it has to land its flights; dropping it does.
///
/// Single-flight stays alive by `Drop` and not by a flag: a runtime may end in the middle of a run, or be gone before
/// the run starts.
pub(crate) struct Pilot {
    runner: Arc<Runner>,
    flights: Flights,
}

impl Pilot {
    pub(crate) fn new(runner: &Arc<Runner>, flights: Flights) -> Self {
        Self { runner: Arc::clone(runner), flights }
    }

    /// Runs the checks and stores their verdicts in the cells, unless the runner is shut down meanwhile.
    pub(crate) async fn fly(self) {
        let runs = join_all(self.flights.iter().map(|(cell, flight)| self.run(*cell, flight)));
        tokio::select! {
            biased; // a run that ends at once registers nowhere
            _ = runs => {}
            () = self.runner.shutdown.requested() => {}
        }
    }

    async fn run(&self, cell: usize, flight: &Flight) {
        let Cell { check, limits, in_live, .. } = &self.runner.cells[cell];
        let _place = if *in_live { None } else { self.runner.places.acquire().await.ok() };
        let verdict = super::verdict::run(check, *limits, &flight.findings, &*self.runner.clock).await;
        self.land(cell, flight, verdict);
    }

    fn land(&self, cell: usize, flight: &Flight, verdict: Verdict) {
        let cell = &self.runner.cells[cell];
        let entries = cell.settle(verdict);
        self.runner.changed();
        self.runner.tell(&cell.identifier, &entries);
        flight.land(Landing::Settled);
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        for (cell, flight) in &self.flights {
            if flight.landing() == Landing::Awaited {
                self.runner.cells[*cell].abandon(flight);
                let is_lost = !std::thread::panicking() && !self.runner.shutdown.is_requested();
                self.runner.lost_home(is_lost);
                flight.land(Landing::Lost);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use shuttle::future::block_on;
    use shuttle::thread;

    use super::*;
    use crate::clock::SystemClock;
    use crate::runner::Listeners;
    use crate::runner::cell::Boarded;
    use crate::{CheckExt as _, Registry, Settings, Status, check_fn};

    /// How many schedules each situation is tried in.
    const SCHEDULES: usize = 2_000;

    fn runner() -> Arc<Runner> {
        let mut registry = Registry::default();
        registry.register(check_fn("queue", || async { Ok(()) }).ttl(Duration::ZERO));
        let settings = Settings::default();
        let runner = Runner::new(registry, &[].into(), &settings, None, Arc::new(SystemClock), Listeners(Vec::new()));
        Arc::new(runner.expect("it can be built"))
    }

    /// Readers ask at once; whoever starts a run flies it, or loses it, on a thread of its own. Returns which readers got
    /// a verdict, and how many runs there were.
    fn readers(runner: &Arc<Runner>, number: usize, lose: bool) -> (Vec<bool>, usize) {
        let (running, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let read = move |runner: Arc<Runner>, running: Arc<AtomicUsize>, runs: Arc<AtomicUsize>| {
            let Some(Boarded { flight, is_new }) = runner.cells[0].ask(Instant::now()) else { return true };
            if is_new {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two runs of a check at a time");
                runs.fetch_add(1, Ordering::SeqCst);
                let pilot = Pilot::new(&runner, vec![(0, Arc::clone(&flight))]);
                let flight = Arc::clone(&flight);
                thread::spawn(move || {
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst); // before it lands: then the next one may start
                    if lose { drop(pilot) } else { pilot.land(0, &flight, Verdict::of(Status::Working)) }
                });
            }
            block_on(flight.landed())
        };
        let start = |_| {
            let (runner, running, runs) = (Arc::clone(runner), Arc::clone(&running), Arc::clone(&runs));
            thread::spawn(move || read(runner, running, runs))
        };
        let threads: Vec<_> = (0..number).map(start).collect();
        let got = threads.into_iter().map(|thread| thread.join().expect("no reader panics")).collect();
        (got, runs.load(Ordering::SeqCst))
    }

    #[test]
    fn every_reader_gets_a_verdict_and_no_two_runs_overlap() {
        let test = || {
            let (got, runs) = readers(&runner(), 4, false);
            assert_eq!(got, [true; 4]);
            assert!((1..=4).contains(&runs));
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }

    #[test]
    fn a_lost_run_leaves_no_reader_behind_and_the_cell_free() {
        let test = || {
            let runner = runner();
            let (got, _) = readers(&runner, 3, true);
            assert_eq!(got, [false; 3], "it was given up, and every reader was told");
            assert_eq!(readers(&runner, 1, false), (vec![true], 1), "the next one runs");
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }
}
