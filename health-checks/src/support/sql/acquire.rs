use health_core::{Findings, Result};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, Pool};

use super::describe::{describe, is_full};
use crate::support::pool::{self, Use};

/// Takes a connection out of the pool, or says why there is none, before the run's timeout.
pub(crate) async fn acquire<DB: Database>(pool: &Pool<DB>, findings: &Findings) -> Result<PoolConnection<DB>> {
    let usage = || Use {
        size: pool.size(),
        idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
        most: pool.options().get_max_connections(),
    };
    let from_pool = async {
        pool.acquire().await.map_err(|error| Some(error).filter(|error| !matches!(error, sqlx::Error::PoolTimedOut)))
    };
    let direct = async {
        match DB::Connection::connect_with(&pool.connect_options()).await {
            Ok(connection) => {
                let _ = connection.close().await; // it has served its purpose
                None
            }
            // The pool has its share of them, and may give one back in a moment.
            Err(error) if pool.size() > 0 && is_full(&error) => None,
            Err(error) => Some(error),
        }
    };
    // Drivers' futures for connecting are large.
    Box::pin(pool::acquire(findings, usage, from_pool, direct)).await.map_err(|trouble| trouble.or_describe(describe))
}
