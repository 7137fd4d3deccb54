//! The result of a run as a value, for checks that wrap others.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::named::named;
use crate::report::ErrorReport;
use crate::{Observation, Status};

/// The result of one run of a check, as [`run`](crate::run) returns it and [`Findings::show`]
/// takes it.
///
/// [`Findings::show`]: crate::Findings::show
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verdict {
    /// The worst status of the errors.
    pub status: Status,
    /// The errors, as they are shown; empty if the check works.
    pub errors: Vec<ErrorReport>,
    /// The measured values.
    pub observations: Vec<Observation>,
    /// The duration of the run.
    pub duration: Duration,
    /// The end of the run, by the clock of the `Health`.
    pub finished: Instant,
    /// The same time for people.
    pub finished_at: SystemTime,
    /// The causes of the errors by their references, for the log.
    pub(crate) causes: Vec<(String, String)>,
}

impl Verdict {
    /// Creates the verdict of a run that took no time, without errors and observations. Set those
    /// afterwards.
    pub fn new(status: Status, finished: Instant, finished_at: SystemTime) -> Self {
        Self {
            status,
            errors: Vec::new(),
            observations: Vec::new(),
            duration: Duration::ZERO,
            finished,
            finished_at,
            causes: Vec::new(),
        }
    }

    /// Returns the beginning of the run.
    pub fn started(&self) -> Instant {
        self.finished
            .checked_sub(self.duration)
            .unwrap_or(self.finished)
    }
}

/// The process that has seen a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Evidence {
    /// This process has seen it. *Default*.
    #[default]
    Own,
    /// Only another process has. Such a failure is shown, and makes no group of this process
    /// unhealthy; only the report of all checks fails.
    Elsewhere,
    /// This process fails, and others work. Such a failure is not held.
    Alone,
}

impl Evidence {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(crate) fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

named!("evidence", Evidence { Own => "own", Elsewhere => "elsewhere", Alone => "alone" });

/// A whole verdict as the result of a run, for [`Findings::show`](crate::Findings::show).
#[derive(Debug, Clone)]
pub struct Shown {
    pub(crate) verdict: Arc<Verdict>,
    /// The time of the next run in the background; `None` for that of the check's options.
    pub(crate) next: Option<Instant>,
    pub(crate) evidence: Evidence,
    pub(crate) origin: Option<Arc<str>>,
    /// The end of the run that shows it.
    pub(crate) at: Instant,
}

impl Shown {
    /// Shows a verdict, however old it is, until the next run at `next`.
    pub fn new(verdict: impl Into<Arc<Verdict>>, next: Instant) -> Self {
        Self {
            next: Some(next),
            ..Self::own(verdict.into())
        }
    }

    /// The verdict of an ordinary run.
    pub(crate) fn own(verdict: Arc<Verdict>) -> Self {
        Self {
            at: verdict.finished,
            verdict,
            next: None,
            evidence: Evidence::Own,
            origin: None,
        }
    }

    /// Sets who has seen the failure, if it is one. *Default*: [`Evidence::Own`].
    #[must_use]
    pub fn evidence(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }

    /// Sets where the verdict comes from, in words that the row shows, such as `3 replicas, seen by
    /// web-7`. *Default*: none.
    #[must_use]
    pub fn origin(self, origin: impl Into<Arc<str>>) -> Self {
        Self {
            origin: Some(origin.into()),
            ..self
        }
    }
}

#[cfg(test)]
impl Verdict {
    /// Creates a verdict with this status and nothing else, for unit tests.
    pub(crate) fn of(status: Status) -> Self {
        Self::new(status, Instant::now(), SystemTime::now())
    }
}
