use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures::FutureExt as _;

use super::Runner;
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
    /// The run was dropped, because the runtime that it ran on has shut down.
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

    /// Returns `true` if the verdict of the run is in the cell.
    pub(crate) fn is_finished(&self) -> bool {
        self.outcome() == Outcome::Finished
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

/// Owns a run. A guard that is dropped before the run has finished marks the run as aborted.
///
/// `Drop` keeps the cell usable: a runtime may shut down in the middle of a run, or before the run
/// was polled at all.
pub(crate) struct RunGuard {
    runner: Arc<Runner>,
    cell: usize,
    run: Arc<Run>,
    /// `true` if the run is on the runtime of the `Health`: then an abort means that this runtime
    /// has shut down.
    on_own_runtime: bool,
}

impl RunGuard {
    pub(crate) fn new(runner: &Arc<Runner>, cell: usize, run: Arc<Run>) -> Self {
        Self {
            runner: Arc::clone(runner),
            cell,
            run,
            on_own_runtime: false,
        }
    }

    pub(super) fn on_own_runtime(self, on_own_runtime: bool) -> Self {
        let mut guard = self;
        guard.on_own_runtime = on_own_runtime;
        guard
    }

    pub(super) fn cell(&self) -> usize {
        self.cell
    }

    /// Runs the check and stores its verdict in the cell. Stops early when the runner shuts down.
    pub(crate) async fn execute(self) {
        tokio::select! {
            biased; // a run that ends at once does not register for the shutdown
            () = self.run_check() => {}
            () = self.runner.shutdown.requested() => {}
        }
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

/// Begins several runs within one task. A run that does not end at once continues in a new task, so
/// that it delays no other. Must be called within the runtime of the runs.
pub(crate) fn begin(guards: Vec<RunGuard>) {
    for guard in guards {
        let mut run = Box::pin(guard.execute());
        if run.as_mut().now_or_never().is_none() {
            tokio::spawn(run);
        }
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        if self.run.outcome() == Outcome::Running {
            self.runner.cells[self.cell].abandon(&self.run);
            let is_gone = self.on_own_runtime
                && !std::thread::panicking()
                && !self.runner.shutdown.is_requested();
            self.runner.runtime_is_gone(is_gone);
            self.run.finish(Outcome::Aborted);
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
            None,
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
                let guard = RunGuard::new(&runner, 0, Arc::clone(&run));
                thread::spawn(move || {
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst); // before it finishes, as the next run may start then
                    if abort {
                        drop(guard);
                    } else {
                        guard.finish(shown(Status::Working));
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
                    RunGuard::new(&runner, 0, run).finish(shown(Status::Unavailable));
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

    /// A run is aborted, and one of its readers launches the next one, however many of them there
    /// are.
    #[test]
    fn an_aborted_run_is_launched_again_by_one_of_its_readers() {
        let test = || {
            let runner = runner();
            let runs = Arc::new(AtomicUsize::new(0));
            let launch = |runner: &Arc<Runner>, runs: &Arc<AtomicUsize>, joined: JoinedRun| {
                if joined.is_new {
                    let is_first = runs.fetch_add(1, Ordering::SeqCst) == 0;
                    let guard = RunGuard::new(runner, 0, Arc::clone(&joined.run));
                    thread::spawn(move || {
                        if is_first {
                            drop(guard);
                        } else {
                            guard.finish(shown(Status::Working));
                        }
                    });
                }
                joined.run
            };
            let read = |_| {
                let runner = Arc::clone(&runner);
                let runs = Arc::clone(&runs);
                thread::spawn(move || {
                    let first = launch(
                        &runner,
                        &runs,
                        runner.cells[0].join_or_start(Instant::now()),
                    );
                    let mut awaited = Awaited(vec![(0, Some(first))]);
                    block_on(awaited.wait(|cell| {
                        launch(
                            &runner,
                            &runs,
                            runner.cells[cell].join_or_start(Instant::now()),
                        )
                    }));
                    awaited.0[0].1.is_none()
                })
            };
            let readers: Vec<_> = (0..3).map(read).collect();
            assert!(
                readers
                    .into_iter()
                    .all(|reader| reader.join().expect("no reader panics")),
                "all have finished"
            );
            assert!((2..=6).contains(&runs.load(Ordering::SeqCst)));
        };
        shuttle::check_random(test, SCHEDULES);
        shuttle::check_pct(test, SCHEDULES, 3);
    }
}
