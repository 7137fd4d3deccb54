use std::time::Duration;

use bb8::Pool;
use bb8_redis::RedisConnectionManager;
use health_core::{Findings, Result, Secret};

use super::CacheStore;
use crate::checks::redis::RedisPool;
use crate::kind::Misconfigured;
use crate::support::redis::describe;

/// A cache in Redis, through a pool of connections.
#[derive(Debug, Clone)]
pub struct RedisStore(RedisPool);

impl RedisStore {
    /// The application's own pool.
    pub fn new(pool: Pool<RedisConnectionManager>) -> Self {
        Self(RedisPool(pool))
    }

    pub(super) fn lazy(url: &Secret) -> Result<Self, Misconfigured> {
        RedisPool::lazy(url).map(Self)
    }

    async fn query<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T> {
        // That there is a connection was seen a moment ago; should it be taken, this waits within the run's timeout.
        let mut connection = self.0.acquire(&Findings::default()).await?;
        command.query_async(&mut *connection).await.map_err(describe)
    }
}

impl CacheStore for RedisStore {
    async fn connect(&self, findings: &Findings) -> Result {
        self.0.acquire(findings).await.map(drop)
    }

    async fn set(&self, key: &str, value: &str, expires_in: Duration) -> Result {
        let milliseconds = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
        self.query(redis::cmd("SET").arg(key).arg(value).arg("PX").arg(milliseconds)).await
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        self.query(redis::cmd("GET").arg(key)).await
    }

    async fn delete(&self, key: &str) -> Result {
        self.query(redis::cmd("DEL").arg(key)).await
    }
}
