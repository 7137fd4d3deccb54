//! Pools of databases, whichever the database: how a check gets a connection, and what can be wrong.

mod acquire;
mod describe;
mod dialect;

use std::convert::Infallible;

use health_core::Secret;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
use sqlx::{ConnectOptions as _, pool::PoolOptions};

pub(crate) use acquire::acquire;
pub(crate) use describe::{describe, is_missing_table, is_read_only};
pub(crate) use dialect::Dialect;

use crate::kind::Misconfigured;

/// The application's own pool, of any database that this build has a driver for (features `mysql`, `postgres`,
/// `sqlite`).
///
/// Its `Debug` shows the kind of database and nothing of how it is reached.
#[derive(Clone)]
#[non_exhaustive]
pub enum DatabasePool {
    /// MySQL or MariaDB.
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    #[doc(hidden)]
    NoDriver(Infallible),
}

/// Runs a block on the pool of whichever database, with its dialect.
macro_rules! on_pool {
    ($database:expr, $pool:ident, $dialect:pat => $work:block) => {
        match $database {
            #[cfg(feature = "mysql")]
            $crate::support::sql::DatabasePool::MySql($pool) => {
                let $dialect = $crate::support::sql::Dialect::MYSQL;
                $work
            }
            #[cfg(feature = "postgres")]
            $crate::support::sql::DatabasePool::Postgres($pool) => {
                let $dialect = $crate::support::sql::Dialect::POSTGRES;
                $work
            }
            #[cfg(feature = "sqlite")]
            $crate::support::sql::DatabasePool::Sqlite($pool) => {
                let $dialect = $crate::support::sql::Dialect::SQLITE;
                $work
            }
            $crate::support::sql::DatabasePool::NoDriver(never) => match *never {},
        }
    };
}
pub(crate) use on_pool;

#[cfg(feature = "mysql")]
impl From<sqlx::MySqlPool> for DatabasePool {
    fn from(pool: sqlx::MySqlPool) -> Self {
        Self::MySql(pool)
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for DatabasePool {
    fn from(pool: sqlx::PgPool) -> Self {
        Self::Postgres(pool)
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for DatabasePool {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self::Sqlite(pool)
    }
}

/// The driver's options of a URL, with statements kept out of the application's log.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
fn one_connection<DB: sqlx::Database>(url: &Secret) -> Result<sqlx::Pool<DB>, Misconfigured> {
    // The driver's own words may quote the URL.
    let options: <DB::Connection as sqlx::Connection>::Options =
        url.expose().parse().map_err(|_| Misconfigured::new("url", "not a valid URL of this database"))?;
    // Without time limits, for those would need a runtime to be there already.
    let pool = PoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    Ok(pool.connect_lazy_with(options.disable_statement_logging()))
}

impl DatabasePool {
    /// A pool of one connection, which is opened when it is needed.
    pub(crate) fn lazy(url: &Secret) -> Result<Self, Misconfigured> {
        match url.expose().split(':').next().unwrap_or_default() {
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => one_connection(url).map(Self::MySql),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => one_connection(url).map(Self::Postgres),
            #[cfg(feature = "sqlite")]
            "sqlite" => one_connection(url).map(Self::Sqlite),
            scheme if ["mysql", "mariadb", "postgres", "postgresql", "sqlite"].contains(&scheme) => {
                let message = format!("this build has no driver for {scheme}: switch on its cargo feature");
                Err(Misconfigured::new("url", message))
            }
            _ => Err(Misconfigured::new("url", "expected the URL of a database: postgres://, mysql:// or sqlite://")),
        }
    }
}

impl std::fmt::Debug for DatabasePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        on_pool!(self, _pool, dialect => { f.write_str(dialect.name) })
    }
}
