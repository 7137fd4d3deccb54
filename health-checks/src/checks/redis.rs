//! Checks that a Redis server answers.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bb8_redis::{RedisConnectionManager, bb8::Pool};
//! use health_checks::RedisHealthCheck;
//! use health_core::Health;
//!
//! let pool = Pool::builder()
//!     .build(RedisConnectionManager::new("redis://localhost/1")?)
//!     .await?;
//! let health = Health::builder()
//!     .check(RedisHealthCheck::new(pool))
//!     .build()?;
//! # Ok(())
//! # }
//! ```

use bb8::Pool;
use bb8_redis::RedisConnectionManager;
use health_core::{BoxCheck, Findings, HealthCheck, Result, Secret};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::connection::error::Probed;
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::connection::pool::PoolHealthCheck;
use crate::support::redis::{Connection, Server, failed, greet};

/// Sends `PING` on a connection of the application's pool, or on a connection of its own.
#[derive(Debug, Clone)]
pub struct RedisHealthCheck(BoxCheck);

/// The keys of kind `redis`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisSettings {
    /// The URL of Redis: `redis://:password@host:6379/1`, `rediss://` for TLS, `redis+unix:///path`
    /// for a socket, or `redis+sentinel://:password@sentinel:26379,sentinel2/master/1`.
    #[cfg_attr(feature = "config", schemars(with = "String", default = "default_url"))]
    pub url: Secret,
    /// Also sets a key, which expires after five seconds. This fails if the server is read-only or
    /// full.
    pub write: bool,
    /// The beginning of the name of that key, for a user whose rights are limited to some keys:
    /// `shop:` for `~shop:*`.
    pub key_prefix: String,
}

fn default_url() -> String {
    "redis://localhost/1".into()
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: default_url().into(),
            write: false,
            key_prefix: String::new(),
        }
    }
}

impl CheckSettings for RedisSettings {
    const KIND: &'static str = "redis";
    const SUMMARY: &'static str = "PING, and optionally SET";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const VARIABLES: &'static [Variable] = &[Variable {
        key: "url",
        name: "REDIS_URL",
        reads: Reads::Text,
    }];
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let server = Server::from_url(&self.url)?.over(tls)?;
        if !self.write && !self.key_prefix.is_empty() {
            return Err(Misconfigured::new(
                "key_prefix",
                "no key is set: add write = true",
            ));
        }
        Ok(vec![BoxCheck::new(RedisHealthCheck(BoxCheck::new(
            Kept::new(Pinger {
                server,
                key: self.write.then(|| self.key_prefix + KEY),
            }),
        )))])
    }
}

impl RedisHealthCheck {
    /// Creates a check of the Redis server behind this pool.
    pub fn new(pool: Pool<RedisConnectionManager>) -> Self {
        Self(BoxCheck::new(PoolHealthCheck::new(pool)))
    }
}

impl HealthCheck for RedisHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.0.check_status(findings).await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "RedisHealthCheck".into()
    }
}

/// The key that is set, after the prefix. All checks and replicas use the same one, because only the
/// server's answer matters.
const KEY: &str = "health_check:write";

/// The time after which that key expires, in seconds.
const EXPIRES_IN: u8 = 5;

/// Sends `PING` on a connection of the check's own.
struct Pinger {
    server: Server,
    /// The key to set, if any.
    key: Option<String>,
}

impl Protocol for Pinger {
    type Connection = Connection;
    type Greeting = ();

    const SILENCE: &'static str = "Unable to connect to Redis: Timeout.";

    fn secrets(&self) -> Vec<Secret> {
        self.server.secrets()
    }

    async fn open(&self) -> Result<Connection> {
        self.server.open().await
    }

    async fn greet(&self, connection: &mut Connection, findings: &Findings) -> Probed {
        greet(&mut connection.client, findings).await
    }

    async fn probe(&self, connection: &mut Connection, (): (), _: &Findings) -> Probed {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let Err(error) = set(connection, key).await else {
            return Ok(());
        };
        // In a cluster, the check follows the redirection once, and keeps the new connection.
        self.server.follow(connection, error).await?;
        set(connection, key).await.map_err(failed)
    }
}

async fn set(connection: &mut Connection, key: &str) -> redis::RedisResult<()> {
    redis::cmd("SET")
        .arg(key)
        .arg(1)
        .arg("EX")
        .arg(EXPIRES_IN)
        .exec_async(&mut connection.client)
        .await
}
