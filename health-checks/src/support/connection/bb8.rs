//! Pools of bb8.
//!
//! Such a pool tests a connection before it hands it out. If the test fails, it closes the
//! connection and opens the next one, without a pause, until its time is up: thousands in a second.
//! For this reason, a run stops waiting for the pool once the pool has discarded a new connection,
//! and the probe of the pool finds out why.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bb8::{ManageConnection, Pool, PooledConnection, RunError};
use health_core::{FailureKind, HealthCheckException, Result, ServiceUnavailable};

use super::pool::{Discarded, PoolUsage};

/// Takes a connection from the pool. Fails once the pool has discarded one that it has opened
/// meanwhile. It may discard as many old ones as it has.
pub(crate) async fn get<M: ManageConnection>(
    pool: &Pool<M>,
    describe: fn(M::Error) -> HealthCheckException,
) -> Result<PooledConnection<'_, M>> {
    let counts = || {
        let statistics = pool.state().statistics;
        (
            statistics.connections_created,
            statistics.connections_closed_invalid,
        )
    };
    let (created, _) = counts();
    let mut got = pin!(pool.get());
    let mut discarded = None;
    let got = poll_fn(|context| {
        if let Poll::Ready(outcome) = got.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        let (now_created, now_discarded) = counts();
        let is_new = now_created > created;
        let before = is_new.then(|| *discarded.get_or_insert(now_discarded));
        if before.is_some_and(|before| now_discarded > before) {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    });
    match got.await {
        Some(Ok(connection)) => Ok(connection),
        Some(Err(RunError::User(error))) => Err(describe(error)),
        // A pool can't tell a server that is down from connections that are all in use. The probe
        // of the pool can.
        Some(Err(RunError::TimedOut)) => std::future::pending().await,
        None => {
            let error = ServiceUnavailable::new("connection lost").with_kind(FailureKind::Lost);
            Err(error.with_source(Discarded).into())
        }
    }
}

pub(crate) fn usage<M: ManageConnection>(pool: &Pool<M>) -> PoolUsage {
    let state = pool.state();
    let config = pool.config();
    PoolUsage {
        size: state.connections,
        idle: state.idle_connections,
        max: config.max_size,
    }
}
