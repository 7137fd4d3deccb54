use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;

use super::Runner;
use crate::check::HealthCheck as _;
use crate::engine::home::Job;
use crate::sync::{Mutex, Notify, lock};
use crate::{Findings, Shown};

/// One run of a check. All callers that wait for its verdict share it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) findings: Findings,
    /// The time at which a caller asked for it, by the clock of the caller: the runtime of the runs
    /// may be blocked, so that the run never begins.
    pub(crate) asked: Instant,
    /// `true` if the machine was suspended since the run was asked for.
    is_old: AtomicBool,
    outcome: Mutex<Outcome>,
    notify: Notify,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Outcome {
    #[default]
    Running,
    /// The service has shut down before the end of the run.
    Aborted,
    /// The verdict of the run is in the cell.
    Finished,
}

impl Run {
    pub(crate) fn new(asked: Instant) -> Self {
        Self {
            findings: Findings::default(),
            asked,
            is_old: AtomicBool::new(false),
            outcome: Mutex::default(),
            notify: Notify::default(),
        }
    }

    /// Waits for the end of the run. Returns `false` if the run was aborted.
    pub(crate) async fn finished(&self) -> bool {
        loop {
            let notified = self.notify.notified(); // before the state is read, so that no notification is missed
            match self.outcome() {
                Outcome::Finished => return true,
                Outcome::Aborted => return false,
                Outcome::Running => notified.await,
            }
        }
    }

    /// Returns `true` if the run has ended, with or without a verdict.
    pub(crate) fn has_ended(&self) -> bool {
        self.outcome() != Outcome::Running
    }

    /// Marks the verdict of the run as older than it seems.
    pub(crate) fn mark_old(&self) {
        self.is_old.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_old(&self) -> bool {
        self.is_old.load(Ordering::Relaxed)
    }

    fn outcome(&self) -> Outcome {
        *lock(&self.outcome)
    }

    fn finish(&self, outcome: Outcome) {
        *lock(&self.outcome) = outcome;
        self.notify.notify_waiters();
    }
}

/// A run on its way to its verdict.
#[derive(Clone)]
pub(crate) struct RunJob {
    runner: Arc<Runner>,
    cell: usize,
    run: Arc<Run>,
}

impl RunJob {
    pub(crate) fn new(runner: &Arc<Runner>, cell: usize, run: Arc<Run>) -> Self {
        Self {
            runner: Arc::clone(runner),
            cell,
            run,
        }
    }

    pub(super) fn is_apart(&self) -> bool {
        self.runner.cells[self.cell].check.runs_apart()
    }

    async fn run_check(&self) {
        let cell = &self.runner.cells[self.cell];
        let _permit = if cell.in_live {
            None
        } else {
            self.runner.permits.acquire().await.ok()
        };
        let shown = super::verdict::of_cell(&self.runner, self.cell, &self.run).await;
        self.finish(shown);
    }

    fn finish(&self, shown: Shown) {
        let cell = &self.runner.cells[self.cell];
        let event = cell.settle(&self.run, shown);
        self.runner.publish(self.cell, &event);
        self.run.finish(Outcome::Finished);
    }
}

impl Job for RunJob {
    fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    fn place(&self) -> Option<Handle> {
        if self.is_apart() {
            self.runner.home.own()
        } else {
            self.runner.home.runtime()
        }
    }

    /// Runs the check and stores its verdict in the cell. Stops early when the service shuts down.
    async fn work(&self) {
        tokio::select! {
            biased; // a run that ends at once does not register for the shutdown
            () = self.run_check() => {}
            () = self.runner.shutdown.requested() => self.give_up(),
        }
    }

    fn give_up(&self) {
        self.runner.cells[self.cell].abandon(&self.run);
        self.run.finish(Outcome::Aborted);
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
    use crate::engine::home::Home;
    use crate::interceptor::Interceptors;
    use crate::runner::cell::JoinedRun;
    use crate::runner::{Awaited, Listeners, Waited, build_plans};
    use crate::{CheckExt as _, Registry, Settings, Status, Verdict, check_fn};

    /// The number of schedules that each test tries.
    const SCHEDULES: usize = 2_000;

    fn shown(status: Status) -> Shown {
        Shown::own(Arc::new(Verdict::of(status)))
    }

    fn runner() -> Arc<Runner> {
        runner_of(Duration::ZERO)
    }

    /// Returns a runner with one check, whose verdicts are fresh for `ttl`.
    fn runner_of(ttl: Duration) -> Arc<Runner> {
        let mut registry = Registry::default();
        registry.register(check_fn("queue", || async { Ok(()) }).ttl(ttl));
        let settings = Settings::default();
        let (cells, plans) = build_plans(registry, &[].into(), &settings, &mut Vec::new());
        Arc::new(Runner::new(
            cells,
            plans,
            &settings,
            Home::default(),
            Arc::new(SystemClock),
            Listeners(Vec::new()),
            Interceptors::default(),
        ))
    }

    /// Starts several readers at the same time. A reader that starts a run executes it, or drops
    /// it, on a thread of its own. Returns for each reader `true` if it got a verdict, and the
    /// number of runs.
    fn readers(runner: &Arc<Runner>, number: usize, abort: bool) -> (Vec<bool>, usize) {
        let running = Arc::new(AtomicUsize::new(0));
        let runs = Arc::new(AtomicUsize::new(0));
        let read = move |runner: Arc<Runner>, running: Arc<AtomicUsize>, runs: Arc<AtomicUsize>| {
            let Some(JoinedRun { run, is_new }) = runner.cells[0].run_needed(Instant::now()) else {
                return true;
            };
            if is_new {
                assert_eq!(
                    running.fetch_add(1, Ordering::SeqCst),
                    0,
                    "two runs of a check at a time"
                );
                runs.fetch_add(1, Ordering::SeqCst);
                let job = RunJob::new(&runner, 0, Arc::clone(&run));
                thread::spawn(move || {
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst); // before it finishes, as the next run may start then
                    if abort {
                        job.give_up();
                    } else {
                        job.finish(shown(Status::Working));
                    }
                });
            }
            block_on(run.finished())
        };
        let start = |_| {
            let runner = Arc::clone(runner);
            let running = Arc::clone(&running);
            let runs = Arc::clone(&runs);
            thread::spawn(move || read(runner, running, runs))
        };
        let threads: Vec<_> = (0..number).map(start).collect();
        let got = threads
            .into_iter()
            .map(|thread| thread.join().expect("no reader panics"))
            .collect();
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
    fn an_aborted_run_notifies_every_reader_and_frees_the_cell() {
        let test = || {
            let runner = runner();
            let (got, _) = readers(&runner, 3, true);
            assert_eq!(
                got, [false; 3],
                "it was aborted, and every reader was notified"
            );
            assert_eq!(
                readers(&runner, 1, false),
                (vec![true], 1),
                "the next one runs"
            );
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }

    /// A report is built while a run finishes. If the report is still fresh afterwards, it contains
    /// the verdict of that run.
    #[test]
    fn a_report_that_is_still_good_has_the_last_verdict() {
        let test = || {
            let runner = runner_of(Duration::from_secs(3600));
            let finishing = {
                let runner = Arc::clone(&runner);
                let JoinedRun { run, .. } = runner.cells[0].join_or_start(Instant::now());
                thread::spawn(move || {
                    RunJob::new(&runner, 0, run).finish(shown(Status::Unavailable));
                })
            };
            let reading = {
                let runner = Arc::clone(&runner);
                thread::spawn(move || {
                    let waited = Waited {
                        began: Instant::now(),
                        awaited: Awaited(vec![(0, None)]),
                    };
                    runner.reading(&runner.plans()[0], &waited, Duration::from_secs(1), true)
                })
            };
            finishing.join().expect("it finishes");
            let reading = reading.join().expect("it reads");
            if reading
                .freshness
                .is_some_and(|freshness| runner.is_fresh(&freshness))
            {
                assert_eq!(reading.report.checks[0].status, Status::Unavailable);
            }
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }
}
