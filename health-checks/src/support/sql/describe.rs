use std::io::ErrorKind;

use health_core::{FailureKind, HealthCheckException, ServiceUnavailable, UnknownError};
use sqlx::error::DatabaseError;

use crate::support::io;

/// The kind of a failure, and its message.
type Words = (FailureKind, &'static str);

/// The original's message, for errors that have no better one.
const DATABASE_ERROR: Words = (FailureKind::Other, "Database error");

/// Converts an error of the driver to a message that is safe to show to anyone. The driver's own message only goes to
/// the log.
pub(crate) fn describe(error: sqlx::Error) -> HealthCheckException {
    let (kind, message) = match &error {
        sqlx::Error::Io(io) if io.kind() == ErrorKind::NotFound && !io::is_unknown_host(io) => {
            (FailureKind::NotFound, "there is no such file or socket")
        }
        sqlx::Error::Io(io) => io::failure(io).unwrap_or((FailureKind::Lost, "connection lost")),
        sqlx::Error::Tls(why) => io::failure_below(&**why).unwrap_or((FailureKind::Tls, "TLS failed")),
        sqlx::Error::Configuration(why) if why.to_string().starts_with("RSA") => (
            FailureKind::Authentication,
            "the server takes this password over TLS only: add ssl-mode=REQUIRED to the URL",
        ),
        sqlx::Error::Configuration(_) => (FailureKind::Misconfigured, "its options are not valid"),
        sqlx::Error::PoolClosed => (FailureKind::Misconfigured, "the pool is closed"),
        sqlx::Error::WorkerCrashed => (FailureKind::Lost, "connection lost"),
        sqlx::Error::Protocol(why) if why.starts_with("unknown authentication plugin") => {
            (FailureKind::Authentication, "the server wants a kind of login that this client does not know")
        }
        sqlx::Error::Protocol(_) => {
            (FailureKind::UnexpectedAnswer, "the server does not speak this database's protocol")
        }
        sqlx::Error::Database(from_server) => by_code(&**from_server).unwrap_or(DATABASE_ERROR),
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_kind(kind).with_source(error).into()
}

/// Returns `true` if a statement failed because its table does not exist.
pub(crate) fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    // PostgreSQL and MySQL have an SQLSTATE for this. SQLite only has a general error.
    matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
}

/// Returns `true` if a statement failed because the database accepts no writes.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(by_code).is_some_and(|(kind, _)| kind == FailureKind::ReadOnly)
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
    let code = error.code()?;
    if code == "08P01" { Some(pooler(error.message())) } else { sql_state(&code) }
}

/// Chooses a message by the text, because [PgBouncer](https://www.pgbouncer.org) has one code for all its own errors.
fn pooler(message: &str) -> Words {
    use FailureKind as Kind;
    const WORDS: &[(&str, Words)] = &[
        (
            "startup parameter",
            (Kind::Misconfigured, "the pooler refused a startup parameter: see its setting ignore_startup_parameters"),
        ),
        ("no such database", (Kind::NotFound, "there is no such database")),
        ("no such user", (Kind::Authentication, "authentication failed")),
        ("authentication failed", (Kind::Authentication, "authentication failed")),
        ("auth failed", (Kind::Authentication, "authentication failed")),
        ("login rejected", (Kind::Authentication, "authentication failed")),
        ("no more connections", (Kind::Saturated, "the pooler takes no more connections")),
        ("query_wait_timeout", (Kind::Saturated, "the pooler has no connection to the server to give")),
        ("shutting down", (Kind::Lost, "the pooler is shutting down")),
        ("disabled", (Kind::Forbidden, "the pooler does not serve this database at present")),
        ("server", (Kind::Lost, "the pooler can't reach the server")),
        ("connect", (Kind::Lost, "the pooler can't reach the server")),
    ];
    let message = message.to_ascii_lowercase();
    let known = WORDS.iter().find(|(part, _)| message.contains(part));
    known.map_or((Kind::UnexpectedAnswer, "the server speaks of a violation of its protocol"), |(_, words)| *words)
}

/// Chooses a message by PostgreSQL's [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn sql_state(code: &str) -> Option<Words> {
    use FailureKind as Kind;
    Some(match code {
        "28P01" | "28000" => (Kind::Authentication, "authentication failed"),
        "3D000" => (Kind::NotFound, "there is no such database"),
        "53300" => (Kind::Saturated, "the server takes no more connections"),
        "53200" => (Kind::Saturated, "the server has no memory left"),
        "53100" => (Kind::Saturated, "no space left for the database"),
        "57P01" | "57P02" => (Kind::Lost, "the server is shutting down"),
        "57P03" => (Kind::Lost, "the server is starting up"),
        "57P05" => (Kind::Lost, "the server has closed an idle session"),
        "57014" => (Kind::TimedOut, "the server has cancelled the statement: its statement_timeout is shorter"),
        "55P03" => (Kind::Saturated, "the database is locked"),
        "55000" => (Kind::Misconfigured, "the database takes no connections"),
        "42501" => (Kind::Forbidden, "permission denied"),
        "25006" => (Kind::ReadOnly, "the database is read-only"),
        "25P02" => (Kind::UnexpectedAnswer, "a transaction of another client was left open on this connection"),
        "26000" | "42P05" => {
            (Kind::Misconfigured, "prepared statements do not work here: a pooler in transaction mode is in between")
        }
        "08000" | "08003" | "08006" => (Kind::Lost, "connection lost"),
        "XX000" => (Kind::Other, "the server has an internal error"),
        _ => return None,
    })
}

/// Chooses a message by the [error number](https://mariadb.com/kb/en/mariadb-error-code-reference/) of MySQL and
/// MariaDB.
#[cfg(feature = "mysql")]
fn mysql(number: u16) -> Option<Words> {
    use FailureKind as Kind;
    Some(match number {
        1045 | 1698 => (Kind::Authentication, "authentication failed"),
        1251 | 1275 | 1524 | 2059 => {
            (Kind::Authentication, "the server wants a kind of login that this client does not know")
        }
        3118 | 4151 => (Kind::Authentication, "the account is locked"),
        1820 | 1862 => (Kind::Authentication, "the password has expired"),
        1044 | 1142 | 1143 | 1227 => (Kind::Forbidden, "permission denied"),
        1130 => (Kind::Forbidden, "the server takes no connections from this host"),
        1129 => (
            Kind::Forbidden,
            "the server has blocked this host after too many broken connections: FLUSH HOSTS unblocks it",
        ),
        3159 => (Kind::Tls, "the server takes connections over TLS only: add ssl-mode=REQUIRED to the URL"),
        1049 => (Kind::NotFound, "there is no such database"),
        1040 | 1203 => (Kind::Saturated, "the server takes no more connections"),
        1226 => (Kind::Saturated, "the account has used up what it may use"),
        1021 | 1114 => (Kind::Saturated, "no space left for the database"),
        1205 | 1213 => (Kind::Saturated, "the database is locked"),
        1053 => (Kind::Lost, "the server is shutting down"),
        1927 | 4031 => (Kind::Lost, "the server has closed the connection"),
        1290 | 1792 | 1836 => (Kind::ReadOnly, "the database is read-only"),
        1969 | 3024 => (Kind::TimedOut, "the server has cancelled the statement: its own limit is shorter"),
        _ => return None,
    })
}

/// Chooses a message by SQLite's [result code](https://www.sqlite.org/rescode.html), whose low byte is the primary
/// code.
#[cfg(feature = "sqlite")]
fn sqlite(code: i32) -> Option<Words> {
    use FailureKind as Kind;
    Some(match code & 0xff {
        3 => (Kind::Forbidden, "permission denied"),
        5 | 6 => (Kind::Saturated, "the database is locked"),
        8 => (Kind::ReadOnly, "the database is read-only"),
        10 => (Kind::Other, "the disk of the database fails"),
        11 => (Kind::UnexpectedAnswer, "the database file is damaged"),
        13 => (Kind::Saturated, "no space left for the database"),
        14 => (Kind::NotFound, "the database file can't be opened"),
        26 => (Kind::UnexpectedAnswer, "the file is not a database"),
        _ => return None,
    })
}
