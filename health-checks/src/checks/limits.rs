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
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, Result, Scope, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::limit::{Limit, host};

/// Warns when this process has nearly as many open files or threads as it may have.
///
/// The limits are those of `ulimit -n` and `ulimit -u`, and the `pids.max` of the control group. The
/// kernel counts all threads and processes of the user against `ulimit -u`, and so does the check;
/// root has no such limit.
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

    fn only_warns(&self) -> bool {
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
    let files = open_files().or_else(|error| match error.raw_os_error() {
        // Not even the folder can be opened.
        Some(code) if code == rustix::io::Errno::MFILE.raw_os_error() => Ok(files_max),
        _ => Err(error),
    });
    let files = files.unwrap_or_default();
    add("open_files", "open files", files, files_max);
    let tasks_max = getrlimit(Resource::Nproc).current;
    let tasks = tasks_max.and_then(|_| tasks());
    add(
        "threads",
        "threads and processes of this user",
        tasks,
        tasks_max,
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

/// Returns the number of open files. Since Linux 6.2 it is the size of the folder, which costs
/// nothing.
#[cfg(target_os = "linux")]
fn open_files() -> std::io::Result<Option<u64>> {
    const FOLDER: &str = "/proc/self/fd";
    let size = std::fs::metadata(FOLDER)?.len();
    if size > 0 {
        return Ok(Some(size));
    }
    let count = std::fs::read_dir(FOLDER)?.count();
    Ok(u64::try_from(count)
        .ok()
        .map(|count| count.saturating_sub(1))) // the folder that is listed
}

/// Returns the number of tasks that count against the limit of this process, at most ten seconds
/// old: all processes of the machine are looked at.
#[cfg(target_os = "linux")]
fn tasks() -> Option<u64> {
    static LAST: Mutex<Option<(Instant, Option<u64>)>> = Mutex::new(None);
    const FRESH: Duration = Duration::from_secs(10);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, tasks)) = last.filter(|(at, _)| at.elapsed() < FRESH) {
        return tasks;
    }
    let tasks = tasks_of_user();
    *last = Some((Instant::now(), tasks));
    tasks
}

/// Returns the number of tasks that count against the limit of this process: the kernel counts all
/// threads of the user, and does not limit root and whoever has its rights.
#[cfg(target_os = "linux")]
fn tasks_of_user() -> Option<u64> {
    /// The rights `CAP_SYS_ADMIN` and `CAP_SYS_RESOURCE`.
    const EXEMPT: u64 = 1 << 21 | 1 << 24;
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next().map(str::to_owned)
    };
    let own = std::fs::read_to_string("/proc/self/status").ok()?;
    let user = field(&own, "Uid:")?;
    let rights = u64::from_str_radix(&field(&own, "CapEff:")?, 16).ok()?;
    if user == "0" || rights & EXEMPT != 0 {
        return None;
    }
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let processes = processes.filter(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let threads = processes.filter_map(|entry| {
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?; // it may have ended
        let is_own = field(&status, "Uid:")? == user;
        is_own.then(|| field(&status, "Threads:")?.parse::<u64>().ok())?
    });
    Some(threads.sum())
}

#[cfg(not(target_os = "linux"))]
fn usages() -> Vec<Usage> {
    Vec::new()
}
