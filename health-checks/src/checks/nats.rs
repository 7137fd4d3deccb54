//! Checks that a NATS server answers, and that JetStream is available.
//!
//! ```
//! use health_checks::NatsHealthCheck;
//! use health_core::Health;
//!
//! let nats = NatsHealthCheck::new("nats://app:password@nats.internal:4222")?.jetstream(true);
//! let health = Health::builder().check(nats).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use health_core::{BoxCheck, Findings, HealthCheck, Result, Secret, Unit};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::connection::error::Probed;
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::connection::share_of_time;
use crate::support::nats::{Connection, SILENCE, Server};

/// The share of the time that is left after the PONG for the answer of JetStream.
const SHARE_OF_JETSTREAM: f64 = 0.75;

/// Sends PING on a connection of its own, and waits for PONG. Optionally, also requests the state
/// of JetStream.
#[derive(Debug, Clone)]
pub struct NatsHealthCheck {
    server: Server,
    jetstream: bool,
    running: OnceLock<BoxCheck>,
}

/// The keys of kind `nats`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NatsSettings {
    /// The URL of the server: `nats://user:password@host:4222`, `nats://token@host`, or `tls://`
    /// for TLS, also to servers with `handshake_first`. If there are several hosts, one of them has
    /// to answer; each has a head start of a second before the next one.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// Also requests the state of JetStream, which must be enabled for the account.
    #[serde(default)]
    pub jetstream: bool,
    /// The user's credentials file (`.creds`), with a JWT and the seed of a key.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
}

impl CheckSettings for NatsSettings {
    const KIND: &'static str = "nats";
    const SUMMARY: &'static str = "PING, and optionally JetStream";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = NatsHealthCheck::new(self.url)?
            .tls(tls)?
            .jetstream(self.jetstream);
        if let Some(path) = self.credentials {
            check = check.credentials(path)?;
        }
        Ok(vec![BoxCheck::new(check)])
    }
}

impl NatsHealthCheck {
    /// Creates a check of the server at a URL, or of several servers of a cluster.
    ///
    /// # Errors
    /// Returns an error if the URL is not a valid URL of NATS.
    pub fn new(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        Ok(Self {
            server: Server::from_url(&url.into())?,
            jetstream: false,
            running: OnceLock::new(),
        })
    }

    /// Requires JetStream for the account. *Default*: `false`.
    #[must_use]
    pub fn jetstream(self, jetstream: bool) -> Self {
        Self {
            jetstream,
            running: OnceLock::new(),
            ..self
        }
    }

    /// Logs in with a credentials file (`.creds`), which is read for each new connection.
    /// *Default*: the login in the URL.
    ///
    /// # Errors
    /// Returns an error if the URL has a login as well.
    pub fn credentials(self, path: impl Into<PathBuf>) -> Result<Self, Misconfigured> {
        Ok(Self {
            server: self.server.with_credentials(path.into())?,
            running: OnceLock::new(),
            ..self
        })
    }

    /// Sets the TLS settings, for a URL that uses TLS. *Default*: trusts the certificates of the
    /// system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        Ok(Self {
            server: self.server.over(tls)?,
            running: OnceLock::new(),
            ..self
        })
    }
}

impl HealthCheck for NatsHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let look = || {
            BoxCheck::new(Kept::new(Look {
                server: self.server.clone(),
                jetstream: self.jetstream,
            }))
        };
        self.running.get_or_init(look).check_status(findings).await
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Nats".into()
    }
}

struct Look {
    server: Server,
    jetstream: bool,
}

impl Protocol for Look {
    type Connection = Connection;
    type Greeting = ();

    const SILENCE: &'static str = SILENCE;

    fn secrets(&self) -> Vec<Secret> {
        self.server.secrets()
    }

    async fn open(&self) -> Result<Connection> {
        self.server.open().await
    }

    async fn greet(&self, connection: &mut Connection, findings: &Findings) -> Probed {
        let began = Instant::now();
        connection.ping().await?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        Ok(())
    }

    async fn probe(&self, connection: &mut Connection, (): (), findings: &Findings) -> Probed {
        if self.jetstream {
            let limit = share_of_time(findings, SHARE_OF_JETSTREAM);
            connection.jetstream(limit).await
        } else {
            Ok(())
        }
    }
}
