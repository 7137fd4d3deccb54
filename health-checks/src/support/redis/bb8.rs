//! Pools of bb8-redis.

use ::bb8::{Pool, PooledConnection};
use bb8_redis::RedisConnectionManager;
use health_core::{Findings, Result};

use super::{describe, ping};
use crate::support::connection::bb8;
use crate::support::connection::pool::{Ping, PoolUsage};

impl Ping for Pool<RedisConnectionManager> {
    async fn ping(&self, findings: &Findings) -> Result {
        let mut connection = get(self).await?;
        ping(&mut *connection, findings).await
    }

    fn usage(&self) -> Option<PoolUsage> {
        Some(bb8::usage(self))
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(match self.dedicated_connection().await {
            Ok(mut connection) => ping(&mut connection, &Findings::default()).await,
            Err(error) => Err(describe(error)),
        })
    }
}

/// Takes a connection from the pool.
pub(crate) async fn get(
    pool: &Pool<RedisConnectionManager>,
) -> Result<PooledConnection<'_, RedisConnectionManager>> {
    bb8::get(pool, describe).await
}
