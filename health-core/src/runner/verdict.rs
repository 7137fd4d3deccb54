use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::check::{BoxCheck, HealthCheck as _};
use crate::report::ErrorReport;
use crate::{Findings, HealthCheckException, Observation, ServiceUnavailable, Status, UnknownError};

/// What one run of a check found.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) status: Status,
    pub(crate) errors: Vec<ErrorReport>,
    /// The causes of the errors by their references, for the log.
    pub(crate) causes: Vec<(String, String)>,
    pub(crate) observations: Vec<Observation>,
    pub(crate) duration: Duration,
    pub(crate) finished: Instant,
    pub(crate) finished_at: SystemTime,
}

/// Runs a check once. Whatever it does, there is a verdict within its timeout, unless it never yields.
pub(crate) async fn run(check: &BoxCheck, timeout: Duration, findings: &Findings) -> Verdict {
    let started = Instant::now();
    if let Some(deadline) = started.checked_add(timeout) {
        findings.begin(deadline);
    }
    // The timeout's end drops the check's future inside of this block, so a panic in its `Drop` is caught, too.
    let bounded = async { tokio::time::timeout(timeout, check.check_status(findings)).await };
    let error = match AssertUnwindSafe(bounded).catch_unwind().await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error),
        Ok(Err(_)) => Some(ServiceUnavailable::new(format!("timed out after {}", seconds(timeout))).into()),
        Err(payload) => Some(HealthCheckException::from(UnknownError::panicked(&*payload))),
    };
    let (mut errors, observations) = findings.seal();
    errors.extend(error);
    Verdict {
        status: errors.iter().map(HealthCheckException::status).max().unwrap_or(Status::Working),
        causes: errors.iter().filter_map(|error| error.reference().zip(error.cause())).collect(),
        errors: errors.iter().map(ErrorReport::from).collect(),
        observations,
        duration: started.elapsed(),
        finished: Instant::now(),
        finished_at: SystemTime::now(),
    }
}

/// `0.8 s`, `5 s`: to the millisecond and no zeros behind.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64())
}
