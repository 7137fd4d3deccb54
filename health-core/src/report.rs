//! The aggregate of a run and its rows: plain data, sorted by identifier, ready for any renderer.
//!
//! ```
//! use health_core::{CheckReport, Report, ServiceUnavailable};
//!
//! let report = Report::new([CheckReport::new("cache"), CheckReport::failed("disk", &ServiceUnavailable::new("gone").into())]);
//! assert!(!report.healthy);
//! assert_eq!(report.checks[1].pretty_status(), "unavailable: gone");
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::{FailureKind, HealthCheckException, History, Observation, Scope, Status};

/// What one read of the checks says.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The group that was read; `None` for all checks.
    pub group: Option<String>,
    /// Whether nothing that counts has an error. Decides the status code and the exit code.
    pub healthy: bool,
    /// The worst status of the critical checks.
    pub status: Status,
    /// The rows, sorted by identifier. Empty where a service has no checks, and where the reader may only see the
    /// verdict (`redacted`).
    pub checks: Vec<CheckReport>,
    /// Whether the rows were left out, for a reader who did not show the token.
    pub redacted: bool,
    /// When the report was put together.
    #[serde(serialize_with = "rfc3339")]
    pub generated_at: SystemTime,
    /// When the service's health was built: since then there is what no run has changed.
    #[serde(serialize_with = "rfc3339")]
    pub built_at: SystemTime,
    /// How long the reader waited for it.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// What the reader wanted to leave out and no check here is called.
    pub unknown_excludes: Vec<String>,
    /// Something that every reader should know, such as where the configuration came from.
    pub notice: Option<String>,
    /// Which of the service's processes answers.
    pub instance: Option<String>,
    /// The release that it runs.
    pub version: Option<String>,
}

impl Report {
    /// A report of these rows, sorted and judged by [`CheckReport::fails_report`]. For tests, and for what the engine does.
    pub fn new(checks: impl IntoIterator<Item = CheckReport>) -> Self {
        let mut checks = Vec::from_iter(checks);
        checks.sort_by(|a, b| a.identifier.cmp(&b.identifier));
        Self {
            group: None,
            healthy: !checks.iter().any(|check| check.fails_report),
            status: checks
                .iter()
                .filter(|check| check.critical)
                .map(|check| check.status)
                .max()
                .unwrap_or(Status::Working),
            checks,
            redacted: false,
            generated_at: SystemTime::UNIX_EPOCH,
            built_at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            unknown_excludes: Vec::new(),
            notice: None,
            instance: None,
            version: None,
        }
    }

    /// The same verdict without its rows.
    #[must_use]
    pub(crate) fn without_rows(&self) -> Self {
        Self {
            checks: Vec::new(),
            // What is said follows the code: rows that do not count are not seen.
            status: if self.healthy && self.status > Status::Warning { Status::Working } else { self.status },
            redacted: true,
            unknown_excludes: Vec::new(),
            notice: None,
            instance: None,
            version: None,
            ..self.clone()
        }
    }
}

/// One row: a check's verdict and what led to it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The check's name, unique within the service.
    pub identifier: String,
    /// The effective status, which the verdict uses: that of the last run, dampened by the check's thresholds.
    pub status: Status,
    /// The status of the last run itself.
    pub raw_status: Status,
    /// What is wrong; empty when it works.
    pub errors: Vec<ErrorReport>,
    /// What the check measured.
    pub observations: Vec<Observation>,
    /// Whether its errors make the service unhealthy.
    pub critical: bool,
    /// Whether this row makes this report unhealthy.
    pub fails_report: bool,
    /// What it looks at.
    #[serde(serialize_with = "display")]
    pub scope: Scope,
    /// The groups it names.
    pub groups: BTreeSet<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How long the last run took; `None` before the first one.
    #[serde(serialize_with = "option_seconds")]
    #[doc(alias = "time_taken")]
    pub duration: Option<Duration>,
    /// When the last run ended; `None` before the first one.
    #[serde(serialize_with = "option_rfc3339")]
    pub last_run: Option<SystemTime>,
    /// Since when the effective status is what it is.
    #[serde(serialize_with = "option_rfc3339")]
    pub since: Option<SystemTime>,
    /// Whether this is an older verdict that stands in for a run that is not over.
    pub stale: bool,
    /// The check whose failure is the cause of this one's.
    pub blocked_by: Option<String>,
    /// Its last runs.
    pub history: History,
}

impl CheckReport {
    /// A row that works.
    pub fn new(identifier: impl Into<String>) -> Self {
        Self::with_history(identifier.into(), History::default())
    }

    pub(crate) fn with_history(identifier: String, history: History) -> Self {
        Self {
            identifier,
            status: Status::Working,
            raw_status: Status::Working,
            errors: Vec::new(),
            observations: Vec::new(),
            critical: true,
            fails_report: false,
            scope: Scope::External,
            groups: BTreeSet::new(),
            labels: BTreeMap::new(),
            duration: None,
            last_run: None,
            since: None,
            stale: false,
            blocked_by: None,
            history,
        }
    }

    /// A critical row with an error, which counts.
    pub fn failed(identifier: impl Into<String>, error: &HealthCheckException) -> Self {
        let mut row = Self::new(identifier);
        row.fail(error);
        row.raw_status = row.status;
        row.fails_report = true;
        row
    }

    /// Makes this error the whole of what is wrong.
    pub(crate) fn fail(&mut self, error: &HealthCheckException) {
        self.status = error.status();
        self.errors = vec![ErrorReport::from(error)];
    }

    /// What the row says: `working`, or its errors, one a line.
    ///
    /// Line-based formats join them by `; ` instead: see [`Self::line`].
    pub fn pretty_status(&self) -> String {
        self.joined("\n")
    }

    /// [`Self::pretty_status`] on one line: errors are joined by `; `, line breaks within one become spaces.
    pub fn line(&self) -> String {
        self.joined("; ").replace(['\n', '\r'], " ")
    }

    fn joined(&self, separator: &str) -> String {
        if self.errors.is_empty() {
            return "working".into();
        }
        self.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// `warning`, `unavailable`, `unexpected result` or `unknown error`.
    pub message_type: &'static str,
    /// What is wrong.
    pub message: String,
    /// Why, as data.
    pub kind: FailureKind,
    /// The log has the cause under these four digits. `None` where there is no cause beyond the message.
    pub reference: Option<String>,
}

impl From<&HealthCheckException> for ErrorReport {
    fn from(error: &HealthCheckException) -> Self {
        Self {
            message_type: error.message_type(),
            message: error.message().to_owned(),
            kind: error.kind(),
            reference: error.reference(),
        }
    }
}

/// `{type}: {message}`, as the exception itself.
impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message_type, self.message)
    }
}

/// What is known of a check without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckInfo {
    /// The check's name, unique within the service.
    pub identifier: String,
    /// Whether its errors make the service unhealthy.
    pub critical: bool,
    /// What it looks at.
    pub scope: Scope,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// The longest that one run may take.
    pub timeout: Duration,
}

pub(crate) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn option_rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn option_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

fn display<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
