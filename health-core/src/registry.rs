use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::check::{BoxCheck, CheckExt, HealthCheck as _, Options, Refresh};

/// The checks of a service, with their options. Two of one identifier are refused when the health is built.
///
/// [`HealthBuilder::check`](crate::HealthBuilder::check) fills one by itself; a registry of its own is for code that
/// collects checks in several places.
///
/// ```
/// use health_core::{check_fn, Health, Registry};
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
        self.entries.push(Entry { identifier, check: configured.check, options: configured.options });
    }

    /// Takes all checks out.
    #[doc(alias = "reset")]
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The identifiers, in the order of registration.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.identifier.as_str())
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// Refuses what can be seen to be wrong without knowing the groups.
    pub(crate) fn validate(&self) -> Result<(), BuildError> {
        let mut seen = HashMap::new();
        for (position, Entry { identifier, options, .. }) in self.entries.iter().enumerate() {
            let refuse = |expected: &str| Err(BuildError::option(identifier, expected));
            if let Some(first) = seen.insert(identifier, position) {
                return Err(BuildError::Duplicate {
                    identifier: identifier.clone(),
                    first: first + 1,
                    second: position + 1,
                });
            }
            if identifier.trim().is_empty() || identifier.contains(char::is_control) {
                return refuse("a name needs a visible character and no line break");
            }
            if RESERVED.contains(&identifier.as_str()) {
                return refuse("this name is the engine's own: choose another one");
            }
            if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
                return refuse("a timeout must be longer than zero");
            }
            if options.refresh == Some(Refresh::Every(Duration::ZERO)) {
                return refuse("an interval must be longer than zero");
            }
            if options.thresholds.0 == 0 || options.thresholds.1 == 0 {
                return refuse("thresholds count runs: rise and fall must be at least 1");
            }
        }
        Ok(())
    }
}

/// The rows that the engine adds by itself.
pub(crate) const DRAINING: &str = "Draining";
pub(crate) const STARTUP: &str = "Startup";
pub(crate) const RESERVED: [&str; 2] = [DRAINING, STARTUP];

/// Why a service's health could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Two checks of one identifier; their positions count from 1.
    Duplicate {
        /// The identifier.
        identifier: String,
        /// The position of the first one.
        first: usize,
        /// The position of the second one.
        second: usize,
    },
    /// An option of a check that can't be.
    Option {
        /// The check.
        identifier: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A group that can't be.
    Group {
        /// The group.
        group: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A setting that can't be.
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong and what to do.
        message: &'static str,
    },
}

impl BuildError {
    pub(crate) fn option(identifier: &str, message: impl Into<String>) -> Self {
        Self::Option { identifier: identifier.to_owned(), message: message.into() }
    }

    pub(crate) fn group(group: &str, message: impl Into<String>) -> Self {
        Self::Group { group: group.to_owned(), message: message.into() }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { identifier, first, second } => {
                write!(f, "checks {first} and {second} are both \"{identifier}\": add .named(\"...\") to one of them")
            }
            Self::Option { identifier, message } => write!(f, "check \"{identifier}\": {message}"),
            Self::Group { group, message } => write!(f, "group \"{group}\": {message}"),
            Self::Setting { setting, message } => write!(f, "setting {setting}: {message}"),
        }
    }
}

impl std::error::Error for BuildError {}
