//! Reads `[fleet]`, and decides which checks are shared.

use std::time::Duration;

use health_core::{BoxCheck, Configured, HealthCheck as _, Scope, Secret};
use toml::de::{DeTable, DeValue};

use super::identity::Identity;
use super::table::{Document, Table};
use super::{Config, ConfigError};
use crate::kind::Kind;

/// The table `[fleet]`.
#[derive(Debug)]
pub(super) struct Fleet {
    #[cfg(feature = "fleet")]
    replicas: crate::RedisFleet,
    /// The addresses of its server.
    servers: Vec<Address>,
    /// The key of the hashes that name the shared checks.
    secret: Option<Secret>,
}

/// The keys of `[fleet]`, without those of the login and of TLS.
#[cfg(feature = "fleet")]
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    url: Secret,
    name: String,
    #[serde(default, with = "health_core::serde_duration::option")]
    own: Option<Duration>,
    secret: Option<Secret>,
}

#[cfg(feature = "fleet")]
impl Config {
    /// Reads `[fleet]`.
    pub(super) fn take_fleet<'a>(
        &mut self,
        document: &Document<'a>,
        root: &mut Table<'a>,
    ) -> Result<(), ConfigError> {
        use super::table::Places;
        use crate::fleet::{LONGEST_NAME, SHORTEST_OWN};
        use crate::kind::{Login, Misconfigured, TlsSettings};

        let Some(mut table) = document.table(root, "fleet")? else {
            return Ok(());
        };
        let places = Places::of(&table);
        let at = table.span.start;
        let tls: TlsSettings = document.read(table.split_off(TlsSettings::ALL))?;
        let login: Login = document.read(table.split_off(Login::ALL))?;
        let servers = servers(&table.values, &["url"]);
        let keys: Keys = document.read_beside(table, &[TlsSettings::ALL, Login::ALL].concat())?;
        if !tls.verify {
            let line = document.line(at);
            self.warnings.push(format!(
                "{}:{line}: fleet.verify: the certificate of the server is not verified",
                document.file
            ));
        }
        let build = || {
            if keys.name.trim().is_empty() || keys.name.len() > LONGEST_NAME {
                return Err(Misconfigured::new(
                    "name",
                    "expected a name of at most 100 characters",
                ));
            }
            if keys.own.is_some_and(|own| own < SHORTEST_OWN) {
                return Err(Misconfigured::new("own", "expected at least 1 s"));
            }
            let fleet = login.fleet(keys.url)?.name(&keys.name).tls(tls)?;
            Ok(if let Some(own) = keys.own {
                fleet.own(own)
            } else {
                fleet
            })
        };
        let fleet = build().map_err(|wrong| {
            let (start, key) = places.find(wrong.key);
            document.error(start, key, wrong.message)
        })?;
        self.fleet = Some(Fleet {
            replicas: fleet,
            servers,
            secret: keys.secret,
        });
        Ok(())
    }
}

#[cfg(not(feature = "fleet"))]
impl Config {
    /// Refuses `[fleet]`, because this build does not have the feature.
    pub(super) fn take_fleet<'a>(
        &mut self,
        document: &Document<'a>,
        root: &mut Table<'a>,
    ) -> Result<(), ConfigError> {
        let Some(table) = document.table(root, "fleet")? else {
            return Ok(());
        };
        let message = "this build has no fleet: switch on the cargo feature fleet of health-checks";
        Err(document.error(table.span.start, "fleet".into(), message))
    }
}

impl Fleet {
    /// Shares a check under this key.
    pub(super) fn share(&self, key: &str, check: Configured<BoxCheck>) -> Configured<BoxCheck> {
        #[cfg(feature = "fleet")]
        let check = self.replicas.share(key, check).map(BoxCheck::new);
        #[cfg(not(feature = "fleet"))]
        let _ = key;
        check
    }

    /// Returns the fleet itself as a check.
    pub(super) fn row(&self) -> Option<BoxCheck> {
        #[cfg(feature = "fleet")]
        let row = Some(BoxCheck::new(self.replicas.check()));
        #[cfg(not(feature = "fleet"))]
        let row = None;
        row
    }

    /// Runs the checks as if they were not shared.
    pub(super) fn switch_off(&self) {
        #[cfg(feature = "fleet")]
        self.replicas.switch_off();
    }
}

/// The host of a server, and its port if the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: Option<u16>,
}

impl Address {
    /// Returns `true` if each replica has a server of its own at this address.
    fn is_local(&self) -> bool {
        let ip: Option<std::net::IpAddr> = self.host.parse().ok();
        self.host.is_empty() || self.host == "localhost" || ip.is_some_and(|ip| ip.is_loopback())
    }

    fn may_be(&self, other: &Self) -> bool {
        self.host == other.host
            && (self.port == other.port || self.port.is_none() || other.port.is_none())
    }
}

/// The properties of a check that decide whether replicas share it.
pub(super) struct Candidate {
    /// The value of `shared`.
    pub(super) wanted: Option<bool>,
    pub(super) is_in_live: bool,
    /// Its own `ttl` or `every`.
    pub(super) interval: Option<Duration>,
    /// The `ttl` of all checks.
    pub(super) default: Duration,
}

impl Candidate {
    /// Returns the key under which the check is shared, or `None` if it is not. `fleet` is that of
    /// the file, if there is one; the table has the keys of the kind.
    ///
    /// A check is shared if all replicas check the same server over the network. A check of the
    /// fleet's own server is not shared, because its failure could not be shared.
    pub(super) fn key(
        &self,
        check: &BoxCheck,
        fleet: Option<&Fleet>,
        target: &Target,
    ) -> Result<Option<String>, &'static str> {
        let is_forced = self.wanted == Some(true);
        let Some(fleet) = fleet.filter(|_| self.wanted != Some(false)) else {
            return if is_forced {
                Err("there is no [fleet] that would share it")
            } else {
                Ok(None)
            };
        };
        let ttl = self
            .interval
            .unwrap_or_else(|| self.default.max(check.default_ttl().unwrap_or_default()));
        let servers = &target.servers;
        let may_be_own = |server: &Address| fleet.servers.iter().any(|own| own.may_be(server));
        let wrong = if check.scope() != Scope::External {
            "it checks this process or this machine, which differs in each replica"
        } else if check.measures() {
            "it warns of what is to come, which no probe needs"
        } else if self.is_in_live {
            "live is about this process alone"
        } else if ttl.is_zero() {
            "with ttl = 0, each request runs it"
        } else if servers.iter().any(|server| fleet.servers.contains(server)) {
            "its server is that of the fleet: without it, nothing is shared"
        } else {
            let is_local = servers.is_empty() || servers.iter().any(Address::is_local);
            let is_shared = is_forced || !is_local && !servers.iter().any(may_be_own);
            return Ok(is_shared.then(|| target.identity.hash(fleet.secret.as_ref())));
        };
        if is_forced { Err(wrong) } else { Ok(None) }
    }
}

/// The servers and the settings of a check, by the keys of its table.
pub(super) struct Target {
    servers: Vec<Address>,
    identity: Identity,
}

impl Target {
    /// Reads the table of a check, from which the keys that all checks have were removed, and its
    /// keys of TLS.
    pub(super) fn new(kind: &Kind, table: &Table<'_>, tls: Identity) -> Self {
        Self {
            servers: servers(&table.values, kind.servers),
            identity: Identity::of(kind, &table.values).and(tls),
        }
    }
}

/// Returns the servers that these keys name, as URLs or as `host:port`.
fn servers(values: &DeTable<'_>, keys: &[&str]) -> Vec<Address> {
    let mut servers = Vec::new();
    for key in keys {
        match values.get(*key).map(toml::Spanned::get_ref) {
            Some(DeValue::String(text)) => servers.extend(addresses(text)),
            Some(DeValue::Array(items)) => {
                servers.extend(
                    items
                        .iter()
                        .filter_map(|item| item.get_ref().as_str())
                        .flat_map(addresses),
                );
            }
            _ => {}
        }
    }
    servers
}

/// Returns the servers of a URL, which may have several.
fn addresses(text: &str) -> Vec<Address> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let place = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let address = |text: &str| {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (text, None),
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        Address { host, port }
    };
    place.split(',').map(address).collect()
}
