use std::convert::Infallible;
use std::sync::Mutex;

use health_core::{BoxCheck, Secret};
use sqlx::Pool;

use super::own::{Own, Servers};
use super::pool::Pooled;
use super::{Driver, Query, url};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::kept::Kept;
use crate::support::connection::pool::PoolHealthCheck;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::support::tls::Tls;

/// The application's own pool, of any database that this build has a driver for (features `mysql`,
/// `postgres`, `sqlite`).
///
/// Its `Debug` output shows the kind of database, and nothing about its address or login.
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

impl std::fmt::Debug for DatabasePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "mysql")]
            Self::MySql(_) => sqlx::MySql::NAME,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => sqlx::Postgres::NAME,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlx::Sqlite::NAME,
            Self::NoDriver(never) => match *never {},
        })
    }
}

/// The TLS keys that the drivers support. The name in a certificate is always that of the URL.
pub(crate) const TLS: &[&str] = &["ca_file", "client_cert", "client_key", "verify"];

/// The database of a check: behind the application's pool, or through a connection of the check's
/// own.
#[derive(Clone)]
pub(crate) enum Target {
    Pool(DatabasePool),
    /// The servers, and the TLS settings unless the URL itself names the certificates to trust.
    #[cfg(feature = "mysql")]
    MySql(Servers<sqlx::MySql>, Option<Tls>),
    /// The servers, and the TLS settings unless the URL itself names the certificates to trust.
    #[cfg(feature = "postgres")]
    Postgres(Servers<sqlx::Postgres>, Option<Tls>),
    #[cfg(feature = "sqlite")]
    Sqlite(Box<sqlx::sqlite::SqliteConnectOptions>),
}

/// Shows the kind of database, and nothing about its address or login, because the options hold the
/// password.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pool(pool) => pool.fmt(f),
            #[cfg(feature = "mysql")]
            Self::MySql(..) => f.write_str(sqlx::MySql::NAME),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => f.write_str(sqlx::Postgres::NAME),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => f.write_str(sqlx::Sqlite::NAME),
        }
    }
}

impl Target {
    /// Parses the URL of a database. Nothing is opened yet.
    pub(crate) fn from_url(text: &Secret, tls: &TlsSettings) -> Result<Self, Misconfigured> {
        url::read(text, tls)
    }

    /// Returns `true` if the URL asks for a server that need not accept writes.
    pub(crate) fn is_replica(&self) -> bool {
        match self {
            #[cfg(feature = "mysql")]
            Self::MySql(servers, _) => servers.are_replicas(),
            #[cfg(feature = "postgres")]
            Self::Postgres(servers, _) => servers.are_replicas(),
            _ => false,
        }
    }

    /// Creates a check that runs this query.
    pub(crate) fn check(&self, query: impl Query) -> BoxCheck {
        match self {
            #[cfg(feature = "mysql")]
            Self::Pool(DatabasePool::MySql(pool)) => pooled(pool, query),
            #[cfg(feature = "postgres")]
            Self::Pool(DatabasePool::Postgres(pool)) => pooled(pool, query),
            #[cfg(feature = "sqlite")]
            Self::Pool(DatabasePool::Sqlite(pool)) => pooled(pool, query),
            Self::Pool(DatabasePool::NoDriver(never)) => match *never {},
            #[cfg(feature = "mysql")]
            Self::MySql(servers, tls) => BoxCheck::new(Kept::new(Own::<sqlx::MySql, _> {
                servers: servers.clone(),
                tls: tls.clone(),
                file: None,
                query,
            })),
            #[cfg(feature = "postgres")]
            Self::Postgres(servers, tls) => BoxCheck::new(Kept::new(Own::<sqlx::Postgres, _> {
                servers: servers.clone(),
                tls: tls.clone(),
                file: None,
                query,
            })),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(options) => BoxCheck::new(Kept::new(Own::<sqlx::Sqlite, _> {
                servers: Servers::one((**options).clone()),
                #[cfg(feature = "_tls")]
                tls: None,
                file: Some(options.get_filename().to_owned()),
                query,
            })),
        }
    }
}

fn pooled<DB: Driver>(pool: &Pool<DB>, query: impl Query) -> BoxCheck {
    BoxCheck::new(PoolHealthCheck::new(Pooled {
        pool: pool.clone(),
        query,
        memory: Mutex::default(),
    }))
}
