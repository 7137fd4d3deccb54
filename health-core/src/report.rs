//! Reports: the rows of the checks and the verdict, as plain data for any renderer.
//!
//! ```
//! use health_core::{CheckReport, Report, ServiceUnavailable};
//!
//! let report = Report::new([
//!     CheckReport::new("cache"),
//!     CheckReport::failed("disk", &ServiceUnavailable::new("gone").into()),
//! ]);
//! assert!(!report.healthy);
//! assert_eq!(report.checks[1].pretty_status(), "unavailable: gone");
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    Clock, ErrorType, Evidence, FailureKind, HealthCheckException, History, Latency, Observation,
    Scope, Status, StatusChange, serde_time,
};

/// The result of one read of the checks: the rows, and the verdict.
///
/// A report is plain data. It is serialised by serde, and the format `report` writes it as JSON
/// that reads back as the same report:
///
/// ```
/// use health_core::{CheckReport, Renderer, Report, ReportFormat};
///
/// let report = Report::new([CheckReport::new("cache")]);
/// let mut text = String::new();
/// ReportFormat.render(&report, &mut text)?;
/// assert_eq!(serde_json::from_str::<Report>(&text)?, report);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Report {
    /// The group that was read; `None` for all checks.
    pub group: Option<String>,
    /// `true` if no row fails the report. Decides the status code and the exit code.
    pub healthy: bool,
    /// The worst status of the critical checks.
    pub status: Status,
    /// The rows, sorted by identifier. Empty if a service has no checks, and if the report is
    /// `redacted`.
    pub checks: Vec<CheckReport>,
    /// `true` if the rows were left out, for a reader without the token.
    pub redacted: bool,
    /// The time at which the report was built.
    #[serde(with = "serde_time::rfc3339")]
    pub generated_at: SystemTime,
    /// The time at which the health of the service was built.
    #[serde(with = "serde_time::rfc3339")]
    pub built_at: SystemTime,
    /// The time that the reader waited for the report.
    #[serde(with = "serde_time::seconds")]
    pub duration: Duration,
    /// The names that the reader excluded although no check of the group has them.
    pub unknown_excludes: Vec<String>,
    /// A notice for every reader, such as where the configuration came from.
    pub notice: Option<String>,
    /// The name of the process that built the report.
    pub instance: Option<String>,
    /// The release that the process runs.
    pub version: Option<String>,
    /// The verdict of each group, from the last verdicts of its checks. It does not depend on the
    /// group that was read.
    pub groups: Vec<GroupReport>,
    /// The services of the gRPC health protocol, each with its group. Empty if nothing serves the
    /// health by gRPC.
    pub grpc_services: BTreeMap<String, String>,
}

/// The verdict of a group within a report, from the last verdicts of its checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupReport {
    /// The name of the group.
    pub group: String,
    /// `true` if nothing fails the group.
    pub healthy: bool,
    /// The checks that fail the group.
    #[serde(default)]
    pub failing: Vec<String>,
    /// The checks that fail, but do not fail the group, because it holds them.
    #[serde(default)]
    pub held: Vec<String>,
    /// The checks that the group can hold.
    #[serde(default, with = "shared_slice")]
    pub holdable: Arc<[String]>,
}

impl GroupReport {
    /// Creates the verdict of a healthy group.
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            healthy: true,
            failing: Vec::new(),
            held: Vec::new(),
            holdable: Arc::default(),
        }
    }
}

impl Report {
    /// Creates a report of these rows, sorted and judged by [`CheckReport::fails_report`].
    pub fn new(checks: impl IntoIterator<Item = CheckReport>) -> Self {
        let mut checks = Vec::from_iter(checks);
        checks.sort_by(|a, b| a.identifier.cmp(&b.identifier));
        let critical = checks.iter().filter(|check| check.critical);
        Self {
            group: None,
            healthy: !checks.iter().any(|check| check.fails_report),
            status: critical
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
            groups: Vec::new(),
            grpc_services: BTreeMap::new(),
        }
    }

    /// Returns the verdict without the rows.
    #[must_use]
    pub(crate) fn without_rows(&self) -> Self {
        Self {
            checks: Vec::new(),
            // The status follows the verdict, so that it does not reveal rows that fail without
            // failing the report.
            status: if self.healthy && self.status > Status::Warning {
                Status::Working
            } else {
                self.status
            },
            redacted: true,
            unknown_excludes: Vec::new(),
            notice: None,
            instance: None,
            version: None,
            groups: Vec::new(),
            grpc_services: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Returns the report of a group without the names of other groups, and without what belongs to
    /// the whole service.
    #[must_use]
    pub(crate) fn without_other_groups(&self) -> Self {
        let mut report = self.clone();
        let is_own = |name: &String| self.group.as_ref() == Some(name);
        report.groups.retain(|group| is_own(&group.group));
        report.grpc_services.clear();
        for check in &mut report.checks {
            check.groups.retain(is_own);
        }
        report
    }
}

/// A report without checks, which is healthy.
impl Default for Report {
    fn default() -> Self {
        Self::new([])
    }
}

/// Serialises lists that reports share.
mod shared_slice {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        list: &Arc<[T]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        list[..].serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<[T]>, D::Error> {
        Ok(Vec::<T>::deserialize(deserializer)?.into())
    }
}

/// One row of a report: the verdict of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a property of its own, and a key in the serialised report"
)]
pub struct CheckReport {
    /// The name of the check, unique within the service.
    pub identifier: String,
    /// The effective status, which decides the verdict: that of the last run, dampened by the
    /// check's thresholds.
    pub status: Status,
    /// The status of the last run itself.
    pub raw_status: Status,
    /// The errors; empty if the check works.
    #[serde(default)]
    pub errors: Vec<ErrorReport>,
    /// The values that the check measured.
    #[serde(default)]
    pub observations: Vec<Observation>,
    /// `true` if errors of the check make the service unhealthy.
    #[serde(default)]
    pub critical: bool,
    /// `true` if this row makes this report unhealthy.
    #[serde(default)]
    pub fails_report: bool,
    /// `true` if the row would make this report unhealthy, but is held; see [`Hold`](crate::Hold).
    #[serde(default)]
    pub held: bool,
    /// The earliest time at which the row makes the report unhealthy, if it keeps failing. `None`
    /// if the row is not held, or if the hold never ends.
    #[serde(default, with = "serde_time::rfc3339::option")]
    pub counts_at: Option<SystemTime>,
    /// The scope of the check.
    #[serde(default)]
    pub scope: Scope,
    /// The groups that the check names.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// The labels of the check.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The duration of the last run; `None` before the first one.
    #[serde(default, with = "serde_time::seconds::option")]
    #[doc(alias = "time_taken")]
    pub duration: Option<Duration>,
    /// The time at which the last run ended; `None` before the first one.
    #[serde(default, with = "serde_time::rfc3339::option")]
    pub last_run: Option<SystemTime>,
    /// The time since which the check has this effective status.
    #[serde(default, with = "serde_time::rfc3339::option")]
    pub since: Option<SystemTime>,
    /// `true` if the row shows an older verdict in place of a run that is not over.
    #[serde(default)]
    pub stale: bool,
    /// The check whose failure is the cause of this one's.
    #[serde(default)]
    pub blocked_by: Option<String>,
    /// The last runs.
    #[serde(default)]
    pub history: History,
    /// The slowest run of each minute of the last hour.
    #[serde(default)]
    pub latency: Latency,
    /// The last changes of the effective status, at most ten, the newest last.
    #[serde(default, with = "shared_slice")]
    pub changes: Arc<[StatusChange]>,
    /// The origin of the verdict, if that is not a run of the check itself: see
    /// [`Shown::origin`](crate::Shown::origin).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The process that has seen a failure.
    #[serde(default, skip_serializing_if = "Evidence::is_own")]
    pub evidence: Evidence,
}

impl CheckReport {
    /// Creates the row of a critical check that works.
    pub fn new(identifier: impl Into<String>) -> Self {
        Self {
            identifier: identifier.into(),
            status: Status::Working,
            raw_status: Status::Working,
            errors: Vec::new(),
            observations: Vec::new(),
            critical: true,
            fails_report: false,
            held: false,
            counts_at: None,
            scope: Scope::External,
            groups: BTreeSet::new(),
            labels: BTreeMap::new(),
            duration: None,
            last_run: None,
            since: None,
            stale: false,
            blocked_by: None,
            history: History::default(),
            latency: Latency::default(),
            changes: Arc::default(),
            origin: None,
            evidence: Evidence::Own,
        }
    }

    /// Creates the row of a critical check that fails with this error, and makes a report
    /// unhealthy.
    pub fn failed(identifier: impl Into<String>, error: &HealthCheckException) -> Self {
        let mut row = Self::new(identifier);
        row.fail(error);
        row.raw_status = row.status;
        row.fails_report = true;
        row
    }

    /// Makes this error the only one of the row.
    pub(crate) fn fail(&mut self, error: &HealthCheckException) {
        self.status = error.status();
        self.errors = vec![ErrorReport::from(error)];
    }

    /// Returns `working`, or the errors, one on each line, and at the end ` (held)` for a row that
    /// is held.
    ///
    /// Formats with one line for each check use [`line`](Self::line) instead.
    pub fn pretty_status(&self) -> String {
        self.joined("\n")
    }

    /// Returns `working`, or the errors on one line: joined by `; `, with spaces in place of line
    /// breaks.
    pub fn line(&self) -> String {
        self.joined("; ").replace(['\n', '\r'], " ")
    }

    fn joined(&self, separator: &str) -> String {
        if self.errors.is_empty() {
            return "working".into();
        }
        let errors = self
            .errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(separator);
        if self.held {
            errors + " (held)"
        } else {
            errors
        }
    }
}

/// One error of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorReport {
    /// The type of the error, which stands before the message.
    pub message_type: ErrorType,
    /// The message.
    pub message: String,
    /// The kind of failure.
    pub kind: FailureKind,
    /// The four hexadecimal digits under which the log has the cause. `None` if there is no cause
    /// beyond the message.
    #[serde(default)]
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

/// Writes `{type}: {message}`, as the exception does.
impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message_type, self.message)
    }
}

/// The properties of a check that are known without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckInfo {
    /// The name of the check, unique within the service.
    pub identifier: String,
    /// `true` if errors of the check make the service unhealthy.
    pub critical: bool,
    /// The scope of the check.
    pub scope: Scope,
    /// The groups that contain the check, whether it names them or not.
    pub groups: Vec<String>,
    /// The timeout of one run, without the check's own [`overhead`](crate::HealthCheck::overhead).
    pub timeout: Duration,
    /// The time for which a verdict is fresh, or the interval of the runs in the background. Zero
    /// for a check that the application reports.
    pub ttl: Duration,
    /// The shortest hold of the check in its groups, as this process lengthens it; `None` if a
    /// failure counts at once. [`Duration::MAX`] means without end.
    pub hold: Option<Duration>,
    pub(crate) clock: ClockOf,
}

impl CheckInfo {
    /// Returns the clock of the `Health`.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock.0)
    }
}

/// A clock, which is left out of comparisons.
#[derive(Clone)]
pub(crate) struct ClockOf(pub(crate) Arc<dyn Clock>);

impl PartialEq for ClockOf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ClockOf {}

impl fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
