//! Whether a Redis answers.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bb8_redis::{RedisConnectionManager, bb8::Pool};
//! use health_checks::RedisHealthCheck;
//! use health_core::Health;
//!
//! let pool = Pool::builder().build(RedisConnectionManager::new("redis://localhost/1")?).await?;
//! let health = Health::builder().check(RedisHealthCheck::new(pool)).build()?;
//! # Ok(())
//! # }
//! ```

use std::time::{Duration, Instant};

use bb8::{Pool, PooledConnection, RunError};
use bb8_redis::RedisConnectionManager;
use health_core::{BoxCheck, Findings, HealthCheck, Result, Secret, ServiceReturnedUnexpectedResult, Unit};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::pool::{self, Use};
use crate::support::redis::describe;

/// Sends `PING` on a connection of the pool.
#[derive(Debug, Clone)]
pub struct RedisHealthCheck {
    pool: RedisPool,
}

/// The keys of kind `redis`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Where Redis is; `rediss://` is TLS.
    #[cfg_attr(feature = "config", schemars(with = "String", default = "default_url"))]
    pub url: Secret,
}

fn default_url() -> String {
    "redis://localhost/1".into()
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self { url: default_url().into() }
    }
}

impl CheckSettings for RedisSettings {
    const KIND: &'static str = "redis";
    const SUMMARY: &'static str = "PING";
    const VARIABLES: &'static [Variable] = &[Variable { key: "url", name: "REDIS_URL", reads: Reads::Text }];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        Ok(vec![BoxCheck::new(RedisHealthCheck { pool: RedisPool::lazy(&self.url)? })])
    }
}

impl RedisHealthCheck {
    /// The Redis behind this pool.
    pub fn new(pool: Pool<RedisConnectionManager>) -> Self {
        Self { pool: RedisPool(pool) }
    }
}

impl HealthCheck for RedisHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let mut connection = self.pool.acquire(findings).await?;
        let began = Instant::now();
        let pong: String = redis::cmd("PING").query_async(&mut *connection).await.map_err(describe)?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        if pong != "PONG" {
            return Err(ServiceReturnedUnexpectedResult::new("PING was not answered by PONG").into());
        }
        Ok(())
    }
}

/// A pool of connections to Redis, and how a check takes one out of it.
#[derive(Debug, Clone)]
pub(crate) struct RedisPool(pub(crate) Pool<RedisConnectionManager>);

impl RedisPool {
    /// A pool of one connection, which is opened when it is needed.
    pub(crate) fn lazy(url: &Secret) -> Result<Self, Misconfigured> {
        crate::support::tls::ensure_provider();
        // The client's own words may quote the URL.
        let manager = RedisConnectionManager::new(url.expose())
            .map_err(|_| Misconfigured::new("url", "expected a URL such as redis://:password@host:6379/1"))?;
        let pool = Pool::builder()
            .max_size(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(Duration::from_secs(5));
        Ok(Self(pool.build_unchecked(manager)))
    }

    pub(crate) async fn acquire(&self, findings: &Findings) -> Result<PooledConnection<'_, RedisConnectionManager>> {
        let pool = &self.0;
        let usage = || {
            let (state, config) = (pool.state(), pool.config());
            Use { size: state.connections, idle: state.idle_connections, most: config.max_size }
        };
        let from_pool = async {
            pool.get().await.map_err(|error| match error {
                RunError::User(error) => Some(error),
                RunError::TimedOut => None,
            })
        };
        let direct = async { pool.dedicated_connection().await.err() };
        pool::acquire(findings, usage, from_pool, direct).await.map_err(|trouble| trouble.or_describe(describe))
    }
}
