use std::convert::Infallible;

use health_core::{BoxCheck, Secret};
use sqlx::{ConnectOptions as _, Pool};

use super::driver::Options;
use super::own::Own;
use super::pool::Pooled;
use super::{Driver, Query};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::kind::HAS_TLS;
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::kept::Kept;
use crate::support::connection::pool::PoolHealthCheck;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::support::io::without_brackets;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use crate::support::tls::Tls;

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

/// The keys of TLS that the drivers can honour: the name in a certificate is always that of the URL.
pub(crate) const TLS: &[&str] = &["ca_file", "client_cert", "client_key", "verify"];

/// A database that a check looks at: behind the application's pool, or by a connection of the check's own.
#[derive(Clone)]
pub(crate) enum Target {
    Pool(DatabasePool),
    /// And how it speaks TLS, unless the URL itself names the certificates to trust.
    #[cfg(feature = "mysql")]
    MySql(sqlx::mysql::MySqlConnectOptions, Option<Tls>),
    /// And how it speaks TLS, unless the URL itself names the certificates to trust.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgConnectOptions, Option<Tls>),
    #[cfg(feature = "sqlite")]
    Sqlite(Box<sqlx::sqlite::SqliteConnectOptions>),
}

/// The kind of database and nothing of how it is reached: options hold the password.
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
    /// The database at a URL. Nothing is opened yet.
    pub(crate) fn from_url(url: &Secret, tls: &TlsSettings) -> Result<Self, Misconfigured> {
        match url.expose().split(':').next().unwrap_or_default() {
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => {
                use sqlx::mysql::MySqlSslMode::{Disabled, Preferred};
                // Nothing that the check does depends on the session's settings: they are not set.
                let options = options::<sqlx::MySql>(url)?.pipes_as_concat(false).no_engine_substitution(false);
                let host = without_brackets(options.get_host()).to_owned(); // the driver finds no host with brackets
                let options = options.host(&host);
                let is_tls = match options.get_ssl_mode() {
                    Disabled => false,
                    Preferred => HAS_TLS,
                    _ => true,
                };
                let tls = of_url(url, &["ssl-ca", "sslca", "ssl_ca"], is_tls, tls.clone())?;
                Ok(Self::MySql(options.timezone(None).set_names(false), tls))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                use sqlx::postgres::PgSslMode::{Allow, Disable, Prefer};
                // PgBouncer refuses this parameter, and the check reads no floats.
                let options = options::<sqlx::Postgres>(url)?.extra_float_digits(None);
                let host = without_brackets(options.get_host()).to_owned(); // the driver finds no host with brackets
                let options = options.host(&host);
                let has_name = options.get_application_name().is_some();
                let options = if has_name { options } else { options.application_name("health-check") };
                let is_tls = match options.get_ssl_mode() {
                    Disable => false,
                    Allow | Prefer => HAS_TLS,
                    _ => true,
                };
                let tls = of_url(url, &["sslrootcert", "ssl-root-cert", "ssl-ca"], is_tls, tls.clone())?;
                Ok(Self::Postgres(options, tls))
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                tls.needs(false)?;
                options::<sqlx::Sqlite>(url).map(Box::new).map(Self::Sqlite)
            }
            scheme if ["mysql", "mariadb", "postgres", "postgresql", "sqlite"].contains(&scheme) => {
                let message = format!("this build has no driver for {scheme}: switch on its cargo feature");
                Err(Misconfigured::new("url", message))
            }
            _ => Err(Misconfigured::new("url", "expected the URL of a database: postgres://, mysql:// or sqlite://")),
        }
    }

    /// A check that asks the database this.
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
            Self::MySql(options, tls) => BoxCheck::new(Kept::new(Own::<sqlx::MySql, _> {
                options: options.clone(),
                tls: tls.clone(),
                file: None,
                query,
            })),
            #[cfg(feature = "postgres")]
            Self::Postgres(options, tls) => BoxCheck::new(Kept::new(Own::<sqlx::Postgres, _> {
                options: options.clone(),
                tls: tls.clone(),
                file: None,
                query,
            })),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(options) => BoxCheck::new(Kept::new(Own::<sqlx::Sqlite, _> {
                options: (**options).clone(),
                #[cfg(feature = "_tls")]
                tls: None,
                file: Some(options.get_filename().to_owned()),
                query,
            })),
        }
    }
}

/// The driver's options of a URL, with statements kept out of the application's log.
fn options<DB: Driver>(url: &Secret) -> Result<Options<DB>, Misconfigured> {
    // The driver's own words may quote the URL.
    let options: Result<Options<DB>, _> = url.expose().parse();
    Ok(options.map_err(|_| Misconfigured::new("url", "not a valid URL of this database"))?.disable_statement_logging())
}

/// How a check speaks TLS: not at all by settings of its own where the query of the URL has one of these parameters.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn of_url(url: &Secret, parameters: &[&str], is_tls: bool, tls: TlsSettings) -> Result<Option<Tls>, Misconfigured> {
    tls.needs(is_tls)?;
    let query = url.expose().split_once('?').map_or("", |(_, query)| query);
    if !query.split('&').any(|pair| parameters.contains(&pair.split('=').next().unwrap_or_default())) {
        return Ok(Some(tls.into()));
    }
    if tls == TlsSettings::default() {
        Ok(None)
    } else {
        Err(Misconfigured::new("ca_file", "the URL names the certificates to trust: leave them out there, or here"))
    }
}

fn pooled<DB: Driver>(pool: &Pool<DB>, query: impl Query) -> BoxCheck {
    BoxCheck::new(PoolHealthCheck::new(Pooled { pool: pool.clone(), query }))
}
