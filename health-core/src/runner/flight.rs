use std::sync::Arc;

use super::Runner;
use super::cell::Held;
use super::verdict::Verdict;
use crate::Findings;
use crate::check::HealthCheck as _;
use crate::sync::{Mutex, Notify, lock};

/// A run that is under way, and what its waiters wait on.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    pub(crate) findings: Findings,
    landing: Mutex<Landing>,
    arrival: Notify,
}

/// What has become of a run.
#[derive(Debug, Clone, Default)]
enum Landing {
    #[default]
    Awaited,
    /// It was given up: the runtime that it ran on has ended.
    Lost,
    Settled(Held),
}

impl Flight {
    /// Waits for its end. `None` when it was given up.
    pub(crate) async fn landed(&self) -> Option<Held> {
        loop {
            let arrival = self.arrival.notified(); // before the look, so that no arrival is missed
            match self.landing() {
                Landing::Settled(held) => return Some(held),
                Landing::Lost => return None,
                Landing::Awaited => arrival.await,
            }
        }
    }

    /// What it has brought, if it has landed.
    pub(crate) fn held(&self) -> Option<Held> {
        match self.landing() {
            Landing::Settled(held) => Some(held),
            Landing::Lost | Landing::Awaited => None,
        }
    }

    fn landing(&self) -> Landing {
        lock(&self.landing).clone()
    }

    fn land(&self, landing: Landing) {
        *lock(&self.landing) = landing;
        self.arrival.notify_waiters();
    }
}

/// Whoever holds it has to land the flight; dropping it does.
///
/// Single-flight stays alive by `Drop` and not by a flag: a runtime may end in the middle of a run, or be gone before
/// the run starts.
pub(crate) struct Pilot {
    runner: Arc<Runner>,
    cell: usize,
    flight: Arc<Flight>,
}

impl Pilot {
    pub(crate) fn new(runner: &Arc<Runner>, cell: usize, flight: &Arc<Flight>) -> Self {
        Self { runner: Arc::clone(runner), cell, flight: Arc::clone(flight) }
    }

    pub(crate) fn flies_at_home(&self) -> bool {
        self.runner.cells[self.cell].check.runs_at_home()
    }

    /// Runs the check and stores its verdict in the cell.
    pub(crate) async fn fly(self) {
        let cell = &self.runner.cells[self.cell];
        let _place = if cell.in_live { None } else { self.runner.places.acquire().await.ok() };
        let verdict = super::verdict::run(&cell.check, cell.timeout, &self.flight.findings, &*self.runner.clock).await;
        self.land(verdict);
    }

    fn land(&self, verdict: Verdict) {
        let cell = &self.runner.cells[self.cell];
        let (held, entries) = cell.settle(verdict);
        self.runner.changed();
        self.runner.tell(&cell.identifier, &entries);
        self.flight.land(Landing::Settled(held));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let is_awaited = matches!(*lock(&self.flight.landing), Landing::Awaited);
        if is_awaited {
            self.runner.cells[self.cell].abandon(&self.flight);
            self.runner.lost_home(!std::thread::panicking());
            self.flight.land(Landing::Lost);
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
    use crate::runner::cell::Answer;
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

    /// Readers ask at once; whoever starts a run flies it, or loses it, on a thread of its own. Returns how many
    /// verdicts each reader got, and how many runs there were.
    fn readers(runner: &Arc<Runner>, number: usize, lose: bool) -> (Vec<Option<Held>>, usize) {
        let (running, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let read = move |runner: Arc<Runner>, running: Arc<AtomicUsize>, runs: Arc<AtomicUsize>| {
            let flight = match runner.cells[0].ask(Instant::now()) {
                Answer::Held(held) => return Some(held),
                Answer::Joined(flight) => flight,
                Answer::Started(flight) => {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two runs of a check at a time");
                    runs.fetch_add(1, Ordering::SeqCst);
                    let pilot = Pilot::new(&runner, 0, &flight);
                    thread::spawn(move || {
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst); // before it lands: then the next one may start
                        if lose { drop(pilot) } else { pilot.land(Verdict::of(Status::Working)) }
                    });
                    flight
                }
            };
            block_on(flight.landed())
        };
        let start = |_| {
            let (runner, running, runs) = (Arc::clone(runner), Arc::clone(&running), Arc::clone(&runs));
            thread::spawn(move || read(runner, running, runs))
        };
        let threads: Vec<_> = (0..number).map(start).collect();
        let held = threads.into_iter().map(|thread| thread.join().expect("no reader panics")).collect();
        (held, runs.load(Ordering::SeqCst))
    }

    #[test]
    fn every_reader_gets_a_verdict_and_no_two_runs_overlap() {
        let test = || {
            let (held, runs) = readers(&runner(), 4, false);
            assert!(held.iter().all(Option::is_some));
            assert!((1..=4).contains(&runs));
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }

    #[test]
    fn a_lost_run_leaves_no_reader_behind_and_the_cell_free() {
        let test = || {
            let runner = runner();
            let (held, _) = readers(&runner, 3, true);
            assert!(held.iter().all(Option::is_none), "it was given up, and every reader was told");
            let (held, runs) = readers(&runner, 1, false);
            assert_eq!((held.len(), held[0].is_some(), runs), (1, true, 1), "the next one runs");
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }
}
