//! Kinds of checks: settings that become checks, and the variables that fill them.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use health_core::{BoxCheck, Secret};
use serde::Deserialize;

#[cfg(feature = "config")]
mod login;

#[cfg(feature = "config")]
pub use login::Login;

/// The settings of a kind of check: the keys of its table in a configuration file, in addition to
/// those that all checks have.
pub trait CheckSettings: Sized {
    /// The name of the kind.
    const KIND: &'static str;

    /// A summary of what the check does, in one line.
    const SUMMARY: &'static str;

    /// The keys that an environment variable fills if the file does not set them.
    const VARIABLES: &'static [Variable] = &[];

    /// The keys of [`TlsSettings`] that the kind supports. Empty if it does not speak TLS.
    const TLS: &'static [&'static str] = &[];

    /// The key of the kind's URL, if it has one. The keys `username`, `password` and
    /// `password_file` are then allowed as well.
    const URL: Option<&'static str> = None;

    /// The keys that name the servers, as URLs or as `host:port`. Replicas of a
    /// [fleet](crate::RedisFleet) share a check if none of its servers is on this machine.
    /// *Default*: none, which means the key of the URL.
    const SERVERS: &'static [&'static str] = &[];

    /// The keys that are a login together, for the server that [`SERVERS`](Self::SERVERS) names.
    /// Variables fill all of them or none, so that no part of a login goes to a server for which it
    /// is not. *Default*: none, which means the keys beside the URL.
    const CREDENTIALS: &'static [&'static str] = &[];

    /// Returns the URL of these settings. *Default*: `None`.
    fn url_mut(&mut self) -> Option<&mut Secret> {
        None
    }

    /// Returns the identifier of a check to which the file gives a name. *Default*: that name.
    fn renamed(identifier: &str, name: &str) -> String {
        let _ = identifier;
        name.to_owned()
    }

    /// Builds the checks of these settings. Returns an empty list if the settings switch the check
    /// off.
    ///
    /// # Errors
    /// Returns an error if a value is invalid.
    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured>;

    /// Builds the checks of these settings, which speak TLS as `tls` says. *Default*: refuses any
    /// setting in `tls`.
    ///
    /// # Errors
    /// Returns an error if a value is invalid.
    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        tls.needs(false)?;
        self.checks()
    }
}

/// The TLS settings of a check. Every kind that speaks TLS takes these keys in addition to its own.
/// A kind whose client does not support one of them refuses it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsSettings {
    /// Certificates in PEM that are trusted in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate that this client presents, in PEM, with its chain. It requires `client_key`.
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    pub client_key: Option<PathBuf>,
    /// The name that the server's certificate must have. *Default*: the host of the URL.
    pub server_name: Option<String>,
    /// `true` if the server's certificate is verified. *Default*: `true`.
    pub verify: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            ca_file: None,
            client_cert: None,
            client_key: None,
            server_name: None,
            verify: true,
        }
    }
}

impl TlsSettings {
    /// The keys, each with its meaning.
    pub const KEYS: &'static [(&'static str, &'static str)] = &[
        (
            "ca_file",
            "Certificates in PEM that are trusted in addition to those of the system.",
        ),
        (
            "client_cert",
            "The certificate of this client, in PEM; with client_key.",
        ),
        ("client_key", "The key of that certificate, in PEM."),
        (
            "server_name",
            "The name that the server's certificate has to have, in place of the host of the URL.",
        ),
        ("verify", "Verifies the server's certificate."),
    ];

    /// The names of all keys.
    pub const ALL: &'static [&'static str] = &[
        Self::KEYS[0].0,
        Self::KEYS[1].0,
        Self::KEYS[2].0,
        Self::KEYS[3].0,
        Self::KEYS[4].0,
    ];

    /// Trusts the certificates in this file as well.
    #[must_use]
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self {
            ca_file: Some(path.into()),
            ..self
        }
    }

    /// Presents this certificate, whose key is in the other file.
    #[must_use]
    pub fn identity(self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            client_cert: Some(cert.into()),
            client_key: Some(key.into()),
            ..self
        }
    }

    /// Requires this name in the server's certificate.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self {
            server_name: Some(name.into()),
            ..self
        }
    }

    /// Returns an error if settings would be ignored without TLS, if half of an identity is
    /// missing, if the name is invalid, or if this build does not support TLS.
    pub(crate) fn needs(&self, is_tls: bool) -> Result<(), Misconfigured> {
        let set = [
            ("ca_file", self.ca_file.is_some()),
            ("client_cert", self.client_cert.is_some()),
            ("client_key", self.client_key.is_some()),
            ("server_name", self.server_name.is_some()),
            ("verify", !self.verify),
        ];
        if let Some((key, _)) = set.into_iter().find(|(_, is_set)| *is_set && !is_tls) {
            return Err(Misconfigured::new(
                key,
                "the URL does not use TLS, so this would be ignored",
            ));
        }
        if self
            .server_name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.contains(char::is_whitespace))
        {
            return Err(Misconfigured::new(
                "server_name",
                "expected the name of a host",
            ));
        }
        match (&self.client_cert, &self.client_key) {
            (Some(_), None) => Err(Misconfigured::new(
                "client_cert",
                "needs client_key beside it",
            )),
            (None, Some(_)) => Err(Misconfigured::new(
                "client_key",
                "needs client_cert beside it",
            )),
            _ if is_tls && !HAS_TLS => Err(Misconfigured::new("url", NO_TLS)),
            _ => Ok(()),
        }
    }
}

/// `true` if this build includes the cryptography for TLS.
pub(crate) const HAS_TLS: bool = cfg!(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"));

pub(crate) const NO_TLS: &str = "this build can't speak TLS: switch on the cargo feature rustls-ring, or rustls-aws-lc-rs, of health-checks";

/// The message about a secret that is an empty text. [`Secret`] has the same.
#[cfg(feature = "config")]
pub(crate) const EMPTY: &str = "empty: give it a value, or leave it out";

/// An environment variable that fills a key.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The key that it fills.
    pub key: &'static str,
    /// The name of the variable. The name with the prefix `HEALTH_CHECK_` stands for the same
    /// variable, and so does either name with the suffix `_FILE`, for a file that holds the text.
    pub name: &'static str,
    /// The format of the variable's text.
    pub reads: Reads,
}

/// The format of a variable's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reads {
    /// Any text. An empty one stands for no value.
    Text,
    /// A secret, whose absence would open something: an empty text is an error.
    Secret,
    /// A number. `None`, `false`, `0` and an empty text switch the limit off, in upper or lower
    /// case.
    Limit,
    /// `true`, `false`, `1` or `0`, in upper or lower case.
    Bool,
    /// A number of seconds, or a duration with a unit.
    Seconds,
}

/// An invalid value: its key, and what was expected. It never holds the value, which may be a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured {
    pub(crate) key: &'static str,
    pub(crate) message: Cow<'static, str>,
}

impl Misconfigured {
    /// Creates an error that says what was expected of this key.
    pub fn new(key: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            key,
            message: message.into(),
        }
    }

    /// Replaces the key `url` by the name that the kind gives its URL.
    #[cfg(any(
        feature = "config",
        feature = "celery",
        feature = "celery_ping",
        feature = "s3"
    ))]
    pub(crate) fn with_url_as(self, key: &'static str) -> Self {
        if self.key == "url" {
            Self { key, ..self }
        } else {
            self
        }
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Misconfigured {}

#[cfg(feature = "config")]
pub use erased::{Key, Kind};

#[cfg(feature = "config")]
mod erased {
    use std::fmt;

    use health_core::{BoxCheck, Secret};
    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde::de::DeserializeOwned;
    use toml::de::ValueDeserializer;

    use super::{CheckSettings, Login, Misconfigured, TlsSettings, Variable};

    /// A kind of check, with its type erased.
    #[derive(Clone, Copy)]
    pub struct Kind {
        /// The name of the kind in a configuration file.
        pub name: &'static str,
        /// A summary of what the check does, in one line.
        pub summary: &'static str,
        /// The environment variables that fill its keys.
        pub variables: &'static [Variable],
        /// The keys of [`TlsSettings`] that the kind supports.
        pub tls: &'static [&'static str],
        /// The keys of [`Login`] that are allowed beside its URL: all or none.
        pub login: &'static [&'static str],
        /// The keys that name the servers.
        pub(crate) servers: &'static [&'static str],
        /// The keys that are a login together.
        pub(crate) credentials: &'static [&'static str],
        schema: fn() -> schemars::Schema,
        pub(crate) renamed: fn(&str, &str) -> String,
        /// Reads a table and discards the result.
        pub(crate) read: fn(ValueDeserializer<'_>) -> Result<(), toml::de::Error>,
        pub(crate) build:
            fn(ValueDeserializer<'_>, TlsSettings, Login) -> Result<Vec<BoxCheck>, Failure>,
    }

    /// The reason why a table did not become a check.
    pub(crate) enum Failure {
        Syntax(toml::de::Error),
        Value(Misconfigured),
    }

    impl Kind {
        /// Creates the kind of these settings.
        pub const fn of<S>() -> Self
        where
            S: CheckSettings + Clone + DeserializeOwned + JsonSchema + Send + Sync + 'static,
        {
            Self {
                name: S::KIND,
                summary: S::SUMMARY,
                variables: S::VARIABLES,
                tls: S::TLS,
                login: if S::URL.is_some() { Login::ALL } else { &[] },
                servers: match S::URL {
                    Some(_) if S::SERVERS.is_empty() => &["url"],
                    _ => S::SERVERS,
                },
                credentials: if S::URL.is_some() {
                    Login::ALL
                } else {
                    S::CREDENTIALS
                },
                schema: schema_of::<S>,
                renamed: S::renamed,
                read: |table| S::deserialize(table).map(drop),
                build: |table, tls, login| {
                    // No check has to know which of its keys are secrets.
                    let (settings, secrets) = Secret::collect(|| S::deserialize(table));
                    let settings = settings.map_err(Failure::Syntax)?;
                    let url = S::URL.unwrap_or("url");
                    let checks = login
                        .checks(settings, tls)
                        .map_err(|wrong| Failure::Value(wrong.with_url_as(url)))?;
                    let conceal = |check: BoxCheck| check.concealing(secrets.iter().cloned());
                    Ok(checks.into_iter().map(conceal).collect())
                },
            }
        }

        /// Returns the JSON Schema of the kind's own keys.
        pub fn schema(&self) -> serde_json::Value {
            (self.schema)().to_value()
        }

        /// Returns the TLS keys that the kind supports, each with its meaning.
        pub(crate) fn tls_keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
            TlsSettings::KEYS
                .iter()
                .copied()
                .filter(|(name, _)| self.tls.contains(name))
        }

        /// Returns the login keys that are allowed beside the kind's URL, each with its meaning.
        pub(crate) fn login_keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
            Login::KEYS
                .iter()
                .copied()
                .filter(|(name, _)| self.login.contains(name))
        }

        /// Returns the keys of the kind, including those for a login and for TLS, with their
        /// defaults and meanings.
        pub fn keys(&self) -> Vec<Key> {
            let schema = self.schema();
            let properties = schema
                .get("properties")
                .and_then(|properties| properties.as_object());
            let key = |(name, property): (&String, &serde_json::Value)| Key {
                name: name.clone(),
                default: property
                    .get("default")
                    .filter(|default| !default.is_null())
                    .map(ToString::to_string),
                summary: property
                    .get("description")
                    .and_then(|text| text.as_str())
                    .unwrap_or_default()
                    .replace('\n', " "),
            };
            let shared = self
                .login_keys()
                .chain(self.tls_keys())
                .map(|(name, summary)| Key {
                    name: name.to_owned(),
                    default: (name == "verify").then(|| "true".to_owned()),
                    summary: summary.to_owned(),
                });
            properties
                .into_iter()
                .flatten()
                .map(key)
                .chain(shared)
                .collect()
        }
    }

    impl fmt::Debug for Kind {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Kind").field(&self.name).finish()
        }
    }

    /// A key of a kind.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Key {
        /// The name of the key.
        pub name: String,
        /// The default in JSON, if there is one.
        pub default: Option<String>,
        /// The meaning of the key.
        pub summary: String,
    }

    fn schema_of<S: JsonSchema>() -> schemars::Schema {
        let settings =
            SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        settings.into_generator().into_root_schema_for::<S>()
    }
}
#[cfg(feature = "config")]
pub(crate) use erased::Failure;
