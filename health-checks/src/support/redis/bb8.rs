//! Pools of bb8-redis.
//!
//! Such a pool sends `PING` before it hands out a connection. If the response is an error, it closes the connection and
//! opens the next one, without a pause, until its time is up: thousands in a second. For this reason, the pool may
//! connect only after a direct connection has shown that the server answers. A run stops waiting for the pool as soon
//! as the pool discards a connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bb8::{Pool, PooledConnection, RunError};
use bb8_redis::RedisConnectionManager;
use health_core::{FailureKind, Findings, Result, ServiceUnavailable};

use super::{describe, ping};
use crate::support::connection::pool::{Ping, PoolUsage};

/// The number of connections that the pool may discard although the server answers.
const TRIES: usize = 2;

impl Ping for Pool<RedisConnectionManager> {
    async fn ping(&self, findings: &Findings) -> Result {
        let mut connection = get(self).await?;
        ping(&mut *connection, findings).await
    }

    fn usage(&self) -> Option<PoolUsage> {
        let (state, config) = (self.state(), self.config());
        Some(PoolUsage { size: state.connections, idle: state.idle_connections, max: config.max_size })
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(look(self).await)
    }
}

/// Takes a connection from the pool.
pub(crate) async fn get(pool: &Pool<RedisConnectionManager>) -> Result<PooledConnection<'_, RedisConnectionManager>> {
    let state = pool.state();
    if state.idle_connections == 0 && state.connections < pool.config().max_size {
        look(pool).await?; // the pool is about to connect, and would go on without a pause
    }
    for _ in 0..TRIES {
        match get_once(pool).await {
            Some(Ok(connection)) => return Ok(connection),
            Some(Err(RunError::User(error))) => return Err(describe(error)),
            // To a pool, a server that is gone and connections that are all in use look alike. `Asker` tells them
            // apart.
            Some(Err(RunError::TimedOut)) => return std::future::pending().await,
            None => look(pool).await?,
        }
    }
    Err(ServiceUnavailable::new("Unable to connect to Redis: Connection Error").with_kind(FailureKind::Lost).into())
}

/// Returns `None` as soon as the pool has discarded a connection.
async fn get_once(
    pool: &Pool<RedisConnectionManager>,
) -> Option<Result<PooledConnection<'_, RedisConnectionManager>, RunError<redis::RedisError>>> {
    let thrown_away = || pool.state().statistics.connections_closed_invalid;
    let before = thrown_away();
    let mut got = pin!(pool.get());
    poll_fn(|context| match got.as_mut().poll(context) {
        Poll::Pending if thrown_away() > before => Poll::Ready(None),
        outcome => outcome.map(Some),
    })
    .await
}

/// Sends `PING` on a direct connection.
async fn look(pool: &Pool<RedisConnectionManager>) -> Result {
    let mut connection = pool.dedicated_connection().await.map_err(describe)?;
    ping(&mut connection, &Findings::default()).await
}
