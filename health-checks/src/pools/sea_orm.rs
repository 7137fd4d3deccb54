use health_core::{Findings, Result, UnknownError};
use sea_orm::{DatabaseConnection, DatabaseConnectionType};

use crate::support::connection::pool::{Ping, PoolUsage};

/// Calls a function of `Ping` on the underlying pool of sqlx.
macro_rules! on_pool {
    ($connection:expr, $pool:ident => $call:expr, $otherwise:expr) => {
        match &$connection.inner {
            #[cfg(feature = "mysql")]
            DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
                let $pool = $connection.get_mysql_connection_pool();
                $call
            }
            #[cfg(feature = "postgres")]
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
                let $pool = $connection.get_postgres_connection_pool();
                $call
            }
            #[cfg(feature = "sqlite")]
            DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
                let $pool = $connection.get_sqlite_connection_pool();
                $call
            }
            _ => $otherwise,
        }
    };
}

/// If this build does not have the driver of a database (features `mysql`, `postgres` and
/// `sqlite`), sea-orm pings it, and only the log has the cause of a failure.
impl Ping for DatabaseConnection {
    async fn ping(&self, findings: &Findings) -> Result {
        on_pool!(
            self,
            pool => Ping::ping(pool, findings).await,
            DatabaseConnection::ping(self).await.map_err(|error| UnknownError::caused_by(error).into())
        )
    }

    fn usage(&self) -> Option<PoolUsage> {
        on_pool!(self, pool => Ping::usage(pool), None)
    }

    async fn ping_direct(&self) -> Option<Result> {
        on_pool!(self, pool => Ping::ping_direct(pool).await, None)
    }
}
