use std::io::ErrorKind;

use health_core::{HealthCheckException, ServiceUnavailable, UnknownError};
use sqlx::error::DatabaseError;

use crate::support::io;

/// The original's words, where there are no better ones.
const DATABASE_ERROR: &str = "Database error";

const FULL: &str = "the server takes no more connections";
const READ_ONLY: &str = "the database is read-only";

/// A driver's error in words that anybody may read; its own go to the log.
pub(crate) fn describe(error: sqlx::Error) -> HealthCheckException {
    let message = match &error {
        sqlx::Error::Io(io) if io.kind() == ErrorKind::NotFound => "there is no such file or socket",
        sqlx::Error::Io(io) => io::words(io).unwrap_or("connection lost"),
        sqlx::Error::Tls(_) => "TLS failed",
        sqlx::Error::Configuration(_) => "its options are not valid",
        sqlx::Error::PoolClosed => "the pool is closed",
        sqlx::Error::WorkerCrashed => "connection lost",
        sqlx::Error::Protocol(_) => "the server does not speak this database's protocol",
        sqlx::Error::Database(from_server) => by_code(&**from_server).unwrap_or(DATABASE_ERROR),
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_source(error).into()
}

/// Whether a statement failed because its table is not there.
pub(crate) fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    // PostgreSQL's and MySQL's SQLSTATE; SQLite has a general error only.
    matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
}

/// Whether the server is there, and has no connection left for one more.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(by_code) == Some(FULL)
}

/// Whether a statement failed because the database takes no writes.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(by_code) == Some(READ_ONLY)
}

fn by_code(error: &dyn DatabaseError) -> Option<&'static str> {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        return sqlite(error.code()?.parse().ok()?);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return mysql(error.number());
    }
    sql_state(&error.code()?)
}

/// By PostgreSQL's [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn sql_state(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => "authentication failed",
        "3D000" => "there is no such database",
        "53300" => FULL,
        "57P01" | "57P02" => "the server is shutting down",
        "57P03" => "the server is starting up",
        "42501" => "permission denied",
        "25006" => READ_ONLY,
        "53100" => "no space left for the database",
        _ => return None,
    })
}

/// By MySQL's and MariaDB's [error number](https://mariadb.com/kb/en/mariadb-error-code-reference/).
#[cfg(feature = "mysql")]
fn mysql(number: u16) -> Option<&'static str> {
    Some(match number {
        1045 | 1698 => "authentication failed",
        1044 | 1142 => "permission denied",
        1049 => "there is no such database",
        1040 | 1203 => FULL,
        1053 => "the server is shutting down",
        1290 | 1836 => READ_ONLY,
        1021 | 1114 => "no space left for the database",
        1205 | 1213 => "the database is locked",
        _ => return None,
    })
}

/// By SQLite's [result code](https://www.sqlite.org/rescode.html); the low byte is the primary one.
#[cfg(feature = "sqlite")]
fn sqlite(code: i32) -> Option<&'static str> {
    Some(match code & 0xff {
        3 => "permission denied",
        5 | 6 => "the database is locked",
        8 => READ_ONLY,
        10 => "the disk of the database fails",
        11 => "the database file is damaged",
        13 => "no space left for the database",
        14 => "the database file can't be opened",
        26 => "the file is not a database",
        _ => return None,
    })
}
