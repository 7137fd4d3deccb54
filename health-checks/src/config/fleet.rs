//! Reads `[fleet]`, and decides which checks are shared.

use health_core::{BoxCheck, HealthCheck as _, Scope};
use toml::de::{DeTable, DeValue};

use super::table::{Document, Table};
use super::{Config, ConfigError};
use crate::kind::Kind;

/// The keys of `[fleet]`, without those of the login and of TLS.
#[cfg(feature = "fleet")]
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    url: health_core::Secret,
    name: String,
    #[serde(default, with = "health_core::serde_duration::option")]
    own: Option<std::time::Duration>,
}

#[cfg(feature = "fleet")]
impl Config {
    /// Reads `[fleet]`.
    pub(super) fn take_fleet<'a>(
        &mut self,
        document: &Document<'a>,
        root: &mut Table<'a>,
    ) -> Result<(), ConfigError> {
        use health_core::fleet::{LONGEST_NAME, SHORTEST_OWN};

        use super::table::Places;
        use crate::kind::{Login, Misconfigured, TlsSettings};

        let Some(mut table) = document.table(root, "fleet")? else {
            return Ok(());
        };
        let places = Places::of(&table);
        let at = table.span.start;
        let tls: TlsSettings = document.read(table.split_off(TlsSettings::ALL))?;
        let login: Login = document.read(table.split_off(Login::ALL))?;
        self.fleet_servers = servers(&table.values, &["url"]);
        let Keys { url, name, own } =
            document.read_beside(table, &[TlsSettings::ALL, Login::ALL].concat())?;
        if !tls.verify {
            let line = document.line(at);
            self.warnings.push(format!(
                "{}:{line}: fleet.verify: the certificate of the server is not verified",
                document.file
            ));
        }
        let build = || {
            if name.trim().is_empty() || name.len() > LONGEST_NAME {
                return Err(Misconfigured::new(
                    "name",
                    "expected a name of at most 100 characters",
                ));
            }
            if own.is_some_and(|own| own < SHORTEST_OWN) {
                return Err(Misconfigured::new("own", "expected at least 1 s"));
            }
            let fleet = login.fleet(url)?.name(&name).tls(tls)?;
            Ok(if let Some(own) = own {
                fleet.own(own)
            } else {
                fleet
            })
        };
        let fleet = build().map_err(|wrong| {
            let (start, key) = places.find(wrong.key);
            document.error(start, key, wrong.message)
        })?;
        self.fleet = Some(fleet);
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
        let message = "replicas can't share their verdicts in this version: leave [fleet] out";
        Err(document.error(table.span.start, "fleet".into(), message))
    }
}

impl Config {
    pub(super) fn has_fleet(&self) -> bool {
        !self.fleet_servers.is_empty()
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
    /// `true` if its `ttl` is zero.
    never_fresh: bool,
    servers: Vec<Address>,
    /// The hash of its kind and of its settings without secrets.
    key: String,
}

impl Candidate {
    /// Reads the table of a check, from which the keys that all checks have were removed.
    pub(super) fn new(
        wanted: Option<bool>,
        is_in_live: bool,
        never_fresh: bool,
        kind: &Kind,
        table: &Table<'_>,
    ) -> Self {
        Self {
            wanted,
            is_in_live,
            never_fresh,
            servers: servers(&table.values, kind.servers),
            key: key(kind, &table.values),
        }
    }

    /// Returns the key under which the check is shared, or `None` if it is not. `fleet` has the
    /// addresses of the fleet's own server, if there is a fleet.
    ///
    /// A check is shared if all replicas check the same server over the network. A check of the
    /// fleet's own server is not shared, because its failure could not be shared.
    pub(super) fn key(
        self,
        check: &BoxCheck,
        fleet: Option<&[Address]>,
    ) -> Result<Option<String>, &'static str> {
        let is_forced = self.wanted == Some(true);
        let wrong = match fleet {
            _ if self.wanted == Some(false) => return Ok(None),
            None => Some("there is no [fleet] that would share it"),
            _ if check.scope() != Scope::External => {
                Some("it checks this process or this machine, which differs in each replica")
            }
            _ if self.is_in_live => Some("live is about this process alone"),
            _ if self.never_fresh => Some("with ttl = 0, each request runs it"),
            Some(own)
                if self
                    .servers
                    .iter()
                    .any(|server| own.iter().any(|own| own.may_be(server)))
                    && !is_forced =>
            {
                return Ok(None);
            }
            Some(own) if self.servers.iter().any(|server| own.contains(server)) => {
                Some("its server is that of the fleet: without it, nothing is shared")
            }
            Some(_) if self.servers.is_empty() || self.servers.iter().any(Address::is_local) => {
                return Ok(is_forced.then_some(self.key));
            }
            Some(_) => return Ok(Some(self.key)),
        };
        match wrong {
            Some(wrong) if is_forced => Err(wrong),
            _ => Ok(None),
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

/// Parts of the names of keys and of parameters whose values are secret.
const SECRET: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "key",
    "credential",
    "headers",
    "metadata",
    "body",
    "sig",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// Returns a hash of the kind and of its settings without secrets. It is the same in every replica,
/// whatever the order of the keys.
fn key(kind: &Kind, values: &DeTable<'_>) -> String {
    let mut parts: Vec<String> = values
        .iter()
        .map(|(name, value)| part(kind, name.get_ref(), value.get_ref()))
        .collect();
    parts.sort_unstable();
    let text = format!("{}\n{}", kind.name, parts.join("\n"));
    let hash = uuid::Uuid::new_v5(&NAMESPACE, text.as_bytes())
        .simple()
        .to_string();
    hash[..16].to_owned()
}

/// The namespace of the hashes. A different one would be a different schema.
const NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x8d3b_1f6e_52c7_4f0a_9a61_7be0_44d9_c1e2);

fn part(kind: &Kind, name: &str, value: &DeValue<'_>) -> String {
    match value {
        _ if is_secret(name) && !kind.servers.contains(&name) => name.to_owned(),
        DeValue::String(text) if text.contains("://") => {
            format!("{name}={}", without_secrets(text))
        }
        DeValue::Table(inner) => {
            let mut parts: Vec<String> = inner
                .iter()
                .map(|(name, value)| part(kind, name.get_ref(), value.get_ref()))
                .collect();
            parts.sort_unstable();
            format!("{name}={{{}}}", parts.join(","))
        }
        DeValue::Array(items) => {
            let parts: Vec<String> = items
                .iter()
                .map(|item| part(kind, "", item.get_ref()))
                .collect();
            format!("{name}=[{}]", parts.join(","))
        }
        DeValue::String(text) => format!("{name}={text}"),
        DeValue::Integer(number) => format!("{name}={number}"),
        DeValue::Float(number) => format!("{name}={number}"),
        DeValue::Boolean(flag) => format!("{name}={flag}"),
        DeValue::Datetime(time) => format!("{name}={time}"),
    }
}

/// Returns a URL without its login, and without parameters whose values are secret.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let end = rest.find('/').unwrap_or(rest.len());
    let place = rest[..end]
        .rsplit_once('@')
        .map_or(&rest[..end], |(_, place)| place);
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name) || name.eq_ignore_ascii_case("pass") => name,
            _ => parameter,
        });
    format!(
        "{scheme}://{place}{}?{}",
        &rest[end..],
        parameters.collect::<Vec<_>>().join("&")
    )
}
