//! Checks how much memory is left. In a container, the limit of its control group counts.
//!
//! ```
//! use health_checks::MemoryUsage;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(MemoryUsage::default().min(200))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::path::Path;

use health_core::{
    Blocking, BoxCheck, Findings, HealthCheck, Result, ResultExt as _, Scope, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::cgroup::{self, MemoryLimit};
use crate::support::limit::{Limit, host};

const MIB: u64 = 1024 * 1024;

/// Warns when little memory is available.
///
/// Within a control group that has a limit, such as a container, the group with the least headroom
/// counts. Memory that the kernel can reclaim from the page cache is available.
#[derive(Debug, Clone)]
pub struct MemoryUsage {
    settings: MemorySettings,
    thread: Blocking,
}

/// The keys of kind `memory`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "config", derive(serde::Serialize, schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MemorySettings {
    /// The available memory, in MB of 1024 x 1024 bytes, below which the check warns. `false`
    /// switches this limit off. Without it: 100, or a tenth of the control group's limit if that is
    /// less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Limit>,
    /// The percentage of use at which the check warns. `false` switches this limit off.
    pub usage_max: Limit,
    /// The memory to check: "auto" is that of the control group if it has a limit, "host" is that
    /// of the machine.
    pub limits: Limits,
}

/// The memory that the check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "config", derive(serde::Serialize, schemars::JsonSchema))]
#[cfg_attr(feature = "config", schemars(inline))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Limits {
    /// The memory of the control group if it has a limit, and of the machine otherwise.
    #[default]
    Auto,
    /// The memory of the machine.
    Host,
}

impl CheckSettings for MemorySettings {
    const KIND: &'static str = "memory";
    const SUMMARY: &'static str = "available memory, of the container where it is limited";
    const VARIABLES: &'static [Variable] = &[Variable {
        key: "min",
        name: "MEMORY_MIN",
        reads: Reads::Limit,
    }];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.usage_max.percentage("usage_max")?;
        if (self.min, self.usage_max) == (Some(Limit::Off), Limit::Off) {
            return Ok(Vec::new());
        }
        Ok(vec![BoxCheck::new(MemoryUsage::from(self))])
    }
}

impl Default for MemoryUsage {
    fn default() -> Self {
        MemorySettings::default().into()
    }
}

impl From<MemorySettings> for MemoryUsage {
    fn from(settings: MemorySettings) -> Self {
        Self {
            settings,
            thread: Blocking::default(),
        }
    }
}

impl MemoryUsage {
    /// Warns below this many MB (of 1024 x 1024 bytes) of available memory; 0 switches the limit
    /// off. *Default*: 100, or a tenth of the control group's limit if that is less.
    #[must_use]
    #[doc(alias = "MEMORY_MIN")]
    pub fn min(mut self, megabytes: impl Into<Limit>) -> Self {
        self.settings.min = Some(megabytes.into());
        self
    }

    /// Warns at this percentage of use; 0 switches the limit off. *Default*: off.
    #[must_use]
    pub fn usage_max(mut self, percent: impl Into<Limit>) -> Self {
        self.settings.usage_max = percent.into();
        self
    }

    /// Sets which memory the check looks at. *Default*: [`Limits::Auto`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }
}

impl HealthCheck for MemoryUsage {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a byte more or less in 9 petabytes"
    )]
    async fn check_status(&self, findings: &Findings) -> Result {
        let limits = self.settings.limits;
        let memory = self.thread.run(move || Memory::read(limits)).await?;
        let percent = memory.percent_used();
        findings.observe("available", memory.available as f64, Unit::Bytes);
        findings.observe_within(
            "used",
            percent,
            Unit::Percent,
            self.settings.usage_max.value(),
        );

        let megabytes = memory.available / MIB;
        let min = self
            .settings
            .min
            .unwrap_or_else(|| memory.default_min())
            .value();
        if let Some(min) = min.filter(|min| (megabytes as f64) < *min) {
            let message = format!("{} {megabytes} MB available RAM below {min} MB", host());
            findings.add_error(ServiceWarning::new(message));
        }
        if let Some(max) = self
            .settings
            .usage_max
            .value()
            .filter(|max| percent >= *max)
        {
            findings.add_error(ServiceWarning::new(format!(
                "{} {percent:.1}% memory usage exceeds {max}%",
                host()
            )));
        }
        Ok(())
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "MemoryUsage".into()
    }

    fn scope(&self) -> Scope {
        Scope::Instance
    }
}

/// The memory of the machine or of the control group, in bytes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    total: u64,
    available: u64,
    is_limited: bool,
}

impl Memory {
    fn read(limits: Limits) -> Result<Self> {
        let mut system =
            sysinfo::System::new().or_unavailable("the machine's memory can't be read")?;
        system.refresh_memory();
        let total = system.total_memory();
        let available = system.available_memory();
        let group = (limits == Limits::Auto)
            .then(|| cgroup::memory_limit(Path::new("/"), total))
            .flatten();
        Ok(match group {
            // The headroom of the group cannot exceed the available memory of the machine.
            Some(MemoryLimit {
                limit,
                available: headroom,
            }) => Self {
                total: limit,
                available: headroom.min(available),
                is_limited: true,
            },
            None => Self {
                total,
                available,
                is_limited: false,
            },
        })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a byte more or less in 9 petabytes"
    )]
    fn percent_used(self) -> f64 {
        let used = self.total.saturating_sub(self.available) as f64;
        if self.total > 0 {
            (used / self.total as f64 * 1000.0).round() / 10.0
        } else {
            0.0
        }
    }

    /// Returns the default of `min`. 100 MB would be most of a small container.
    #[expect(clippy::cast_precision_loss, reason = "it is less than 100")]
    fn default_min(self) -> Limit {
        let tenth = (self.total / MIB / 10) as f64;
        Limit::from(if self.is_limited {
            tenth.min(100.0)
        } else {
            100.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_reads_this_machine_and_warns_below_its_limit() {
        let findings = Findings::default();
        MemoryUsage::default()
            .min(1e9)
            .usage_max(0.001)
            .check_status(&findings)
            .await
            .unwrap();
        let shown = format!("{findings:?}");
        assert!(
            shown.contains("MB available RAM below 1000000000 MB"),
            "{shown}"
        );
        assert!(shown.contains("% memory usage exceeds 0.001%"), "{shown}");
    }

    #[test]
    fn a_small_container_is_not_short_of_memory_by_default() {
        let memory = |total: u64, is_limited| Memory {
            total: total * MIB,
            available: 0,
            is_limited,
        };
        assert_eq!(memory(128, true).default_min(), Limit::At(12.0));
        assert_eq!(memory(8192, true).default_min(), Limit::At(100.0));
        assert_eq!(memory(128, false).default_min(), Limit::At(100.0));
    }
}
