use std::io::ErrorKind;

use health_core::{FailureKind, HealthCheckException, ServiceUnavailable, UnknownError};
use sqlx::error::DatabaseError;

use crate::support::connection::error::ProbeError;
#[cfg(feature = "postgres")]
use crate::support::database_words::is_out_of_step;
use crate::support::database_words::{DATABASE_ERROR, READ_ONLY, postgres};
#[cfg(feature = "mysql")]
use crate::support::database_words::{has_ended, mysql};
use crate::support::io::{self, Words};

/// Converts an error of the driver to a message that is safe to show to anyone. The driver's own
/// message only goes to the log.
pub(crate) fn describe(error: sqlx::Error) -> HealthCheckException {
    let (kind, message) = match &error {
        sqlx::Error::Io(io) if io.kind() == ErrorKind::NotFound && !io::is_unknown_host(io) => {
            (FailureKind::NotFound, "there is no such file or socket")
        }
        sqlx::Error::Io(io) => io::failure(io).unwrap_or((FailureKind::Lost, "connection lost")),
        sqlx::Error::Tls(why) => {
            io::failure_below(&**why).unwrap_or((FailureKind::Tls, "TLS failed"))
        }
        sqlx::Error::Configuration(why) if why.to_string().starts_with("RSA") => (
            FailureKind::Authentication,
            "the server takes this password over TLS only: add ssl-mode=REQUIRED to the URL",
        ),
        sqlx::Error::Configuration(_) => (FailureKind::Misconfigured, "its options are not valid"),
        sqlx::Error::PoolClosed => (FailureKind::Misconfigured, "the pool is closed"),
        sqlx::Error::WorkerCrashed => (FailureKind::Lost, "connection lost"),
        sqlx::Error::Protocol(why) if why.starts_with("unknown authentication plugin") => (
            FailureKind::Authentication,
            "the server wants a kind of login that this client does not know",
        ),
        sqlx::Error::Protocol(_) => (
            FailureKind::UnexpectedAnswer,
            "the server does not speak this database's protocol",
        ),
        sqlx::Error::Database(from_server) => by_code(&**from_server).unwrap_or(DATABASE_ERROR),
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

/// Converts an error of the driver to that of a probe.
pub(crate) fn failed(error: sqlx::Error) -> ProbeError {
    ProbeError::new(is_answer(&error), describe(error))
}

/// Returns `true` if the server sent this error, or a row that can't be read, and the session goes
/// on.
pub(crate) fn is_answer(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return matches!(error, sqlx::Error::ColumnDecode { .. });
    };
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        use sqlx::postgres::PgSeverity::{Fatal, Panic};
        let has_ended = matches!(error.severity(), Fatal | Panic);
        return !has_ended && !is_out_of_step(error.code());
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return !has_ended(error.number());
    }
    true
}

/// Returns `true` if a statement failed because its table does not exist.
pub(crate) fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    // PostgreSQL and MySQL have an SQLSTATE for this. SQLite only has a general error.
    matches!(error.code().as_deref(), Some("42P01" | "42S02"))
        || error.message().starts_with("no such table")
}

/// Returns `true` if a statement failed because the database accepts no writes.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(by_code)
        .is_some_and(|words| words == READ_ONLY)
}

/// Returns `true` if a statement failed because the server does not know a part of it: a function,
/// a variable or a syntax.
pub(crate) fn is_not_understood(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // Proxies and servers that only speak the protocol use the general number 1105.
        return matches!(
            error.number(),
            1064 | 1105 | 1149 | 1193 | 1227 | 1235 | 1238 | 1305
        );
    }
    let code = error.code().unwrap_or_default();
    code.len() == 5 && (code.starts_with("42") || code == "0A000")
}

/// Returns `true` for an error of the server that has no message of its own.
pub(crate) fn is_other(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(by_code).is_none()
}

fn by_code(error: &dyn DatabaseError) -> Option<Words> {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        return sqlite(error.code()?.parse().ok()?);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return mysql(error.number());
    }
    postgres(&error.code()?, error.message())
}

/// Chooses a message by SQLite's [result code](https://www.sqlite.org/rescode.html), whose low byte
/// is the primary code.
#[cfg(feature = "sqlite")]
fn sqlite(code: i32) -> Option<Words> {
    use FailureKind as Kind;
    Some(match code & 0xff {
        3 => (Kind::Forbidden, "permission denied"),
        5 | 6 => (Kind::Saturated, "the database is locked"),
        8 => READ_ONLY,
        10 => (Kind::Other, "the disk of the database fails"),
        11 => (Kind::UnexpectedAnswer, "the database file is damaged"),
        13 => (Kind::Saturated, "no space left for the database"),
        14 => (Kind::NotFound, "the database file can't be opened"),
        26 => (Kind::UnexpectedAnswer, "the file is not a database"),
        _ => return None,
    })
}
