use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use health_core::{Findings, Result};
use sqlx::{ConnectOptions as _, Connection as _, Pool};

use super::{Driver, Query, describe};
use crate::support::connection::pool::{Ping, PoolUsage};

/// A pool of the application, and the query for one of its connections.
pub(crate) struct Pooled<DB: Driver, Q: Query> {
    pub(super) pool: Pool<DB>,
    pub(super) query: Q,
    /// The knowledge of the runs about the connections of the pool, and the time since they have it.
    pub(super) memory: Mutex<Option<(Instant, Q::Memory)>>,
}

impl<DB: Driver, Q: Query> Ping for Pooled<DB, Q> {
    async fn ping(&self, findings: &Findings) -> Result {
        let mut connection = acquire(&self.pool).await?;
        let (since, mut memory) = self.memory(findings);
        let outcome = self
            .query
            .run::<DB>(&mut connection, &mut memory, findings)
            .await;
        *self.lock() = Some((since, memory));
        Ok(outcome?)
    }

    fn usage(&self) -> Option<PoolUsage> {
        Some(usage(&self.pool))
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(directly(&self.pool).await)
    }
}

impl<DB: Driver, Q: Query> Pooled<DB, Q> {
    /// Takes what is known about the connections. It is forgotten after the time for which a check
    /// keeps a connection of its own, because the pool replaces connections as well.
    fn memory(&self, findings: &Findings) -> (Instant, Q::Memory) {
        let known = self.lock().take();
        known
            .filter(|(since, _)| since.elapsed() < findings.reconnect())
            .unwrap_or_else(|| (Instant::now(), Q::Memory::default()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Q::Memory)>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Implements `Ping` for the pools of sqlx, with `SELECT 1`.
macro_rules! ping {
    ($($feature:literal: $database:ty),+ $(,)?) => {
        $(
            #[cfg(feature = $feature)]
            impl Ping for Pool<$database> {
                async fn ping(&self, _: &Findings) -> Result {
                    let mut connection = acquire(self).await?;
                    select_1::<$database>(&mut connection).await
                }

                fn usage(&self) -> Option<PoolUsage> {
                    Some(usage(self))
                }

                async fn ping_direct(&self) -> Option<Result> {
                    Some(directly(self).await)
                }
            }
        )+
    };
}

ping! { "mysql": sqlx::MySql, "postgres": sqlx::Postgres, "sqlite": sqlx::Sqlite }

/// Takes a connection from the pool. The wait does not end when the pool's own timeout has passed:
/// to a pool, a server that is gone and connections that are all in use look alike, and `Asker`
/// tells them apart.
async fn acquire<DB: Driver>(pool: &Pool<DB>) -> Result<sqlx::pool::PoolConnection<DB>> {
    match Box::pin(pool.acquire()).await {
        Ok(connection) => Ok(connection),
        Err(sqlx::Error::PoolTimedOut) => std::future::pending().await,
        Err(error) => Err(describe(error)),
    }
}

fn usage<DB: Driver>(pool: &Pool<DB>) -> PoolUsage {
    PoolUsage {
        size: pool.size(),
        idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
        max: pool.options().get_max_connections(),
    }
}

/// Runs `SELECT 1` on a direct connection.
async fn directly<DB: Driver>(pool: &Pool<DB>) -> Result {
    let mut connection = Box::pin(pool.connect_options().connect())
        .await
        .map_err(describe)?;
    let outcome = select_1::<DB>(&mut connection).await;
    let _ = connection.close().await; // the connection is not needed any more
    outcome
}

async fn select_1<DB: Driver>(connection: &mut DB::Connection) -> Result {
    DB::value(connection, "SELECT 1".into())
        .await
        .map(drop)
        .map_err(describe)
}
