use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::{Cell, Run, Runner};
use crate::check::HealthCheck;
use crate::clock::SystemClock;
use crate::conceal::Concealer;
use crate::findings::Sealed;
use crate::interceptor::{FinishedRun, Interceptors, RunFuture, RunInfo};
use crate::report::ErrorReport;
use crate::{
    Clock, FailureKind, Findings, HealthCheckException, Secret, ServiceUnavailable, Shown, Status,
    UnknownError, Verdict,
};

/// The limits of a check's runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The timeout of a run.
    pub(crate) timeout: Duration,
    /// The time that the check takes beside the run, such as for a look at what others have seen.
    pub(crate) overhead: Duration,
    /// The longest that the check may keep a connection of its own.
    pub(crate) reconnect: Duration,
}

impl Limits {
    /// Returns the longest that a run may take, overhead included.
    pub(crate) fn longest(&self) -> Duration {
        self.timeout.saturating_add(self.overhead)
    }
}

tokio::task_local! {
    /// The runner, and the position of the check that runs.
    static AROUND: (Arc<Runner>, usize);
}

/// Runs the check of a cell once.
pub(super) async fn of_cell(runner: &Arc<Runner>, position: usize, run: &Run) -> Shown {
    let cell = &runner.cells[position];
    let runs = Runs {
        info: info(cell),
        timeout: cell.limits.longest(),
        reconnect: cell.limits.reconnect,
        interceptors: &runner.interceptors,
        clock: &*runner.clock,
    };
    let shown = runs.once(&run.findings, || cell.check.run(&run.findings));
    AROUND.scope((Arc::clone(runner), position), shown).await
}

/// Runs a check once, as the engine does: within the timeout, with panics caught and the errors in
/// words. It is for a check that wraps another one, and is called from its
/// [`check_status`](HealthCheck::check_status). Clock, interceptors and
/// [`reconnect`](Findings::reconnect) are those of the run around it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use health_core::{Findings, Health, HealthCheck, Result, Shown, check_fn, run};
///
/// /// Probes a standby only while the main server fails.
/// struct Either<A, B>(A, B);
///
/// impl<A: HealthCheck, B: HealthCheck> HealthCheck for Either<A, B> {
///     async fn check_status(&self, findings: &Findings) -> Result {
///         let half = findings.time_left() / 2;
///         let mut verdict = run(&self.0, half).await;
///         if !verdict.errors.is_empty() {
///             verdict = run(&self.1, half).await;
///         }
///         let next = verdict.finished + Duration::from_secs(1);
///         findings.show(Shown::new(verdict, next));
///         Ok(())
///     }
/// }
///
/// let main = check_fn("main", || async { panic!("no server") });
/// let standby = check_fn("standby", || async { Ok(()) });
/// let health = Health::builder().check(Either(main, standby)).build()?;
/// assert!(health.report().await.healthy);
/// # Ok::<(), health_core::BuildError>(())
/// # }).unwrap();
/// ```
pub async fn run(check: &impl HealthCheck, timeout: Duration) -> Verdict {
    let findings = Findings::default();
    let start = || -> RunFuture<'_> { Box::pin(check.check_status(&findings)) };
    let around = AROUND.try_with(Clone::clone).ok();
    let shown = if let Some((runner, position)) = &around {
        let cell = &runner.cells[*position];
        let runs = Runs {
            info: info(cell),
            timeout,
            reconnect: cell.limits.reconnect,
            interceptors: &runner.interceptors,
            clock: &*runner.clock,
        };
        runs.once(&findings, start).await
    } else {
        let name = check.identifier();
        let runs = Runs {
            info: RunInfo {
                check: &name,
                scope: check.scope(),
                critical: check.critical_service(),
            },
            timeout,
            reconnect: findings.reconnect(),
            interceptors: &Interceptors(Vec::new()),
            clock: &SystemClock,
        };
        runs.once(&findings, start).await
    };
    Arc::unwrap_or_clone(shown.verdict)
}

fn info(cell: &Cell) -> RunInfo<'_> {
    RunInfo {
        check: &cell.identifier,
        scope: cell.scope,
        critical: cell.critical,
    }
}

/// The surroundings of a run.
struct Runs<'a> {
    info: RunInfo<'a>,
    timeout: Duration,
    reconnect: Duration,
    interceptors: &'a Interceptors,
    clock: &'a dyn Clock,
}

impl<'a> Runs<'a> {
    /// Runs a check once. Returns a verdict within the timeout whatever the check does, unless it
    /// never yields.
    async fn once(&self, findings: &'a Findings, start: impl FnOnce() -> RunFuture<'a>) -> Shown {
        let Self {
            info,
            timeout,
            reconnect,
            interceptors,
            clock,
        } = *self;
        let started = clock.now();
        // A timeout drops the future of the check inside of this block, so that a panic in its `Drop`
        // is caught, too.
        let bounded = async {
            let deadline = tokio::time::Instant::now().checked_add(timeout);
            findings.begin(deadline, reconnect);
            let mut status = interceptors.around(info, start());
            let Some(deadline) = deadline else {
                return Ok(status.await);
            };
            // Nothing can end a call that blocks, and its result comes too late.
            match status.as_mut().now_or_never() {
                // Without a timer. The only poll has taken all of the time.
                Some(_) if tokio::time::Instant::now() >= deadline => return Err(Some(timeout)),
                Some(status) => return Ok(status),
                None => {}
            }
            let mut blocked = Duration::ZERO;
            let polled = poll_fn(|context| {
                let began = tokio::time::Instant::now();
                let outcome = status.as_mut().poll(context);
                blocked = blocked.max(began.elapsed());
                outcome
            });
            let outcome = tokio::time::timeout_at(deadline, polled).await;
            match outcome {
                _ if blocked >= timeout => Err(Some(blocked)),
                outcome => outcome.map_err(|_| None),
            }
        };
        let error = match AssertUnwindSafe(bounded).catch_unwind().await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error),
            Ok(Err(blocked)) => {
                let message = format!("timed out after {}", seconds(timeout));
                let error = ServiceUnavailable::new(message).with_kind(FailureKind::TimedOut);
                let error = match blocked {
                    Some(time) => {
                        let time = seconds(time);
                        error.with_source(format!(
                        "it blocked its thread for {time} or longer: blocking code belongs in check_blocking"
                    ))
                    }
                    None => error,
                };
                Some(error.into())
            }
            Err(payload) => Some(HealthCheckException::from(UnknownError::panicked(
                &*payload,
            ))),
        };
        let Sealed {
            mut errors,
            observations,
            secrets,
            shown,
        } = findings.seal();
        errors.extend(error);
        if let Some(shown) = shown.filter(|_| errors.is_empty()) {
            return Shown {
                at: clock.now(),
                ..shown
            };
        }
        // The `Display` of a foreign error may panic.
        let (errors, causes) = catch_unwind(AssertUnwindSafe(|| put_into_words(errors, &secrets)))
            .unwrap_or_else(|payload| {
                put_into_words(vec![UnknownError::panicked(&*payload).into()], &secrets)
            });
        let finished = clock.now();
        let verdict = Verdict {
            status: errors
                .iter()
                .map(|(status, _)| *status)
                .max()
                .unwrap_or(Status::Working),
            errors: errors.into_iter().map(|(_, error)| error).collect(),
            causes,
            observations,
            duration: finished.saturating_duration_since(started),
            finished,
            finished_at: clock.time(),
        };
        let Verdict {
            status,
            duration,
            ref errors,
            ..
        } = verdict;
        interceptors.finished(
            info,
            FinishedRun {
                status,
                duration,
                errors,
            },
        );
        Shown::own(Arc::new(verdict))
    }
}

type Words = (Vec<(Status, ErrorReport)>, Vec<(String, String)>);

/// Returns the errors as they are shown, and their causes by reference. Neither has a secret of the
/// check. References are those of the causes without the secrets, so that they stay the same when a
/// password changes.
fn put_into_words(errors: Vec<HealthCheckException>, secrets: &[Secret]) -> Words {
    let errors: Vec<_> = if secrets.is_empty() || errors.is_empty() {
        errors
    } else {
        let secrets = Concealer::of(secrets);
        let conceal = |error: HealthCheckException| error.concealed(&secrets);
        errors.into_iter().map(conceal).collect()
    };
    let shown = errors
        .iter()
        .map(|error| (error.status(), ErrorReport::from(error)))
        .collect();
    (
        shown,
        errors
            .iter()
            .filter_map(|error| error.reference().zip(error.cause()))
            .collect(),
    )
}

/// Formats a duration as `0.8 s` or `5 s`: to the millisecond, without trailing zeros.
pub(crate) fn seconds(duration: Duration) -> String {
    format!(
        "{} s",
        Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
            .as_secs_f64()
    )
}
