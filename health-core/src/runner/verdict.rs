use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use futures::FutureExt as _;

use super::{Cell, Run};
use crate::conceal::Concealer;
use crate::findings::Sealed;
use crate::interceptor::{FinishedRun, Interceptors, RunInfo};
use crate::report::ErrorReport;
use crate::{
    Clock, FailureKind, HealthCheckException, Observation, Secret, ServiceUnavailable, Status,
    UnknownError,
};

/// The result of one run of a check.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) status: Status,
    pub(crate) errors: Vec<ErrorReport>,
    /// The causes of the errors by their references, for the log.
    pub(crate) causes: Vec<(String, String)>,
    pub(crate) observations: Vec<Observation>,
    pub(crate) duration: Duration,
    pub(crate) started: Instant,
    pub(crate) finished: Instant,
    pub(crate) finished_at: SystemTime,
    /// The number of suspends of the machine before the run began.
    pub(crate) sleeps: u64,
}

#[cfg(test)]
impl Verdict {
    /// Creates a verdict with this status and nothing else, for unit tests.
    pub(crate) fn of(status: Status) -> Self {
        Self {
            status,
            errors: Vec::new(),
            causes: Vec::new(),
            observations: Vec::new(),
            duration: Duration::ZERO,
            started: Instant::now(),
            finished: Instant::now(),
            finished_at: SystemTime::now(),
            sleeps: 0,
        }
    }
}

/// The limits of a check's runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The longest that a run may take.
    pub(crate) timeout: Duration,
    /// The longest that the check may keep a connection of its own.
    pub(crate) reconnect: Duration,
}

/// Runs a check once. Returns a verdict within the timeout whatever the check does, unless it never
/// yields.
pub(super) async fn run(
    cell: &Cell,
    run: &Run,
    interceptors: &Interceptors,
    clock: &dyn Clock,
) -> Verdict {
    let Limits { timeout, reconnect } = cell.limits;
    let info = RunInfo {
        check: &cell.identifier,
        scope: cell.scope,
        critical: cell.critical,
    };
    let findings = &run.findings;
    let started = clock.now();
    // A timeout drops the future of the check inside of this block, so that a panic in its `Drop`
    // is caught, too.
    let bounded = async {
        let deadline = tokio::time::Instant::now().checked_add(timeout);
        findings.begin(deadline, reconnect);
        let mut status = interceptors.around(info, cell.check.run(findings));
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
    } = findings.seal();
    errors.extend(error);
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
        started,
        finished,
        finished_at: clock.time(),
        sleeps: 0,
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
    verdict
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
