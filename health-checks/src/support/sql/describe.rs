use std::io::ErrorKind;

use health_core::{HealthCheckException, ServiceUnavailable, UnknownError};
use sqlx::error::DatabaseError;

/// The original's words, where there are no better ones.
const DATABASE_ERROR: &str = "Database error";

/// A driver's error in words that anybody may read; its own go to the log.
pub(crate) fn describe(error: sqlx::Error) -> HealthCheckException {
    let message = match &error {
        sqlx::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused => "connection refused",
            ErrorKind::NotFound => "there is no such file or socket",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::TimedOut => "timed out",
            _ => "connection lost",
        },
        sqlx::Error::Tls(_) => "TLS failed",
        sqlx::Error::Configuration(_) => "its options are not valid",
        sqlx::Error::PoolClosed => "the pool is closed",
        sqlx::Error::WorkerCrashed => "connection lost",
        sqlx::Error::Database(from_server) => sqlite(&**from_server).unwrap_or(DATABASE_ERROR),
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_source(error).into()
}

/// Whether a statement failed because its table is not there.
pub(crate) fn is_missing_table(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().starts_with("no such table"))
}

/// By SQLite's [result code](https://www.sqlite.org/rescode.html); the low byte is the primary one.
fn sqlite(error: &dyn DatabaseError) -> Option<&'static str> {
    let code: i32 = error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?.code()?.parse().ok()?;
    match code & 0xff {
        3 => Some("permission denied"),
        5 | 6 => Some("the database is locked"),
        8 => Some("the database is read-only"),
        10 => Some("the disk of the database fails"),
        11 => Some("the database file is damaged"),
        13 => Some("no space left for the database"),
        14 => Some("the database file can't be opened"),
        26 => Some("the file is not a database"),
        _ => None,
    }
}
