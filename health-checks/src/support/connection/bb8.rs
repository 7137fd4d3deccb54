//! Pools of bb8.
//!
//! Such a pool tests a connection before it hands it out. If the test fails, it closes the connection and opens another one, without a
//! pause, until its timeout: thousands in a second. For this reason, the pool may connect only after a direct connection has shown that the
//! server answers. A run stops waiting for the pool as soon as the pool discards a connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bb8::{ManageConnection, Pool, PooledConnection, RunError};
use health_core::{HealthCheckException, Result, ServiceUnavailable};

use super::pool::PoolUsage;
use crate::support::io::Words;

/// The number of connections that the pool may discard although the server answers.
const TRIES: usize = 2;

/// Takes a connection from the pool. `look` opens a direct connection, and sends a command on it. `lost` is the failure if the pool
/// discards its connections although the server answers.
pub(crate) async fn get<M, F>(
    pool: &Pool<M>,
    describe: fn(M::Error) -> HealthCheckException,
    look: impl Fn() -> F,
    lost: Words,
) -> Result<PooledConnection<'_, M>>
where
    M: ManageConnection,
    F: Future<Output = Result>,
{
    let state = pool.state();
    if state.idle_connections == 0 && state.connections < pool.config().max_size {
        look().await?; // the pool is about to connect, and would retry without a pause
    }
    for _ in 0..TRIES {
        match get_once(pool).await {
            Some(Ok(connection)) => return Ok(connection),
            Some(Err(RunError::User(error))) => return Err(describe(error)),
            // A pool can't tell a server that is down from connections that are all in use. The probe of the pool can.
            Some(Err(RunError::TimedOut)) => return std::future::pending().await,
            None => look().await?,
        }
    }
    Err(ServiceUnavailable::new(lost.1).with_kind(lost.0).into())
}

/// Returns `None` as soon as the pool has discarded a connection.
async fn get_once<M: ManageConnection>(pool: &Pool<M>) -> Option<Result<PooledConnection<'_, M>, RunError<M::Error>>> {
    let thrown_away = || pool.state().statistics.connections_closed_invalid;
    let before = thrown_away();
    let mut got = pin!(pool.get());
    poll_fn(|context| match got.as_mut().poll(context) {
        Poll::Pending if thrown_away() > before => Poll::Ready(None),
        outcome => outcome.map(Some),
    })
    .await
}

pub(crate) fn usage<M: ManageConnection>(pool: &Pool<M>) -> PoolUsage {
    let (state, config) = (pool.state(), pool.config());
    PoolUsage { size: state.connections, idle: state.idle_connections, max: config.max_size }
}
