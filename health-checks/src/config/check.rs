//! `[[checks]]`: the keys that all checks take, and the keys of their kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use health_core::{BoxCheck, CheckExt as _, Configured, HealthCheck as _, Hold};
use serde::Deserialize;
use toml::de::DeValue;

use super::environment::Environment;
use super::fleet::{Candidate, Fleet, Target};
use super::identity::Identity;
use super::table::{Document, Places, Table, is_missing};
use super::{Config, ConfigError, Options};
use crate::kind::{Failure, Kind, Login, TlsSettings};
use crate::support::nearest::hint;

/// The keys that any check takes, beside `kind`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Common {
    name: Option<String>,
    enabled: Option<bool>,
    critical: Option<bool>,
    groups: BTreeSet<String>,
    #[serde(with = "health_core::serde_duration::option")]
    timeout: Option<Duration>,
    #[serde(with = "health_core::serde_duration::option")]
    ttl: Option<Duration>,
    #[serde(with = "health_core::serde_duration::option")]
    reconnect: Option<Duration>,
    #[serde(with = "health_core::serde_duration::option")]
    every: Option<Duration>,
    hold: Option<Hold>,
    thresholds: Option<Thresholds>,
    depends_on: BTreeSet<String>,
    labels: BTreeMap<String, String>,
    shared: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Thresholds {
    rise: u32,
    fall: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { rise: 1, fall: 1 }
    }
}

/// The keys that any check takes, beside `kind`.
pub const COMMON: &[&str] = &[
    "name",
    "enabled",
    "critical",
    "groups",
    "timeout",
    "ttl",
    "every",
    "reconnect",
    "hold",
    "thresholds",
    "depends_on",
    "labels",
    "shared",
];

pub(super) fn read_all<'a>(
    document: &Document<'a>,
    checks: Vec<Table<'a>>,
    kinds: &[&Kind],
    environment: &'a Environment,
    options: &Options,
    config: &mut Config,
) -> Result<(), ConfigError> {
    let mut filled = BTreeMap::new();
    let mut shares = false;
    let fleet = config.fleet.take();
    let ttl = config.settings.ttl;
    for (position, table) in checks.into_iter().enumerate() {
        let number = position + 1;
        let line = document.line(table.span.start);
        let warnings = &mut config.warnings;
        let mut check = Checks {
            document,
            kinds,
            environment,
            options,
            fleet: fleet.as_ref(),
            ttl,
            filled: &mut filled,
            warnings,
            number,
            shares: false,
        };
        let checks = check.read(table)?;
        shares |= check.shares;
        for check in checks {
            config.checks.register(check);
            let identifier = config
                .checks
                .identifiers()
                .last()
                .unwrap_or_default()
                .to_owned();
            config.lines.checks.push((identifier, line, number));
        }
    }
    config.fleet = fleet;
    if config.fleet.is_some() && !shares {
        let file = document.file;
        config.warnings.push(format!("{file}: no check is shared in the fleet, so [fleet] has no effect: a check whose server is on this machine needs shared = true"));
    }
    Ok(())
}

/// Settings that many kinds share, and their places in the file.
struct Beside<S> {
    settings: S,
    places: Places,
}

struct Checks<'c, 'a> {
    document: &'c Document<'a>,
    kinds: &'c [&'c Kind],
    environment: &'a Environment,
    options: &'c Options,
    /// The fleet of the file, if there is one.
    fleet: Option<&'c Fleet>,
    /// The `ttl` of all checks.
    ttl: Duration,
    /// The number of the check for which a variable filled a key, by kind and key.
    filled: &'c mut BTreeMap<(&'static str, &'static str), usize>,
    warnings: &'c mut Vec<String>,
    number: usize,
    /// `true` if the check is shared, once that is known.
    shares: bool,
}

impl<'a> Checks<'_, 'a> {
    fn read(&mut self, mut table: Table<'a>) -> Result<Vec<Configured<BoxCheck>>, ConfigError> {
        let kind = self.kind(&mut table)?;
        let own = table.split_off(COMMON);
        let shared = own
            .entries()
            .find(|(key, _)| *key == "shared")
            .map_or(own.span.start, |(_, span)| span.start);
        let shared = (shared, own.key("shared"));
        let common = self.common(own)?;
        let credential = credential(&kind, &table);
        let expected = Identity::of_tls(&table.values);
        let tls = self.tls(&kind, &mut table)?;
        let login = self.login(&kind, &mut table)?;
        if common.enabled == Some(false) {
            return self.switched_off(&kind, table).map(|()| Vec::new());
        }
        let filled = self.fill(&kind, &mut table, credential)?;
        let candidate = Candidate {
            wanted: common.shared,
            is_in_live: common.groups.contains("live"),
            interval: common.every.or(common.ttl),
            default: self.ttl,
        };
        let target = Target::new(&kind, &table, expected);
        let checks = self.build(&kind, table, (tls, login), &filled)?;
        let refused = |message| self.document.error(shared.0, shared.1.clone(), message);
        let key = checks
            .first()
            .map(|check| candidate.key(check, self.fleet, &target).map_err(refused))
            .transpose()?
            .flatten();
        self.shares = key.is_some();
        let configure = |check: BoxCheck| {
            let name = common
                .name
                .as_ref()
                .map(|name| (kind.renamed)(&check.identifier(), name));
            let check = match name {
                Some(name) => check.named(name),
                None => check.into_check(),
            };
            let check = common.apply(check, self.options.timeout);
            match (self.fleet, &key) {
                (Some(fleet), Some(key)) => fleet.share(key, check),
                _ => check,
            }
        };
        Ok(checks.into_iter().map(configure).collect())
    }

    fn kind(&self, table: &mut Table<'a>) -> Result<Kind, ConfigError> {
        let names = || self.kinds.iter().map(|kind| kind.name);
        let listed = || names().collect::<Vec<_>>().join(", ");
        let Some(value) = table.take("kind") else {
            let message = format!(
                "missing: it says which check this is; the kinds are {}",
                listed()
            );
            return Err(self
                .document
                .error(table.span.start, table.key("kind"), message));
        };
        let start = value.span().start;
        let DeValue::String(name) = value.into_inner() else {
            return Err(self
                .document
                .error(start, table.key("kind"), "expected a string"));
        };
        let known = self.kinds.iter().find(|kind| kind.name == name);
        known.map(|kind| **kind).ok_or_else(|| {
            let message = format!(
                "unknown kind{}; the kinds are {}",
                hint(&name, names()),
                listed()
            );
            self.document.error(start, table.key("kind"), message)
        })
    }

    fn common(&self, table: Table<'a>) -> Result<Common, ConfigError> {
        let place = |key: &str| {
            table
                .entries()
                .find(|(name, _)| *name == key)
                .map_or(0, |(_, span)| span.start)
        };
        let timeout = place("timeout");
        let every = place("every");
        let timeout_key = table.key("timeout");
        let every_key = table.key("every");
        let common: Common = self.document.read(table)?;
        if common.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(self.document.error(
                timeout,
                timeout_key,
                "expected a duration longer than zero",
            ));
        }
        if common.ttl.is_some() && common.every.is_some() {
            let message = "a check runs when it is read (ttl) or by itself (every), not both";
            return Err(self.document.error(every, every_key, message));
        }
        Ok(common)
    }

    /// Takes the TLS keys that the kind supports. Other TLS keys stay in the table, where they are
    /// refused as unknown.
    fn tls(
        &mut self,
        kind: &Kind,
        table: &mut Table<'a>,
    ) -> Result<Beside<TlsSettings>, ConfigError> {
        let keys = table.split_off(kind.tls);
        let places = Places::of(&keys);
        let start = keys.span.start;
        let key = keys.key("verify");
        let settings: TlsSettings = self.document.read(keys)?;
        if !settings.verify {
            let line = self.document.line(start);
            let file = self.document.file;
            self.warnings.push(format!(
                "{file}:{line}: {key}: the certificate of the server is not verified"
            ));
        }
        Ok(Beside { settings, places })
    }

    /// Takes the login keys that are allowed beside the kind's URL. That URL may be a default.
    fn login(&self, kind: &Kind, table: &mut Table<'a>) -> Result<Beside<Login>, ConfigError> {
        let keys = table.split_off(kind.login);
        let places = Places::of(&keys);
        Ok(Beside {
            settings: self.document.read(keys)?,
            places,
        })
    }

    /// Validates a check that is switched off. Its keys have to be valid, but none is required.
    fn switched_off(&self, kind: &Kind, table: Table<'a>) -> Result<(), ConfigError> {
        let places = Places::of(&table);
        let table = table.typed(kind.read);
        // If a table has an invalid key and lacks another one, serde reports the invalid key.
        match (kind.read)(table.into_deserializer()) {
            Err(error) if !is_missing(&error) => {
                Err(self.document.translate(&error, &places, COMMON))
            }
            _ => Ok(()),
        }
    }

    /// Fills missing keys from the environment. One variable cannot fill a key for two checks.
    fn fill(
        &mut self,
        kind: &Kind,
        table: &mut Table<'a>,
        credential: Option<(usize, String)>,
    ) -> Result<Vec<(&'static str, &'a str)>, ConfigError> {
        let are_written = credential.is_some();
        let filled = self
            .environment
            .fill(table, kind.variables, kind.credentials, are_written)?;
        let server = filled.iter().find(|(key, _)| kind.servers.contains(key));
        if let (Some((start, key)), Some((server, variable))) = (credential, server) {
            let variable = variable.strip_suffix("_FILE").unwrap_or(variable);
            let message = format!(
                "for a server that only the variable {variable} names: write {server} = \"${{{variable}}}\" as well"
            );
            return Err(self.document.error(start, key, message));
        }
        for (key, variable) in &filled {
            if let Some(other) = self.filled.insert((kind.name, *key), self.number) {
                let number = self.number;
                let message = format!(
                    "missing here and in check {other}, and {variable} can't be for both: write the key"
                );
                return Err(self.document.error(
                    table.span.start,
                    format!("checks[{number}].{key}"),
                    message,
                ));
            }
        }
        Ok(filled)
    }

    /// Builds the checks of a table. An error in a key that a variable filled names the variable.
    fn build(
        &self,
        kind: &Kind,
        table: Table<'a>,
        (tls, login): (Beside<TlsSettings>, Beside<Login>),
        filled: &[(&'static str, &'a str)],
    ) -> Result<Vec<BoxCheck>, ConfigError> {
        let places = Places::of(&table);
        let table = table.typed(kind.read);
        let wrong = match (kind.build)(table.into_deserializer(), tls.settings, login.settings) {
            Ok(checks) => return Ok(checks),
            Err(Failure::Syntax(error)) => {
                let others: Vec<_> = COMMON
                    .iter()
                    .chain(kind.login)
                    .chain(kind.tls)
                    .copied()
                    .collect();
                self.document.translate(&error, &places, &others)
            }
            Err(Failure::Value(wrong)) => {
                let places = match wrong.key {
                    key if kind.tls.contains(&key) => tls.places,
                    key if kind.login.contains(&key) => login.places,
                    _ => places,
                };
                let (start, key) = places.find(wrong.key);
                self.document.error(start, key, wrong.message)
            }
        };
        let key = wrong.key().and_then(|key| key.rsplit('.').next());
        let variable = filled
            .iter()
            .find(|(filled, _)| Some(*filled) == key)
            .map(|(_, variable)| *variable);
        Err(variable.map_or_else(
            || wrong.clone(),
            |variable| ConfigError::variable(variable, wrong.message()),
        ))
    }
}

/// Returns the place and the name of the first key of a login that the file has.
fn credential(kind: &Kind, table: &Table<'_>) -> Option<(usize, String)> {
    table
        .entries()
        .find(|(key, _)| kind.credentials.contains(key))
        .map(|(key, span)| (span.start, table.key(key)))
}

impl Common {
    fn apply(
        &self,
        mut check: Configured<BoxCheck>,
        timeout: Option<Duration>,
    ) -> Configured<BoxCheck> {
        check = check
            .groups(self.groups.iter().cloned())
            .depends_on(self.depends_on.iter().cloned());
        check = check.labels(
            self.labels
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        if let Some(critical) = self.critical {
            check = check.critical(critical);
        }
        if let Some(timeout) = timeout.or(self.timeout) {
            check = check.timeout(timeout);
        }
        if let Some(ttl) = self.ttl {
            check = check.ttl(ttl);
        }
        if let Some(every) = self.every {
            check = check.every(every);
        }
        if let Some(reconnect) = self.reconnect {
            check = check.reconnect(reconnect);
        }
        if let Some(hold) = self.hold {
            check = check.hold(hold);
        }
        if let Some(Thresholds { rise, fall }) = self.thresholds {
            check = check.thresholds(rise, fall);
        }
        check
    }
}
