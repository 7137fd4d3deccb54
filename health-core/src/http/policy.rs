//! The status codes and headers of an endpoint.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::{Report, Settings, Status};

/// The parts of an endpoint's configuration that decide what an answer looks like. Endpoints with
/// equal policies share their answers.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(super) unhealthy: StatusCode,
    pub(super) degraded: StatusCode,
    pub(super) function: Option<StatusFunction>,
    /// Headers that replace or complement those of every answer.
    pub(super) headers: HeaderMap,
}

pub(super) type StatusFunction = Arc<dyn Fn(&Report) -> StatusCode + Send + Sync>;

impl Policy {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            unhealthy: StatusCode::from_u16(settings.unhealthy_status)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            degraded: StatusCode::from_u16(settings.degraded_status).unwrap_or(StatusCode::OK),
            function: None,
            headers: HeaderMap::new(),
        }
    }

    /// Returns the status code of a report.
    pub(super) fn status(&self, report: &Report) -> StatusCode {
        let by_verdict = match report.healthy {
            false => self.unhealthy,
            true if is_degraded(report) => self.degraded,
            true => StatusCode::OK,
        };
        let Some(function) = &self.function else {
            return by_verdict;
        };
        match catch_unwind(AssertUnwindSafe(|| function(report))) {
            Ok(StatusCode::TOO_MANY_REQUESTS) => {
                tracing::error!(
                    "the status function of an endpoint returned 429, which no health check may answer"
                );
                by_verdict
            }
            Ok(status) => status,
            Err(_) => {
                tracing::error!("the status function of an endpoint panicked");
                by_verdict
            }
        }
    }
}

/// Returns `true` if some row of a healthy report does not work.
fn is_degraded(report: &Report) -> bool {
    report
        .checks
        .iter()
        .any(|row| row.status != Status::Working)
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        let same_function = match (&self.function, &other.function) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_function
            && (self.unhealthy, self.degraded) == (other.unhealthy, other.degraded)
            && self.headers == other.headers
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("unhealthy", &self.unhealthy)
            .field("degraded", &self.degraded)
            .field("has_function", &self.function.is_some())
            .finish_non_exhaustive()
    }
}
