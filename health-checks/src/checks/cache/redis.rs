use std::time::Duration;

use bb8::Pool;
use bb8_redis::RedisConnectionManager;
use health_core::{BoxCheck, Findings, Result, Secret};
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, aio::ConnectionLike};

use super::{CacheStore, EXPIRES_IN, Item, OwnCache};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::connection::pool::PoolProbe;
use crate::support::redis::{Connection, Server, bb8 as pool, describe, failed};

/// A cache in Redis, through a pool of connections.
#[derive(Debug, Clone)]
pub struct RedisStore {
    pool: Pool<RedisConnectionManager>,
    probe: PoolProbe<Pool<RedisConnectionManager>>,
}

impl RedisStore {
    /// Creates a store on the application's own pool.
    pub fn new(pool: Pool<RedisConnectionManager>) -> Self {
        Self {
            probe: PoolProbe::new(pool.clone()),
            pool,
        }
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut connection = pool::get(&self.pool).await?;
        command
            .query_async(&mut *connection)
            .await
            .map_err(describe)
    }
}

impl CacheStore for RedisStore {
    async fn set(&self, key: &str, value: &str, expires_in: Duration) -> Result {
        self.query(&set(key, value, expires_in)).await
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        self.query(redis::cmd("GET").arg(key)).await
    }

    async fn delete(&self, key: &str) -> Result {
        self.query(redis::cmd("DEL").arg(key)).await
    }

    async fn round_trip(
        &self,
        key: &str,
        value: &str,
        expires_in: Duration,
        findings: &Findings,
    ) -> Result<[Option<String>; 2]> {
        let work = async {
            let mut connection = pool::get(&self.pool).await?;
            round_trip(&mut *connection, key, value, expires_in)
                .await
                .map_err(describe)
        };
        self.probe.run(findings, work).await
    }
}

/// Creates a check of a cache in Redis, through a connection of the check's own.
pub(super) fn own(
    url: &Secret,
    tls: TlsSettings,
    prefix: String,
) -> Result<BoxCheck, Misconfigured> {
    let server = Server::from_url(url)?.over(tls)?;
    Ok(BoxCheck::new(OwnCache(Kept::new(OnRedis {
        server,
        prefix,
    }))))
}

struct OnRedis {
    server: Server,
    prefix: String,
}

impl Protocol for OnRedis {
    type Connection = Connection;
    /// The key and the value of the run.
    type Greeting = Item;

    const SILENCE: &'static str = "Unable to connect to Redis: Timeout.";

    fn secrets(&self) -> Vec<Secret> {
        self.server.secrets()
    }

    async fn open(&self) -> Result<Connection> {
        self.server.open().await
    }

    /// Gets the key, which is new. In a cluster, all keys of the check have the same hash tag, so
    /// they are on the same node. The check follows the redirection to that node once and keeps the
    /// new connection.
    async fn greet(&self, connection: &mut Connection, _: &Findings) -> Probed<Item> {
        let prefix = &self.prefix;
        let item = Item::new(&format!("{prefix}:{{{prefix}}}"));
        let get = redis::cmd("GET").arg(&item.key).to_owned();
        if let Err(error) = get.exec_async(&mut connection.client).await {
            self.server.follow(connection, error).await?;
            get.exec_async(&mut connection.client)
                .await
                .map_err(failed)?;
        }
        Ok(item)
    }

    async fn probe(&self, connection: &mut Connection, item: Item, _: &Findings) -> Probed {
        let found = round_trip(&mut connection.client, &item.key, &item.value, EXPIRES_IN).await;
        item.judge(&found.map_err(failed)?)
            .map_err(ProbeError::Answered)
    }
}

/// Runs one command after the other on one connection, and stops at the first error.
async fn round_trip(
    client: &mut impl ConnectionLike,
    key: &str,
    value: &str,
    expires_in: Duration,
) -> RedisResult<[Option<String>; 2]> {
    set(key, value, expires_in).exec_async(client).await?;
    let found = redis::cmd("GET").arg(key).query_async(client).await?;
    redis::cmd("DEL").arg(key).exec_async(client).await?;
    Ok::<_, RedisError>([found, redis::cmd("GET").arg(key).query_async(client).await?])
}

fn set(key: &str, value: &str, expires_in: Duration) -> Cmd {
    let milliseconds = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
    redis::cmd("SET")
        .arg(key)
        .arg(value)
        .arg("PX")
        .arg(milliseconds)
        .to_owned()
}
