//! Checks how full a file system is.
//!
//! ```
//! use health_checks::DiskUsage;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(DiskUsage::new("/").usage_max(85))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::path::{Path, PathBuf};

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, Result, ResultExt as _, Scope,
    ServiceUnavailable, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::limit::{Limit, host};

const MIB: f64 = 1024.0 * 1024.0;

/// Warns when a file system is nearly full.
///
/// The percentage is computed as in `df`: blocks that are reserved for root are neither used nor
/// available. The check runs on a thread of its own, so a network mount that hangs blocks nothing
/// else.
#[derive(Debug, Clone)]
pub struct DiskUsage {
    settings: DiskSettings,
    thread: Blocking,
}

/// The keys of kind `disk`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(serde::Serialize, schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DiskSettings {
    /// Any path on the file system.
    pub path: PathBuf,
    /// The percentage of use at which the check warns. `false` switches this limit off.
    pub usage_max: Limit,
    /// The percentage of used inodes at which the check warns, if the file system counts inodes.
    /// Without it, the value of `usage_max` applies. `false` switches this limit off.
    #[cfg_attr(feature = "config", serde(skip_serializing_if = "Option::is_none"))]
    pub inodes_max: Option<Limit>,
    /// The free space, in MB of 1024 x 1024 bytes, below which the check warns. `false` switches
    /// this limit off.
    pub free_min: Limit,
    /// `true` if the file system is meant to be read-only. Otherwise the check warns, because a file
    /// system becomes read-only after an error.
    pub read_only: bool,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            path: "/".into(),
            usage_max: Limit::At(90.0),
            inodes_max: None,
            free_min: Limit::Off,
            read_only: false,
        }
    }
}

impl CheckSettings for DiskSettings {
    const KIND: &'static str = "disk";
    const SUMMARY: &'static str = "the used space and inodes of a file system";
    const VARIABLES: &'static [Variable] = &[Variable {
        key: "usage_max",
        name: "DISK_USAGE_MAX",
        reads: Reads::Limit,
    }];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.usage_max.percentage("usage_max")?;
        let inodes_max = self.inodes_max.unwrap_or(self.usage_max);
        inodes_max.percentage("inodes_max")?;
        if (self.usage_max, inodes_max, self.free_min) == (Limit::Off, Limit::Off, Limit::Off) {
            return Ok(Vec::new());
        }
        Ok(vec![BoxCheck::new(DiskUsage::from(self))])
    }
}

impl Default for DiskUsage {
    /// Creates a check of the root file system that warns at 90 percent.
    fn default() -> Self {
        DiskSettings::default().into()
    }
}

impl From<DiskSettings> for DiskUsage {
    fn from(settings: DiskSettings) -> Self {
        Self {
            settings,
            thread: Blocking::default(),
        }
    }
}

impl DiskUsage {
    /// Creates a check of the file system that contains this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        DiskSettings {
            path: path.into(),
            ..DiskSettings::default()
        }
        .into()
    }

    /// Warns at this percentage of use; 0 switches the limit off. *Default*: 90.
    #[must_use]
    #[doc(alias = "DISK_USAGE_MAX")]
    pub fn usage_max(mut self, percent: impl Into<Limit>) -> Self {
        self.settings.usage_max = percent.into();
        self
    }

    /// Warns at this percentage of used inodes, if the file system counts inodes; 0 switches the
    /// limit off. *Default*: the value of [`usage_max`](Self::usage_max).
    #[must_use]
    pub fn inodes_max(mut self, percent: impl Into<Limit>) -> Self {
        self.settings.inodes_max = Some(percent.into());
        self
    }

    /// Warns below this many MB (of 1024 x 1024 bytes) of free space; 0 switches the limit off.
    /// *Default*: off.
    #[must_use]
    pub fn free_min(mut self, megabytes: impl Into<Limit>) -> Self {
        self.settings.free_min = megabytes.into();
        self
    }
}

impl DiskUsage {
    /// Sets whether the file system is meant to be read-only. *Default*: `false`, and the check
    /// warns if nothing can be written to it, as after an error.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.settings.read_only = read_only;
        self
    }
}

impl HealthCheck for DiskUsage {
    async fn check_status(&self, findings: &Findings) -> Result {
        let path = self.settings.path.clone();
        let space = self.thread.run(move || Space::of(&path)).await?;
        if space.used + space.available <= 0.0 {
            let error = ServiceUnavailable::new(
                "the file system has no blocks: nothing can be stored at this path",
            );
            return Err(error.with_kind(FailureKind::Misconfigured).into());
        }
        if space.is_image() {
            if self.settings.read_only {
                return Ok(()); // it is as full as it was built
            }
            let text =
                "the file system is a read-only image: check another path, or set read_only = true";
            return Err(ServiceWarning::new(text)
                .with_kind(FailureKind::Misconfigured)
                .into());
        }
        if space.is_read_only && !self.settings.read_only {
            let error = ServiceWarning::new("the file system is read-only");
            findings.add_error(error.with_kind(FailureKind::ReadOnly));
        }
        let percent = share(space.used, space.available);
        findings.observe_within(
            "used",
            percent,
            Unit::Percent,
            self.settings.usage_max.value(),
        );
        findings.observe("available", space.available, Unit::Bytes);

        let host = host();
        if let Some(max) = self
            .settings
            .usage_max
            .value()
            .filter(|max| percent >= *max)
        {
            findings.add_error(ServiceWarning::new(format!(
                "{host} {percent:.1}% disk usage exceeds {max}%"
            )));
        }
        if let Some((used, free)) = space.inodes {
            let percent = share(used, free);
            let max = self.settings.inodes_max.unwrap_or(self.settings.usage_max);
            findings.observe_within("inodes_used", percent, Unit::Percent, max.value());
            if let Some(max) = max.value().filter(|max| percent >= *max) {
                findings.add_error(ServiceWarning::new(format!(
                    "{host} {percent:.1}% of inodes used exceeds {max}%"
                )));
            }
        }
        let free = (space.available / MIB).floor();
        if let Some(min) = self.settings.free_min.value().filter(|min| free < *min) {
            findings.add_error(ServiceWarning::new(format!(
                "{host} {free} MB free disk space below {min} MB"
            )));
        }
        Ok(())
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "DiskUsage".into()
    }

    fn scope(&self) -> Scope {
        Scope::Instance
    }
}

/// The space of a file system, in bytes.
#[derive(Debug, Clone, Copy)]
struct Space {
    used: f64,
    /// Available to users other than root.
    available: f64,
    /// `true` if nothing can be written to the file system, wherever it is mounted.
    is_read_only: bool,
    /// The used and the free inodes, if the file system counts them.
    inodes: Option<(f64, f64)>,
}

/// Returns `true` if the file system of a path is read-only itself. A mount that is read-only, such
/// as the root of a container, says nothing about the file system.
#[cfg(target_os = "linux")]
fn is_read_only(path: &Path) -> bool {
    let Ok(stat) = rustix::fs::stat(path) else {
        return false;
    };
    let device = (
        rustix::fs::major(stat.st_dev),
        rustix::fs::minor(stat.st_dev),
    );
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    is_read_only_in(&mounts, &format!("{}:{}", device.0, device.1))
}

#[cfg(not(target_os = "linux"))]
fn is_read_only(_: &Path) -> bool {
    false
}

/// Looks at the options of the superblock, which are the last field of `mountinfo`.
#[cfg(target_os = "linux")]
fn is_read_only_in(mounts: &str, device: &str) -> bool {
    let mut of_device = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(device));
    of_device.any(|line| {
        let options = line
            .split_once(" - ")
            .and_then(|(_, rest)| rest.split(' ').nth(2));
        options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
    })
}

/// Returns the percentage that is used, rounded to a tenth as in psutil.
fn share(used: f64, available: f64) -> f64 {
    let reachable = used + available;
    if reachable > 0.0 {
        (used / reachable * 1000.0).round() / 10.0
    } else {
        0.0
    }
}

impl Space {
    /// Returns `true` for an image such as squashfs, which is always full.
    fn is_image(&self) -> bool {
        self.is_read_only && self.available <= 0.0
    }

    #[cfg(unix)]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a byte more or less in 9 petabytes"
    )]
    fn of(path: &Path) -> Result<Self> {
        let stat = rustix::fs::statvfs(path)
            .or_unavailable("the path of the file system can't be read")?;
        let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
        let inodes = (
            stat.f_files.saturating_sub(stat.f_ffree) as f64,
            stat.f_favail as f64,
        );
        Ok(Self {
            used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
            available: bytes(stat.f_bavail),
            inodes: (stat.f_files > 0).then_some(inodes),
            is_read_only: is_read_only(path),
        })
    }

    #[cfg(not(unix))]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a byte more or less in 9 petabytes"
    )]
    fn of(path: &Path) -> Result<Self> {
        let disks = sysinfo::Disks::new_with_refreshed_list()
            .or_unavailable("the file systems can't be listed")?;
        let on = disks
            .iter()
            .filter(|disk| path.starts_with(disk.mount_point()));
        let disk = on.max_by_key(|disk| disk.mount_point().as_os_str().len());
        let disk = disk.ok_or_else(|| ServiceUnavailable::new("no file system has this path"))?;
        let available = disk.available_space() as f64;
        Ok(Self {
            used: disk.total_space() as f64 - available,
            available,
            inodes: None,
            is_read_only: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_of_what_can_be_reached() {
        assert!((share(912.4, 87.6) - 91.2).abs() < f64::EPSILON);
        assert!(share(0.0, 0.0).abs() < f64::EPSILON);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_file_system_without_blocks_is_an_error() {
        let error = DiskUsage::new("/proc")
            .check_status(&Findings::default())
            .await
            .unwrap_err();
        let expected =
            "unavailable: the file system has no blocks: nothing can be stored at this path";
        assert_eq!(error.to_string(), expected);
    }

    /// The root of a container is mounted read-only, and its file system is not.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_is_read_only_by_its_superblock() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 ro,errors=remount-ro\n\
                      23 1 0:40 / /app ro,nodev - overlay overlay rw,lowerdir=/a\n\
                      24 1 8:2 / /data rw - xfs /dev/sdb rw,errors=ro-later\n";
        for (device, is_read_only) in [
            ("8:1", true),
            ("0:40", false),
            ("8:2", false),
            ("9:9", false),
        ] {
            assert_eq!(is_read_only_in(mounts, device), is_read_only, "{device}");
        }
        let space = |available, is_read_only| Space {
            used: 1.0,
            available,
            inodes: None,
            is_read_only,
        };
        assert!(space(0.0, true).is_image());
        assert!(!space(1.0, true).is_image() && !space(0.0, false).is_image());
    }

    #[tokio::test]
    async fn inodes_have_a_limit_of_their_own() {
        let findings = Findings::default();
        DiskUsage::new("/")
            .usage_max(0)
            .inodes_max(0.000_001)
            .check_status(&findings)
            .await
            .unwrap();
        let shown = format!("{findings:?}");
        assert!(
            shown.contains("% of inodes used exceeds 0.000001%") || !shown.contains("inodes_used"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn a_missing_path_says_so() {
        let error = DiskUsage::new("/no/such/path")
            .check_status(&Findings::default())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unavailable: the path of the file system can't be read"
        );
    }

    /// `df` rounds up to whole percents.
    #[test]
    #[cfg(target_os = "linux")]
    fn it_agrees_with_df() {
        for path in ["/", "/dev/shm"] {
            let output = std::process::Command::new("df")
                .args(["--output=pcent", path])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let df: f64 = text
                .lines()
                .nth(1)
                .unwrap()
                .trim()
                .trim_end_matches('%')
                .parse()
                .unwrap();
            let space = Space::of(Path::new(path)).unwrap();
            let ours = share(space.used, space.available);
            assert!(
                (df - ours).abs() <= 1.0,
                "{path}: df says {df}, we say {ours}"
            );
        }
    }

    #[test]
    fn switched_off_with_its_last_limit() {
        let off = DiskSettings {
            usage_max: Limit::Off,
            ..DiskSettings::default()
        };
        assert!(off.checks().unwrap().is_empty());
        let too_much = DiskSettings {
            usage_max: Limit::At(101.0),
            ..DiskSettings::default()
        };
        assert_eq!(too_much.checks().unwrap_err().key, "usage_max");
    }
}
