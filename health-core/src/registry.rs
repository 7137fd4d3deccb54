use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::check::{BoxCheck, CheckExt, HealthCheck as _, Options, Schedule};

/// The checks of a service, with their options. Two checks with the same identifier are refused
/// when the health is built.
///
/// [`HealthBuilder::check`](crate::HealthBuilder::check) fills a registry by itself. A separate one
/// is for code that collects checks in several places.
///
/// ```
/// use health_core::{Health, Registry, check_fn};
///
/// let mut registry = Registry::default();
/// registry.register(check_fn("cache", || async { Ok(()) }));
/// registry.register(check_fn("queue", || async { Ok(()) }));
/// let health = Health::builder().registry(registry).build().unwrap();
/// assert_eq!(health.identifiers().collect::<Vec<_>>(), ["cache", "queue"]);
/// ```
#[derive(Debug, Clone, Default)]
#[doc(alias = "plugin_dir")]
#[doc(alias = "HealthCheckPluginDirectory")]
pub struct Registry {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) identifier: String,
    pub(crate) check: BoxCheck,
    pub(crate) options: Options,
}

impl Registry {
    /// Adds a check.
    pub fn register(&mut self, check: impl CheckExt) {
        let configured = check.into_check().boxed();
        let identifier = match &configured.options.name {
            Some(name) => name.to_string(),
            None => configured.check.identifier().into_owned(),
        };
        self.entries.push(Entry {
            identifier,
            check: configured.check,
            options: configured.options,
        });
    }

    /// Removes all checks.
    #[doc(alias = "reset")]
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Returns the identifiers, in the order of registration.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.identifier.as_str())
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// Returns the faults that can be found without the groups.
    pub(crate) fn faults(&self) -> Vec<BuildFault> {
        let mut seen = HashMap::new();
        let mut faults = Vec::new();
        for (
            position,
            Entry {
                identifier,
                check,
                options,
            },
        ) in self.entries.iter().enumerate()
        {
            let known = seen.insert(identifier, position);
            faults.extend(known.map(|first| BuildFault::Duplicate {
                identifier: identifier.clone(),
                first: first + 1,
                second: position + 1,
            }));
            let mut refuse = |expected: &str| faults.push(BuildFault::check(identifier, expected));
            if identifier.trim().is_empty() || identifier.contains(char::is_control) {
                refuse("a name needs a visible character and no line break");
            }
            if RESERVED.contains(&identifier.as_str()) {
                refuse("this name is the engine's own: choose another one");
            }
            if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
                refuse("a timeout must be longer than zero");
            }
            if options.schedule == Some(Schedule::Every(Duration::ZERO)) {
                refuse("an interval must be longer than zero");
            }
            if let Some(source) = check.reported() {
                let is_set = options.schedule.is_some()
                    || options.thresholds != (1, 1)
                    || options.timeout.is_some()
                    || options.reconnect.is_some();
                if is_set {
                    refuse(
                        "the application reports it: leave ttl, every, thresholds, timeout and reconnect out",
                    );
                }
                if source.max_age == Some(Duration::ZERO) {
                    refuse("the time between two reports must be longer than zero");
                }
            }
            if options.thresholds.0 == 0 || options.thresholds.1 == 0 {
                refuse("thresholds count runs: rise and fall must be at least 1");
            }
        }
        faults
    }
}

/// The identifiers of the rows that the engine itself adds.
pub(crate) const DRAINING: &str = "Draining";
pub(crate) const STARTUP: &str = "Startup";
pub(crate) const RESERVED: [&str; 2] = [DRAINING, STARTUP];

/// The error of a health or an endpoint that could not be built. It lists all faults, of which
/// there is at least one.
///
/// ```
/// use std::time::Duration;
/// use health_core::{BuildFault, CheckExt, Health, check_fn};
///
/// let health = Health::builder()
///     .check(check_fn("cache", || async { Ok(()) }).timeout(Duration::ZERO))
///     .check(check_fn("queue", || async { Ok(()) }).groups(["raedy"]))
///     .build();
/// let error = health.unwrap_err();
/// assert_eq!(error.faults().len(), 2);
/// assert!(matches!(&error.faults()[0], BuildFault::Check { identifier, .. } if identifier == "cache"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BuildError(Vec<BuildFault>);

impl BuildError {
    /// Returns an error if there is a fault.
    pub(crate) fn check(faults: Vec<BuildFault>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self(faults))
        }
    }

    /// Returns the faults in the order in which they were found.
    pub fn faults(&self) -> &[BuildFault] {
        &self.0
    }
}

/// Writes each fault on a line of its own.
impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&faults.join("\n"))
    }
}

/// Writes the message, for a `main` that returns the error.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for BuildError {}

/// One fault of a [`BuildError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildFault {
    /// Two checks have the same identifier. Their positions count from 1.
    Duplicate {
        /// The identifier.
        identifier: String,
        /// The position of the first one.
        first: usize,
        /// The position of the second one.
        second: usize,
    },
    /// An option of a check is invalid.
    Check {
        /// The identifier of the check.
        identifier: String,
        /// The message: what is wrong and what to do.
        message: String,
    },
    /// A group is invalid or unknown.
    Group {
        /// The name of the group.
        group: String,
        /// The message: what is wrong and what to do.
        message: String,
    },
    /// A setting is invalid.
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// The message: what is wrong and what to do.
        message: String,
    },
}

impl BuildFault {
    pub(crate) fn check(identifier: &str, message: impl Into<String>) -> Self {
        Self::Check {
            identifier: identifier.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn group(group: &str, message: impl Into<String>) -> Self {
        Self::Group {
            group: group.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn setting(setting: &'static str, message: impl Into<String>) -> Self {
        Self::Setting {
            setting,
            message: message.into(),
        }
    }
}

impl fmt::Display for BuildFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate {
                identifier,
                first,
                second,
            } => {
                write!(
                    f,
                    "checks {first} and {second} are both \"{identifier}\": add .named(\"...\") to one of them"
                )
            }
            Self::Check {
                identifier,
                message,
            } => write!(f, "check \"{identifier}\": {message}"),
            Self::Group { group, message } => write!(f, "group \"{group}\": {message}"),
            Self::Setting { setting, message } => write!(f, "setting {setting}: {message}"),
        }
    }
}
