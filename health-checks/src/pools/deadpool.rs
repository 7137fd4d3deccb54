use std::future::pending;

use deadpool::managed::{Manager, Object, Pool, PoolError};
use health_core::{FailureKind, HealthCheckException, Result, ServiceUnavailable, UnknownError};

use crate::support::connection::pool::PoolUsage;

/// Takes a connection from the pool. The wait does not end at the pool's own timeout, because a
/// pool can't tell a server that is down from connections that are all in use. The probe of the
/// pool can.
pub(super) async fn get<M, W>(
    pool: &Pool<M, W>,
    describe: fn(M::Error) -> HealthCheckException,
) -> Result<W>
where
    W: From<Object<M>>,
    M: Manager<Error: std::error::Error + Send + Sync + 'static>,
{
    match pool.get().await {
        Ok(connection) => Ok(connection),
        Err(PoolError::Backend(error)) => Err(describe(error)),
        Err(PoolError::Timeout(_)) => pending().await,
        Err(PoolError::Closed) => Err(ServiceUnavailable::new("the pool is closed")
            .with_kind(FailureKind::Misconfigured)
            .into()),
        Err(error) => Err(UnknownError::caused_by(error).into()),
    }
}

pub(super) fn usage<M: Manager, W: From<Object<M>>>(pool: &Pool<M, W>) -> PoolUsage {
    let status = pool.status();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    PoolUsage {
        size: number(status.size),
        idle: number(status.available),
        max: number(status.max_size),
    }
}
