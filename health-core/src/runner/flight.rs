use std::sync::Arc;

use futures::FutureExt as _;

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

/// Whoever holds it has to land its flight; dropping it does.
///
/// Single-flight stays alive by `Drop` and not by a flag: a runtime may end in the middle of a run, or be gone before
/// the run starts.
pub(crate) struct Pilot {
    runner: Arc<Runner>,
    cell: usize,
    flight: Arc<Flight>,
    /// `true` if the run is on the home runtime, whose end its loss would mean.
    at_home: bool,
}

impl Pilot {
    pub(crate) fn new(runner: &Arc<Runner>, cell: usize, flight: Arc<Flight>) -> Self {
        Self { runner: Arc::clone(runner), cell, flight, at_home: false }
    }

    pub(super) fn at_home(self, at_home: bool) -> Self {
        let mut pilot = self;
        pilot.at_home = at_home;
        pilot
    }

    pub(super) fn cell(&self) -> usize {
        self.cell
    }

    /// Runs the check and stores its verdict in the cell, unless the runner is shut down meanwhile.
    pub(crate) async fn fly(self) {
        tokio::select! {
            biased; // a run that ends at once registers nowhere
            () = self.run() => {}
            () = self.runner.shutdown.requested() => {}
        }
    }

    async fn run(&self) {
        let Cell { check, limits, in_live, .. } = &self.runner.cells[self.cell];
        let _place = if *in_live { None } else { self.runner.places.acquire().await.ok() };
        let sleeps = self.runner.awake.sleeps();
        let verdict = super::verdict::run(check, *limits, &self.flight.findings, &*self.runner.clock).await;
        self.land(Verdict { sleeps, ..verdict });
    }

    fn land(&self, verdict: Verdict) {
        let cell = &self.runner.cells[self.cell];
        let entries = cell.settle(verdict);
        self.runner.changed();
        self.runner.tell(&cell.identifier, &entries);
        self.flight.land(Landing::Settled);
    }
}

/// Several runs that are begun by one task: those that end at once do, and each of the others goes on in a task of its own, so
/// that none can hold up another. Within their runtime.
pub(crate) fn begin(pilots: Vec<Pilot>) {
    for pilot in pilots {
        let mut run = Box::pin(pilot.fly());
        if run.as_mut().now_or_never().is_none() {
            tokio::spawn(run);
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        if self.flight.landing() == Landing::Awaited {
            self.runner.cells[self.cell].abandon(&self.flight);
            let is_lost = self.at_home && !std::thread::panicking() && !self.runner.shutdown.is_requested();
            self.runner.lost_home(is_lost);
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
    use crate::runner::cell::Boarded;
    use crate::runner::{Answers, Listeners, Waited};
    use crate::{CheckExt as _, Registry, Settings, Status, check_fn};

    /// How many schedules each situation is tried in.
    const SCHEDULES: usize = 2_000;

    fn runner() -> Arc<Runner> {
        runner_of(Duration::ZERO)
    }

    /// Of a check whose verdicts are good for this long.
    fn runner_of(ttl: Duration) -> Arc<Runner> {
        let mut registry = Registry::default();
        registry.register(check_fn("queue", || async { Ok(()) }).ttl(ttl));
        let settings = Settings::default();
        let runner = Runner::new(registry, &[].into(), &settings, None, Arc::new(SystemClock), Listeners(Vec::new()));
        Arc::new(runner.expect("it can be built"))
    }

    /// Readers ask at once; whoever starts a run flies it, or loses it, on a thread of its own. Returns which readers got
    /// a verdict, and how many runs there were.
    fn readers(runner: &Arc<Runner>, number: usize, lose: bool) -> (Vec<bool>, usize) {
        let (running, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let read = move |runner: Arc<Runner>, running: Arc<AtomicUsize>, runs: Arc<AtomicUsize>| {
            let Some(Boarded { flight, is_new }) = runner.cells[0].ask(Instant::now(), 0) else { return true };
            if is_new {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two runs of a check at a time");
                runs.fetch_add(1, Ordering::SeqCst);
                let pilot = Pilot::new(&runner, 0, Arc::clone(&flight));
                thread::spawn(move || {
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst); // before it lands: then the next one may start
                    if lose { drop(pilot) } else { pilot.land(Verdict::of(Status::Working)) }
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

    /// A report is put together while a run lands: whoever reads it again later sees what the run has found.
    #[test]
    fn a_report_that_is_still_good_has_the_last_verdict() {
        let test = || {
            let runner = runner_of(Duration::from_hours(1));
            let landing = {
                let runner = Arc::clone(&runner);
                let Boarded { flight, .. } = runner.cells[0].board();
                thread::spawn(move || Pilot::new(&runner, 0, flight).land(Verdict::of(Status::Unavailable)))
            };
            let reading = {
                let runner = Arc::clone(&runner);
                thread::spawn(move || {
                    let waited = Waited { began: Instant::now(), answers: Answers(vec![(0, None)]) };
                    runner.reading(&runner.plans()[0], &waited, Duration::from_secs(1))
                })
            };
            landing.join().expect("it lands");
            let reading = reading.join().expect("it reads");
            if reading.good.is_some_and(|good| runner.is_good(&good)) {
                assert_eq!(reading.report.checks[0].status, Status::Unavailable);
            }
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }

    /// A run is lost, and whoever has waited for it launches the next one: one, however many have waited.
    #[test]
    fn a_run_that_was_lost_is_launched_anew_by_one_of_its_readers() {
        let test = || {
            let (runner, runs) = (runner(), Arc::new(AtomicUsize::new(0)));
            let launch = |runner: &Arc<Runner>, runs: &Arc<AtomicUsize>, boarded: Boarded| {
                if boarded.is_new {
                    let is_first = runs.fetch_add(1, Ordering::SeqCst) == 0;
                    let pilot = Pilot::new(runner, 0, Arc::clone(&boarded.flight));
                    thread::spawn(
                        move || if is_first { drop(pilot) } else { pilot.land(Verdict::of(Status::Working)) },
                    );
                }
                boarded.flight
            };
            let read = |_| {
                let (runner, runs) = (Arc::clone(&runner), Arc::clone(&runs));
                thread::spawn(move || {
                    let first = launch(&runner, &runs, runner.cells[0].board());
                    let mut answers = Answers(vec![(0, Some(first))]);
                    block_on(answers.land(|cell| launch(&runner, &runs, runner.cells[cell].board())));
                    answers.0[0].1.is_none()
                })
            };
            let readers: Vec<_> = (0..3).map(read).collect();
            assert!(readers.into_iter().all(|reader| reader.join().expect("no reader panics")), "all have landed");
            assert!((2..=6).contains(&runs.load(Ordering::SeqCst)));
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }
}
