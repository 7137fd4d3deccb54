//! Pools of databases, whichever the database: how a check gets a connection, and what can be wrong.

mod acquire;
mod describe;

use health_core::Secret;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Database, SqlitePool};

pub(crate) use acquire::acquire;
pub(crate) use describe::{describe, is_missing_table};

use crate::catalogue::Misconfigured;

/// The application's own pool, of any database that a check can be given.
///
/// Its `Debug` shows the kind of database and nothing of how it is reached.
#[derive(Clone)]
#[non_exhaustive]
pub enum DatabasePool {
    /// SQLite.
    Sqlite(SqlitePool),
}

/// Runs an expression on the pool of whichever database.
macro_rules! on_pool {
    ($database:expr, $pool:ident => $work:expr) => {
        match $database {
            $crate::DatabasePool::Sqlite($pool) => $work,
        }
    };
}
pub(crate) use on_pool;

impl From<SqlitePool> for DatabasePool {
    fn from(pool: SqlitePool) -> Self {
        Self::Sqlite(pool)
    }
}

impl DatabasePool {
    /// A pool of one connection, which is opened when it is needed.
    pub(crate) fn lazy(url: &Secret) -> Result<Self, Misconfigured> {
        let expected =
            || Misconfigured::new("url", "expected the URL of a database, such as sqlite:///srv/app/orders.db");
        let url = url.expose();
        if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse().map_err(|_| expected())?;
            return Ok(Self::Sqlite(one_connection().connect_lazy_with(options.disable_statement_logging())));
        }
        Err(expected())
    }
}

fn one_connection<DB: Database>() -> PoolOptions<DB> {
    PoolOptions::new().max_connections(1)
}

impl std::fmt::Debug for DatabasePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(_) => f.write_str("Sqlite"),
        }
    }
}
