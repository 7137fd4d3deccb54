//! Reads a service's checks from a TOML file, and adds what the environment sets.
//!
//! ```
//! use health_checks::config::{Config, Options};
//!
//! let text = r#"
//!     [settings]
//!     timeout = "2s"
//!
//!     [[checks]]
//!     kind = "disk"
//!     path = "${DATA_DIR:-/}"
//! "#;
//! let variables = |name: &str| std::env::var_os(name);
//! let config = Config::from_text("health.toml", text, &variables, &Options::default())?;
//! let health = config.build()?;
//! assert_eq!(health.identifiers().collect::<Vec<_>>(), ["DiskUsage"]);
//! # Ok::<(), health_checks::config::ConfigError>(())
//! ```
//!
//! | key of a check | meaning |
//! |---|---|
//! | `kind` | the kind of the check: see [`CATALOGUE`] |
//! | `name` | the identifier of the check, in place of the kind's own; for `celery` it replaces the prefix |
//! | `enabled` | false leaves the check out; its own keys may then be missing, but those that are present have to be valid |
//! | `critical` | true if errors of the check make the service unhealthy |
//! | `groups` | the groups that the check belongs to |
//! | `timeout`, `ttl`, `every` | durations: `"500ms"`, `"5s"` or a number of seconds; either `ttl` or `every` |
//! | `reconnect` | the longest that the check keeps a connection of its own; `[settings]` has a value for all checks, 30 s |
//! | `hold` | the length of its hold in groups that have one: a duration, or `"forever"` |
//! | `thresholds` | `{rise = 2, fall = 3}`: the number of runs in a row that change the verdict |
//! | `depends_on` | checks that this check needs to work |
//! | `labels` | names and values for metrics |
//! | `shared` | true if the replicas of `[fleet]` share the check; by default, checks of a server over the network are shared |
//! | `ca_file`, `client_cert`, `client_key`, `server_name`, `verify` | for kinds that speak TLS: see [`TlsSettings`](crate::catalogue::TlsSettings) |
//! | `username`, `password`, `password_file` | for kinds with a URL: see [`Login`](crate::catalogue::Login) |
//! | others | the keys of the kind |
//!
//! In every string, `${VAR}` is the variable of that name, `${VAR:-default}` has a default,
//! `${VAR|url}` is percent-encoded, `${file:/path}` is the content of a file, and `$${` stands for
//! `${`: see [`expand`]. The result becomes a number or a switch if the key expects one. A variable
//! such as `DISK_USAGE_MAX` fills a key that is missing, and so does the content of the file that
//! `DISK_USAGE_MAX_FILE` names: see [`Kind::variables`](crate::catalogue::Kind::variables).
//! Variables are not expanded in a check with `enabled = false`.
//!
//! A secret is never an empty text: write `token = false` for an endpoint without a token.

mod check;
#[cfg(feature = "embedded")]
mod embedded;
mod endpoints;
mod environment;
mod error;
mod expand;
mod fleet;
mod identity;
mod schema;
mod table;
mod variable;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use health_core::{
    BuildError, BuildFault, Endpoint, GroupSettings, Health, HealthBuilder, Registry, Settings,
};

pub use check::COMMON;
#[cfg(feature = "embedded")]
pub use embedded::Scratch;
use endpoints::EndpointTable;
use environment::Environment;
pub use error::ConfigError;
pub use expand::text as expand;
pub use schema::schema;
use table::{Document, Table};

use crate::catalogue::CATALOGUE;
use crate::kind::Kind;
use crate::support::file;

/// The source of environment variables: `|name| std::env::var_os(name)` outside of tests. A
/// variable that is used and is not UTF-8 is an error.
pub type Variables<'a> = &'a (dyn Fn(&str) -> Option<OsString> + Sync);

/// Options that are not in the file.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The timeout of every check, which overrides the file.
    pub timeout: Option<Duration>,
    /// Kinds in addition to those of the [`CATALOGUE`].
    pub kinds: Vec<Kind>,
}

/// The content of a file, validated as far as possible without running anything.
#[derive(Debug)]
pub struct Config {
    /// The table `[settings]`.
    pub settings: Settings,
    /// The tables `[groups.NAME]`.
    pub groups: BTreeMap<String, GroupSettings>,
    /// The checks of `[[checks]]` that are not switched off.
    pub checks: Registry,
    endpoints: Vec<EndpointTable>,
    /// The table `[fleet]`.
    fleet: Option<fleet::Fleet>,
    notice: Option<String>,
    warnings: Vec<String>,
    lines: Lines,
}

/// The lines of the file, for errors that only appear when the `Health` is built.
#[derive(Debug, Default)]
struct Lines {
    file: String,
    settings: BTreeMap<String, usize>,
    groups: BTreeMap<String, usize>,
    /// The identifier, the line, and the number of the check in the file.
    checks: Vec<(String, usize, usize)>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if [`from_text`](Self::from_text) refuses
    /// its content.
    pub fn from_file(
        path: &Path,
        variables: Variables<'_>,
        options: &Options,
    ) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let file =
            std::fs::File::open(path).map_err(|error| ConfigError::unreadable(&name, &error))?;
        Self::from_reader(&name, file, variables, options)
    }

    /// Reads a source, such as standard input, to its end. The name is used in messages.
    ///
    /// # Errors
    /// Returns an error if the source cannot be read, or if [`from_text`](Self::from_text) refuses
    /// its content.
    pub fn from_reader(
        name: &str,
        reader: impl std::io::Read,
        variables: Variables<'_>,
        options: &Options,
    ) -> Result<Self, ConfigError> {
        let text = file::all(reader).map_err(|error| ConfigError::unreadable(name, &error))?;
        Self::from_text(name, &text, variables, options)
    }

    /// Reads the text of a file. The name of the file is used in messages.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML, and for unknown kinds and keys, wrong types, empty
    /// secrets, and variables that are not set.
    pub fn from_text(
        file: &str,
        text: &str,
        variables: Variables<'_>,
        options: &Options,
    ) -> Result<Self, ConfigError> {
        let document = Document { file, text };
        let kinds: Vec<&Kind> = CATALOGUE.iter().chain(&options.kinds).collect();
        let environment = Environment::read(kinds.iter().copied(), variables);
        let mut root = document.parse()?;
        expand::expand(&document, &mut root, variables)?;
        let mut config = Self {
            settings: Settings::default(),
            groups: BTreeMap::new(),
            checks: Registry::default(),
            endpoints: Vec::new(),
            fleet: None,
            notice: None,
            warnings: Vec::new(),
            lines: Lines {
                file: file.to_owned(),
                ..Lines::default()
            },
        };
        config.take_settings(&document, &mut root, &environment)?;
        for (name, line, group) in document.tables(&mut root, "groups")? {
            config.lines.groups.insert(name.clone(), line);
            config.groups.insert(name, document.read(group)?);
        }
        config.take_fleet(&document, &mut root)?;
        let checks = document.list(&mut root, "checks")?;
        for table in document.list(&mut root, "endpoints")? {
            config
                .endpoints
                .push(EndpointTable::read(&document, table)?);
        }
        let warnings = endpoints::warnings(file, &config.settings, &config.endpoints);
        config.warnings.extend(warnings);
        document.refuse_rest(
            &root,
            &["settings", "groups", "endpoints", "fleet", "checks"],
        )?;
        check::read_all(
            &document,
            checks,
            &kinds,
            &environment,
            options,
            &mut config,
        )?;
        if config.checks.identifiers().next().is_none() {
            config.warnings.push(format!(
                "{file}: there are no checks, so nothing is looked at"
            ));
        }
        Ok(config)
    }

    fn take_settings<'a>(
        &mut self,
        document: &Document<'a>,
        root: &mut Table<'a>,
        environment: &'a Environment,
    ) -> Result<(), ConfigError> {
        let mut table = document.table(root, "settings")?.unwrap_or_default();
        for (key, value) in table.entries() {
            self.lines
                .settings
                .insert(key.to_owned(), document.line(value.start));
        }
        environment.fill(&mut table, environment::SETTINGS, &[], false)?;
        table.take_off("token");
        self.settings = document.read(table)?;
        Ok(())
    }

    /// Returns a builder with the checks, settings and groups, for code that adds to them. The
    /// `[[endpoints]]` of the file are not part of it.
    pub fn into_builder(self) -> HealthBuilder {
        self.parts().0
    }

    /// Builds the `Health` that the file describes.
    ///
    /// # Errors
    /// Returns an error if two checks have the same identifier, if a group or a dependency does not
    /// exist, or if a setting is invalid.
    pub fn build(self) -> Result<Health, ConfigError> {
        self.build_with(|builder| builder)
    }

    /// Builds the `Health` after `add` has changed the builder, for example to add a listener.
    /// Unlike after [`into_builder`](Self::into_builder), errors name the line.
    ///
    /// # Errors
    /// Returns the same errors as [`build`](Self::build).
    pub fn build_with(
        self,
        add: impl FnOnce(HealthBuilder) -> HealthBuilder,
    ) -> Result<Health, ConfigError> {
        Ok(self.build_endpoints(add)?.0)
    }

    /// Builds the `Health`, as [`build_with`](Self::build_with) does, and its `[[endpoints]]`. A
    /// file without any has one endpoint, as `[settings]` describe it.
    ///
    /// ```
    /// use health_checks::config::{Config, Options};
    ///
    /// let text = r#"
    ///     [[endpoints]]
    ///     path = "/ht/"
    ///
    ///     [[endpoints]]
    ///     path = "/status/"
    ///     anonymous = "status"
    ///     formats = ["json"]
    /// "#;
    /// let config = Config::from_text("health.toml", text, &|_| None, &Options::default())?;
    /// let (health, endpoints) = config.build_endpoints(|builder| builder)?;
    /// assert_eq!(
    ///     endpoints
    ///         .iter()
    ///         .map(|endpoint| endpoint.base())
    ///         .collect::<Vec<_>>(),
    ///     ["/ht", "/status"]
    /// );
    /// # Ok::<(), health_checks::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`build`](Self::build).
    pub fn build_endpoints(
        self,
        add: impl FnOnce(HealthBuilder) -> HealthBuilder,
    ) -> Result<(Health, Vec<Endpoint>), ConfigError> {
        let (builder, endpoints, lines) = self.parts();
        let health = add(builder).build().map_err(|error| lines.locate(&error))?;
        let endpoints = endpoints::build(&endpoints, &health)?;
        Ok((health, endpoints))
    }

    fn parts(self) -> (HealthBuilder, Vec<EndpointTable>, Lines) {
        let mut builder = Health::builder()
            .settings(self.settings)
            .registry(self.checks);
        for (name, group) in self.groups {
            builder = builder.group(name, group);
        }
        if let Some(notice) = self.notice {
            builder = builder.notice(notice);
        }
        if let Some(row) = self.fleet.and_then(|fleet| fleet.row()) {
            builder = builder.check(row);
        }
        (builder, self.endpoints, self.lines)
    }

    /// Ignores `[fleet]`, for a process that reads its checks only once.
    #[must_use]
    pub fn without_fleet(mut self) -> Self {
        if let Some(fleet) = self.fleet.take() {
            fleet.switch_off();
        }
        self
    }

    /// Returns `true` if the file has `[[endpoints]]`.
    pub fn has_endpoints(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// Returns warnings about a valid file, such as a certificate that is not verified, or a file
    /// without checks. Each warning names the file.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns a notice for all readers of the reports, such as that no file was given.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }
}

impl Lines {
    fn locate(&self, error: &BuildError) -> ConfigError {
        ConfigError::all(error.faults().iter().map(|fault| self.locate_fault(fault)))
    }

    fn locate_fault(&self, fault: &BuildFault) -> ConfigError {
        let check = |name: &str| {
            self.checks
                .iter()
                .find(|(identifier, ..)| identifier == name)
        };
        let (line, message) = match fault {
            BuildFault::Duplicate {
                identifier,
                first,
                second,
            } => {
                let nth = |position: usize| self.checks.get(position - 1);
                let number =
                    |position: usize| nth(position).map_or(position, |(.., number)| *number);
                let line = nth(*second).map(|(_, line, _)| *line);
                let second = number(*second);
                let first = number(*first);
                (
                    line,
                    format!(
                        "checks {first} and {second} are both \"{identifier}\": add name = \"...\""
                    ),
                )
            }
            BuildFault::Check { identifier, .. } => (
                check(identifier).map(|(_, line, _)| *line),
                fault.to_string(),
            ),
            BuildFault::Group { group, .. } => (self.groups.get(group).copied(), fault.to_string()),
            BuildFault::Setting { setting, .. } => {
                (self.settings.get(*setting).copied(), fault.to_string())
            }
            _ => (None, fault.to_string()),
        };
        ConfigError::new(&self.file, line, None, message)
    }
}
