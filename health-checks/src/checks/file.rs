//! Checks the age and the size of a file, such as a backup or the output of a cron job.
//!
//! ```
//! use health_checks::FileAge;
//! use health_core::{CheckExt, Health};
//! use std::time::Duration;
//!
//! let backup = FileAge::new("/var/backups/orders-*.dump")
//!     .age_max(Duration::from_secs(26 * 3600))
//!     .size_min(1_000_000);
//! let health = Health::builder().check(backup.named("backup")).build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::cmp::Reverse;
use std::path::Path;
use std::time::{Duration, SystemTime};

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, Result, ResultExt as _, Scope,
    ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};

/// Warns when a file, or the newest file that matches a pattern, is missing, too old or too small.
#[derive(Debug, Clone)]
pub struct FileAge {
    settings: FileSettings,
    thread: Blocking,
}

/// The keys of kind `file`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileSettings {
    /// The path of a file or of a folder, or a pattern such as `/var/backups/*.dump`, whose newest
    /// file is checked. A file that is smaller than `size_min` and has changed within the last
    /// minute is still being written: an older one counts. Where no file matches, folders count,
    /// without a size.
    pub path: String,
    /// The age at which the check warns. Without it, any age is accepted.
    #[serde(default, with = "health_core::serde_duration::option")]
    #[cfg_attr(
        feature = "config",
        schemars(with = "Option<crate::support::duration::DurationSchema>")
    )]
    pub age_max: Option<Duration>,
    /// The size in bytes below which the check warns.
    #[serde(default)]
    pub size_min: u64,
}

impl CheckSettings for FileSettings {
    const KIND: &'static str = "file";
    const SUMMARY: &'static str = "the age and size of a file, or of the newest file of a pattern";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        let is_pattern = || glob::Pattern::new(&self.path).is_ok();
        if self.path.is_empty() || !(Path::new(&self.path).exists() || is_pattern()) {
            return Err(Misconfigured::new(
                "path",
                "expected a path, or a pattern such as /var/backups/*.dump",
            ));
        }
        if self.age_max == Some(Duration::ZERO) {
            return Err(Misconfigured::new(
                "age_max",
                "expected more than 0: every file is older",
            ));
        }
        Ok(vec![BoxCheck::new(FileAge {
            settings: self,
            thread: Blocking::default(),
        })])
    }
}

impl FileAge {
    /// Creates a check that this file exists, or a file that matches this pattern.
    pub fn new(path: impl Into<String>) -> Self {
        let settings = FileSettings {
            path: path.into(),
            age_max: None,
            size_min: 0,
        };
        Self {
            settings,
            thread: Blocking::default(),
        }
    }

    /// Warns at this age. *Default*: never.
    #[must_use]
    pub fn age_max(mut self, age: Duration) -> Self {
        self.settings.age_max = Some(age);
        self
    }

    /// Warns if the file is smaller than this many bytes. *Default*: 0.
    #[must_use]
    pub fn size_min(mut self, bytes: u64) -> Self {
        self.settings.size_min = bytes;
        self
    }
}

impl HealthCheck for FileAge {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a byte more or less in 9 petabytes"
    )]
    async fn check_status(&self, findings: &Findings) -> Result {
        let path = self.settings.path.clone();
        let size_min = self.settings.size_min;
        let found = self.thread.run(move || found(&path)).await?;
        let Some(Found { changed, size }) = counts(found, size_min) else {
            return Err(ServiceWarning::new("there is no such file")
                .with_kind(FailureKind::NotFound)
                .into());
        };
        // A file from the future counts as new, because a clock was set.
        let age = changed.elapsed().unwrap_or_default();
        let most = self.settings.age_max.map(|max| max.as_secs_f64());
        findings.observe_within("age", age.as_secs_f64(), Unit::Seconds, most);
        if let Some(size) = size {
            findings.observe("size", size as f64, Unit::Bytes);
        }
        if let Some(max) = self.settings.age_max.filter(|max| age >= *max) {
            let text = format!(
                "the file is {} old, and the limit is {}",
                whole(age),
                whole(max)
            );
            findings.add_error(ServiceWarning::new(text).with_kind(FailureKind::Expired));
        }
        if let Some(size) = size.filter(|size| *size < self.settings.size_min) {
            let text = format!(
                "the file has {size} bytes, fewer than {}",
                self.settings.size_min
            );
            findings.add_error(ServiceWarning::new(text).with_kind(FailureKind::UnexpectedAnswer));
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "FileAge".into()
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

/// Formats a duration in whole minutes, or in whole seconds below a minute, so that the message
/// does not change with every poll.
fn whole(time: Duration) -> humantime::FormattedDuration {
    let seconds = time.as_secs();
    humantime::format_duration(Duration::from_secs(if seconds < 60 {
        seconds
    } else {
        seconds - seconds % 60
    }))
}

/// A file, or a folder.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    changed: SystemTime,
    /// The bytes of a file; `None` for a folder.
    size: Option<u64>,
}

/// The time for which a file that has changed may still be written.
const SETTLES: Duration = Duration::from_mins(1);

/// Returns the file that counts: the newest, but for those that are too small and still being
/// written.
fn counts(mut found: Vec<Found>, size_min: u64) -> Option<Found> {
    found.sort_by_key(|one| (one.size.is_none(), Reverse(one.changed))); // folders last
    let is_whole = |one: &&Found| {
        let is_settled = one.changed.elapsed().is_ok_and(|age| age >= SETTLES);
        is_settled || one.size.is_none_or(|size| size >= size_min)
    };
    let has_files = found.first().is_some_and(|first| first.size.is_some());
    let mut candidates = found.iter().filter(|one| one.size.is_some() == has_files);
    candidates.find(is_whole).or(found.first()).copied()
}

/// Returns the file of this path, or all that match the pattern.
fn found(pattern: &str) -> Result<Vec<Found>> {
    let literal = Path::new(pattern);
    if literal.exists() {
        return Ok(look(literal)?.into_iter().collect());
    }
    let mut found = Vec::new();
    for path in glob::glob(pattern).or_unknown()? {
        let path = path.or_warning("the folder of the file can't be read")?;
        found.extend(look(&path)?);
    }
    Ok(found)
}

/// Returns `None` for a file that was deleted meanwhile.
fn look(path: &Path) -> Result<Option<Found>> {
    let Ok(file) = std::fs::metadata(path) else {
        return Ok(None);
    };
    Ok(Some(Found {
        changed: file.modified().or_unknown()?,
        size: (!file.is_dir()).then_some(file.len()),
    }))
}
