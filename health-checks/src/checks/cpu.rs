//! Checks how busy the CPUs are.
//!
//! ```
//! use health_checks::CpuUsage;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(CpuUsage::default().usage_max(95).load_max(4))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, Result, Scope, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::cgroup;
use crate::support::limit::{Limit, host};

/// The time over which the use is measured, once there were runs for that long.
const MINUTE: Duration = Duration::from_mins(1);

/// The time over which the first run measures the use.
const FIRST: Duration = Duration::from_millis(200);

/// Warns when the CPUs are used too much, over the last minute.
///
/// In a control group with a quota of CPU time, the use and the pressure are those of the group,
/// and the use is a percentage of the quota. The load is always that of the machine. Without
/// limits, the check only measures.
#[derive(Debug, Clone)]
pub struct CpuUsage {
    settings: CpuSettings,
    samples: Arc<Mutex<VecDeque<Sample>>>,
    thread: Blocking,
}

/// The keys of kind `cpu`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "config", derive(serde::Serialize, schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CpuSettings {
    /// The percentage of use at which the check warns. It is relative to the quota of the control
    /// group, if there is one.
    pub usage_max: Limit,
    /// The load per CPU over a minute at which the check warns.
    pub load_max: Limit,
    /// The percentage of a minute in which a task waited for a CPU, at which the check warns.
    pub pressure_max: Limit,
}

impl CheckSettings for CpuSettings {
    const KIND: &'static str = "cpu";
    const SUMMARY: &'static str =
        "use, load and pressure of the CPUs, of the container where it is limited";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.usage_max.percentage("usage_max")?;
        self.pressure_max.percentage("pressure_max")?;
        Ok(vec![BoxCheck::new(CpuUsage::from(self))])
    }
}

impl Default for CpuUsage {
    /// Creates a check without limits, which only measures.
    fn default() -> Self {
        CpuSettings::default().into()
    }
}

impl From<CpuSettings> for CpuUsage {
    fn from(settings: CpuSettings) -> Self {
        Self {
            settings,
            samples: Arc::default(),
            thread: Blocking::default(),
        }
    }
}

impl CpuUsage {
    /// Warns at this percentage of use; 0 switches the limit off. *Default*: off.
    #[must_use]
    pub fn usage_max(mut self, percent: impl Into<Limit>) -> Self {
        self.settings.usage_max = percent.into();
        self
    }

    /// Warns at this load per CPU over a minute; 0 switches the limit off. *Default*: off.
    #[must_use]
    pub fn load_max(mut self, load: impl Into<Limit>) -> Self {
        self.settings.load_max = load.into();
        self
    }

    /// Warns if a task waited for a CPU in this percentage of a minute; 0 switches the limit off.
    /// *Default*: off.
    #[must_use]
    pub fn pressure_max(mut self, percent: impl Into<Limit>) -> Self {
        self.settings.pressure_max = percent.into();
        self
    }

    fn is_first_run(&self) -> bool {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Adds a sample, and returns the shares since the oldest one of the last minute.
    fn add(&self, sample: Sample) -> Option<Shares> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        while samples
            .get(1)
            .is_some_and(|second| sample.at.duration_since(second.at) >= MINUTE)
        {
            samples.pop_front();
        }
        let shares = samples.front().and_then(|oldest| sample.since(oldest));
        samples.push_back(sample);
        shares
    }
}

impl HealthCheck for CpuUsage {
    async fn check_status(&self, findings: &Findings) -> Result {
        let (mut sample, load, pressure) = self.thread.run(|| Ok(read())).await?;
        if let Some(first) = sample.take_if(|_| self.is_first_run()) {
            self.add(first);
            tokio::time::sleep(FIRST).await;
            sample = self.thread.run(|| Ok(read())).await?.0;
        }
        let shares = sample.and_then(|sample| self.add(sample));
        let warn = |limit: Limit, value: f64, text: &dyn Fn(f64) -> String| {
            if let Some(max) = limit.value().filter(|max| value >= *max) {
                findings.add_error(
                    ServiceWarning::new(format!("{} {}", host(), text(max)))
                        .with_kind(FailureKind::Saturated),
                );
            }
        };
        if let Some(Shares { used, throttled }) = shares {
            findings.observe_within("used", used, Unit::Percent, self.settings.usage_max.value());
            findings.observe("throttled", throttled, Unit::Percent);
            warn(self.settings.usage_max, used, &|max| {
                format!("{used:.1}% CPU usage exceeds {max}%")
            });
        }
        if let Some(load) = load {
            findings.observe_within(
                "load_per_cpu",
                load,
                Unit::Count,
                self.settings.load_max.value(),
            );
            warn(self.settings.load_max, load, &|max| {
                format!("load of {load:.2} per CPU exceeds {max}")
            });
        }
        if let Some(pressure) = pressure {
            findings.observe_within(
                "pressure",
                pressure,
                Unit::Percent,
                self.settings.pressure_max.value(),
            );
            let text = |max| {
                format!(
                    "tasks waited for a CPU in {pressure:.1}% of the last minute, which exceeds {max}%"
                )
            };
            warn(self.settings.pressure_max, pressure, &text);
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "CpuUsage".into()
    }

    fn scope(&self) -> Scope {
        Scope::Instance
    }

    fn measures(&self) -> bool {
        true
    }

    fn only_warns(&self) -> bool {
        true
    }
}

/// The CPU time that was used up to a time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    used: f64,
    /// The CPU time that could be used; `None` if that follows from `cores`.
    total: Option<f64>,
    cores: f64,
    periods: u64,
    throttled: u64,
}

/// The percentage of the CPU time that was used, and of the periods in which the quota was used up.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shares {
    used: f64,
    throttled: f64,
}

impl Sample {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a period more or less in 9 quadrillion"
    )]
    fn since(&self, old: &Self) -> Option<Shares> {
        let total = match (self.total, old.total) {
            (Some(new), Some(old)) => new - old,
            _ => self.cores * self.at.duration_since(old.at).as_secs_f64(),
        };
        if total <= 0.0 {
            return None;
        }
        let percent = |part: f64, of: f64| {
            if of > 0.0 {
                (part / of * 100.0).clamp(0.0, 100.0)
            } else {
                0.0
            }
        };
        let periods = self.periods.saturating_sub(old.periods) as f64;
        let throttled = self.throttled.saturating_sub(old.throttled) as f64;
        Some(Shares {
            used: percent(self.used - old.used, total),
            throttled: percent(throttled, periods),
        })
    }
}

/// Reads the CPU time, the load per CPU, and the pressure.
fn read() -> (Option<Sample>, Option<f64>, Option<f64>) {
    let at = Instant::now();
    let group = cgroup::cpu(Path::new("/"));
    let sample = match group {
        Some(group) => Some(Sample {
            at,
            used: group.used.as_secs_f64(),
            total: None,
            cores: group.cores,
            periods: group.periods,
            throttled: group.throttled,
        }),
        None => machine(at),
    };
    let pressure = || cgroup::pressure_of(&std::fs::read_to_string("/proc/pressure/cpu").ok()?);
    let load = sysinfo::System::load_average().ok();
    let load = load.map(|load| load.one / online());
    (
        sample,
        load,
        group.and_then(|group| group.pressure).or_else(pressure),
    )
}

/// Returns the number of CPUs of the machine. The load is that of the machine, whatever this process
/// may use of it.
fn online() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let count = stat
        .lines()
        .filter(|line| number_of_cpu(line).is_some())
        .count();
    let count = match count {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    };
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Returns the number in a line of `/proc/stat` about one CPU: `cpu7 10132153 290696 ...`.
fn number_of_cpu(line: &str) -> Option<u32> {
    line.strip_prefix("cpu")?.split(' ').next()?.parse().ok()
}

/// Returns the numbers in a list of the kernel: `0-3,8`.
fn numbers(list: &str) -> Option<Vec<u32>> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<u32>().ok()?..=to.parse::<u32>().ok()?)
    };
    let ranges: Option<Vec<_>> = list.trim().split(',').map(range).collect();
    Some(ranges?.into_iter().flatten().collect())
}

/// Reads the use of the CPUs that this process may run on, in ticks of the kernel.
fn machine(at: Instant) -> Option<Sample> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status
        .lines()
        .find_map(|line| numbers(line.strip_prefix("Cpus_allowed_list:")?));
    ticks(&stat, allowed.as_deref(), at)
}

fn ticks(stat: &str, allowed: Option<&[u32]>, at: Instant) -> Option<Sample> {
    let is_allowed = |line: &&str| {
        number_of_cpu(line).is_some_and(|cpu| allowed.is_none_or(|all| all.contains(&cpu)))
    };
    // user, nice, system, idle, iowait, irq, softirq, steal; the first two include the time of
    // guests
    let mut ticks = [0.0; 8];
    for line in stat.lines().filter(is_allowed) {
        let fields = line.split_whitespace().skip(1);
        for (sum, field) in ticks.iter_mut().zip(fields) {
            *sum += field.parse::<f64>().ok()?;
        }
    }
    let total: f64 = ticks.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let idle = ticks[3] + ticks[4];
    Some(Sample {
        at,
        used: total - idle,
        total: Some(total),
        cores: 0.0,
        periods: 0,
        throttled: 0,
    })
}

#[cfg(all(test, target_os = "linux"))]
#[allow(
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "a test may, and the numbers are whole"
)]
mod tests {
    use super::*;

    #[test]
    fn the_use_is_that_of_the_cpus_that_this_process_may_run_on() {
        let now = Instant::now();
        let stat = |busy: u32| {
            format!(
                "cpu  {0} 0 0 200 0 0 0 0 0 0\ncpu0 {0} 0 0 100 0 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\nintr 1\n",
                100 + busy
            )
        };
        let sample = |busy, allowed| ticks(&stat(busy), allowed, now).unwrap();
        let all = sample(0, None);
        assert_eq!((all.used, all.total), (100.0, Some(300.0)));
        let first = sample(50, Some(&[0][..]))
            .since(&sample(0, Some(&[0][..])))
            .unwrap();
        assert_eq!(first.used, 100.0, "it did nothing else");
        let second = sample(50, Some(&[1][..]));
        assert_eq!((second.used, second.total), (0.0, Some(100.0)));
        assert!(ticks("cpu  1 2 3\n", None, now).is_none());
        assert_eq!(numbers("0-2,8\n"), Some(vec![0, 1, 2, 8]));
        assert_eq!(numbers("a"), None);
    }

    #[test]
    fn the_load_is_divided_by_the_cpus_of_the_machine() {
        let cpus = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
        let count = numbers(&cpus).unwrap().len();
        assert_eq!(online(), f64::from(u32::try_from(count).unwrap()));
    }
}
