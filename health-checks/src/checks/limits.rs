//! Checks how close this process is to the limits of its open files and threads.
//!
//! ```
//! use health_checks::ProcessLimits;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(ProcessLimits::default().usage_max(80))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, Result, Scope, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::limit::{Limit, host};

/// Warns when this process has nearly as many open files or threads as it may have.
///
/// The limits are those of `ulimit -n` and `ulimit -u`, and the `pids.max` of the control group.
#[derive(Debug, Clone)]
pub struct ProcessLimits {
    usage_max: Limit,
    thread: Blocking,
}

/// The keys of kind `limits`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(serde::Serialize, schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsSettings {
    /// The percentage of a limit at which the check warns. `false` switches it off.
    pub usage_max: Limit,
}

impl Default for LimitsSettings {
    fn default() -> Self {
        Self {
            usage_max: Limit::At(90.0),
        }
    }
}

impl CheckSettings for LimitsSettings {
    const KIND: &'static str = "limits";
    const SUMMARY: &'static str = "the open files and threads of this process against their limits";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.usage_max.percentage("usage_max")?;
        Ok(vec![BoxCheck::new(ProcessLimits {
            usage_max: self.usage_max,
            thread: Blocking::default(),
        })])
    }
}

impl Default for ProcessLimits {
    /// Creates a check that warns at 90 percent of a limit.
    fn default() -> Self {
        Self {
            usage_max: LimitsSettings::default().usage_max,
            thread: Blocking::default(),
        }
    }
}

impl ProcessLimits {
    /// Warns at this percentage of a limit; 0 switches it off. *Default*: 90.
    #[must_use]
    pub fn usage_max(mut self, percent: impl Into<Limit>) -> Self {
        self.usage_max = percent.into();
        self
    }
}

impl HealthCheck for ProcessLimits {
    async fn check_status(&self, findings: &Findings) -> Result {
        let usages = self.thread.run(|| Ok(usages())).await?;
        for Usage {
            name,
            what,
            used,
            limit,
        } in usages
        {
            let share = self
                .usage_max
                .value()
                .map(|percent| limit * percent / 100.0);
            findings.observe_within(name, used, Unit::Count, share);
            findings.observe(format!("{name}_max"), limit, Unit::Count);
            let percent = (used / limit * 1000.0).round() / 10.0;
            if let Some(max) = self.usage_max.value().filter(|max| percent >= *max) {
                let text = format!(
                    "{} {percent:.1}% of the {what} that are allowed exceeds {max}%",
                    host()
                );
                findings.add_error(ServiceWarning::new(text).with_kind(FailureKind::Saturated));
            }
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "ProcessLimits".into()
    }

    fn scope(&self) -> Scope {
        Scope::Process
    }

    fn measures(&self) -> bool {
        true
    }
}

/// The use of a limited resource.
struct Usage {
    name: &'static str,
    what: &'static str,
    used: f64,
    limit: f64,
}

#[cfg(target_os = "linux")]
fn usages() -> Vec<Usage> {
    use rustix::process::{Resource, getrlimit};

    let mut usages = Vec::new();
    let mut add = |name, what, used: Option<u64>, limit: Option<u64>| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a file more or less in 9 quadrillion"
        )]
        if let (Some(used), Some(limit)) = (used, limit.filter(|limit| *limit > 0)) {
            usages.push(Usage {
                name,
                what,
                used: used as f64,
                limit: limit as f64,
            });
        }
    };
    let files_max = getrlimit(Resource::Nofile).current;
    let files = match std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder that is being listed.
        Ok(files) => Some(
            u64::try_from(files.count())
                .unwrap_or(u64::MAX)
                .saturating_sub(1),
        ),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            files_max
        }
        Err(_) => None,
    };
    add("open_files", "open files", files, files_max);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let threads = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok());
    add(
        "threads",
        "threads",
        threads,
        getrlimit(Resource::Nproc).current,
    );
    if let Some((used, limit)) = crate::support::cgroup::pids(std::path::Path::new("/")) {
        add(
            "tasks",
            "tasks of the control group",
            Some(used),
            Some(limit),
        );
    }
    usages
}

#[cfg(not(target_os = "linux"))]
fn usages() -> Vec<Usage> {
    Vec::new()
}
