//! The messages for errors of database servers, by the codes that the servers send.

use health_core::FailureKind;

use super::io::Words;

/// The original's message, for errors that have no better one.
pub(crate) const DATABASE_ERROR: Words = (FailureKind::Other, "Database error");

/// The words for a statement that failed because the database accepts no writes.
pub(crate) const READ_ONLY: Words = (FailureKind::ReadOnly, "the database is read-only");

/// Chooses a message for an error of PostgreSQL, or of a pooler in front of it.
pub(crate) fn postgres(code: &str, message: &str) -> Option<Words> {
    match code {
        "08P01" => Some(pooler(message)),
        // The server has refused the kind of connection, before any password was looked at.
        "28000" if message.contains(HBA) => Some(NOT_ALLOWED),
        _ => sql_state(code),
    }
}

/// The name of PostgreSQL's list of permitted connections, which is in its errors in any language.
const HBA: &str = "pg_hba.conf";

const NOT_ALLOWED: Words = (
    FailureKind::Forbidden,
    "the server takes no such connection: pg_hba.conf has no entry for this host, user, database and TLS",
);

/// Chooses a message by the text, because [PgBouncer](https://www.pgbouncer.org) has one code for
/// all its own errors.
fn pooler(message: &str) -> Words {
    use FailureKind as Kind;
    const WORDS: &[(&str, Words)] = &[
        (
            "startup parameter",
            (
                Kind::Misconfigured,
                "the pooler refused a startup parameter: see its setting ignore_startup_parameters",
            ),
        ),
        (
            "no such database",
            (Kind::NotFound, "there is no such database"),
        ),
        (
            "no such user",
            (Kind::Authentication, "authentication failed"),
        ),
        (
            "authentication failed",
            (Kind::Authentication, "authentication failed"),
        ),
        (
            "auth failed",
            (Kind::Authentication, "authentication failed"),
        ),
        (
            "login rejected",
            (Kind::Authentication, "authentication failed"),
        ),
        (
            "no more connections",
            (Kind::Saturated, "the pooler takes no more connections"),
        ),
        (
            "query_wait_timeout",
            (
                Kind::Saturated,
                "the pooler has no connection to the server to give",
            ),
        ),
        ("shutting down", (Kind::Lost, "the pooler is shutting down")),
        (
            "disabled",
            (
                Kind::Forbidden,
                "the pooler does not serve this database at present",
            ),
        ),
        (
            "server login has been failing",
            (
                Kind::Lost,
                "the pooler can't log in to the server: see its log",
            ),
        ),
        ("server", (Kind::Lost, "the pooler can't reach the server")),
        ("connect", (Kind::Lost, "the pooler can't reach the server")),
    ];
    let message = message.to_ascii_lowercase();
    let known = WORDS.iter().find(|(part, _)| message.contains(part));
    known.map_or(
        (
            Kind::UnexpectedAnswer,
            "the server speaks of a violation of its protocol",
        ),
        |(_, words)| *words,
    )
}

/// Returns `true` for the codes of PostgreSQL and its poolers about the connection itself: its
/// protocol, or a transaction that another client has left open on it.
#[cfg(feature = "postgres")]
pub(crate) fn is_out_of_step(code: &str) -> bool {
    code.starts_with("08") || code == "25P02"
}

/// Chooses a message by PostgreSQL's
/// [SQLSTATE](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn sql_state(code: &str) -> Option<Words> {
    use FailureKind as Kind;
    Some(match code {
        "28P01" | "28000" => (Kind::Authentication, "authentication failed"),
        "3D000" => (Kind::NotFound, "there is no such database"),
        "53300" => (Kind::Saturated, "the server takes no more connections"),
        "53200" => (Kind::Saturated, "the server has no memory left"),
        "53100" => (Kind::Saturated, "no space left for the database"),
        "57P01" | "57P02" => (Kind::Lost, "the server is shutting down"),
        "57P04" => (Kind::NotFound, "the database was dropped"),
        "58030" => (Kind::Other, "the disk of the database fails"),
        "57P03" => (Kind::Lost, "the server is starting up"),
        "57P05" => (Kind::Lost, "the server has closed an idle session"),
        "57014" => (
            Kind::TimedOut,
            "the server has cancelled the statement: its statement_timeout is shorter",
        ),
        "55P03" => (Kind::Saturated, "the database is locked"),
        "55000" => (Kind::Misconfigured, "the database takes no connections"),
        "42501" => (Kind::Forbidden, "permission denied"),
        "25006" => READ_ONLY,
        "25P02" => (
            Kind::UnexpectedAnswer,
            "a transaction of another client was left open on this connection",
        ),
        "26000" | "42P05" => (
            Kind::Misconfigured,
            "prepared statements do not work here: a pooler in transaction mode is in between",
        ),
        "08000" | "08003" | "08006" => (Kind::Lost, "connection lost"),
        "XX000" => (Kind::Other, "the server has an internal error"),
        _ => return None,
    })
}

/// Returns `true` for the errors after which MySQL and MariaDB close the connection: a shutdown, a
/// broken or oversized packet, and a session that was killed or idle for too long.
#[cfg(feature = "mysql")]
pub(crate) fn has_ended(number: u16) -> bool {
    matches!(
        number,
        1043 | 1053 | 1077..=1080 | 1152..=1161 | 1184 | 1835 | 1927 | 3169 | 4031
    )
}

/// Chooses a message by the [error number](https://mariadb.com/kb/en/mariadb-error-code-reference/)
/// of MySQL and MariaDB.
#[cfg(feature = "mysql")]
pub(crate) fn mysql(number: u16) -> Option<Words> {
    use FailureKind as Kind;
    Some(match number {
        1045 | 1698 => (Kind::Authentication, "authentication failed"),
        1251 | 1275 | 1524 | 2059 => (
            Kind::Authentication,
            "the server wants a kind of login that this client does not know",
        ),
        3118 | 4151 => (Kind::Authentication, "the account is locked"),
        1820 | 1862 => (Kind::Authentication, "the password has expired"),
        1044 | 1142 | 1143 | 1227 => (Kind::Forbidden, "permission denied"),
        1130 => (
            Kind::Forbidden,
            "the server takes no connections from this host",
        ),
        1129 => (
            Kind::Forbidden,
            "the server has blocked this host after too many broken connections: FLUSH HOSTS unblocks it",
        ),
        3159 => (
            Kind::Tls,
            "the server takes connections over TLS only: add ssl-mode=REQUIRED to the URL",
        ),
        1049 => (Kind::NotFound, "there is no such database"),
        1040 | 1203 => (Kind::Saturated, "the server takes no more connections"),
        1226 => (Kind::Saturated, "the account has used up what it may use"),
        1021 | 1114 => (Kind::Saturated, "no space left for the database"),
        1205 | 1213 => (Kind::Saturated, "the database is locked"),
        1047 => (
            Kind::Lost,
            "the Galera node is not ready: it has no quorum, or is not synchronized",
        ),
        3032 => (Kind::Lost, "the server is in offline mode"),
        3100 => (
            Kind::ReadOnly,
            "the group replication of the server has refused the transaction",
        ),
        1053 => (Kind::Lost, "the server is shutting down"),
        1927 | 4031 => (Kind::Lost, "the server has closed the connection"),
        1290 | 1792 | 1836 | 1874 => READ_ONLY,
        1969 | 3024 => (
            Kind::TimedOut,
            "the server has cancelled the statement: its own limit is shorter",
        ),
        _ => return None,
    })
}

/// Chooses a message by the text, because diesel drops the code and the cause of most errors. If a
/// server sends its text in another language, the causes can't be told apart.
#[cfg(feature = "diesel-async")]
pub(crate) fn diesel(text: &str) -> Option<Words> {
    use FailureKind as Kind;
    const WORDS: &[(&str, Words)] = &[
        (HBA, NOT_ALLOWED),
        (
            "authentication",
            (Kind::Authentication, "authentication failed"),
        ),
        (
            "Access denied",
            (Kind::Authentication, "authentication failed"),
        ),
        ("Connection refused", (Kind::Refused, "connection refused")),
        (
            "too many clients",
            (Kind::Saturated, "the server takes no more connections"),
        ),
        (
            "too many connections",
            (Kind::Saturated, "the server takes no more connections"),
        ),
        (
            "Too many connections",
            (Kind::Saturated, "the server takes no more connections"),
        ),
        (
            "connection slots",
            (Kind::Saturated, "the server takes no more connections"),
        ),
        ("starting up", (Kind::Lost, "the server is starting up")),
        ("shutting down", (Kind::Lost, "the server is shutting down")),
        (
            "terminating connection",
            (Kind::Lost, "the server is shutting down"),
        ),
        (
            "Unknown database",
            (Kind::NotFound, "there is no such database"),
        ),
        ("role \"", (Kind::Authentication, "authentication failed")),
        ("database \"", (Kind::NotFound, "there is no such database")),
        (
            "error connecting to server",
            (Kind::Lost, "the server can't be reached"),
        ),
        ("error performing TLS", (Kind::Tls, "TLS failed")),
        ("connection closed", (Kind::Lost, "connection lost")),
        ("error communicating", (Kind::Lost, "connection lost")),
        ("read-only", READ_ONLY),
    ];
    WORDS
        .iter()
        .find(|(part, _)| text.contains(part))
        .map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_not_permitted_is_not_a_wrong_password() {
        let said = |code, message| postgres(code, message).map(|(kind, _)| kind);
        let refused = "no pg_hba.conf entry for host \"10.0.0.5\", user \"app\", no encryption";
        assert_eq!(said("28000", refused), Some(FailureKind::Forbidden));
        let unknown = "role \"app\" does not exist";
        assert_eq!(said("28000", unknown), Some(FailureKind::Authentication));
        let wrong = "password authentication failed for user \"app\"";
        assert_eq!(said("28P01", wrong), Some(FailureKind::Authentication));
    }

    #[test]
    fn a_pooler_that_can_not_log_in_is_not_one_that_reaches_nothing() {
        let said = |message| postgres("08P01", message).unwrap();
        let retry = said("server login has been failing, try again later (server_login_retry)");
        assert_eq!(
            retry.1,
            "the pooler can't log in to the server: see its log"
        );
        let cached = "server login has been failing, cached error: FATAL: password authentication failed for user \"app\" (server_login_retry)";
        assert_eq!(said(cached).0, FailureKind::Authentication);
        let away = said("server conn crashed?");
        assert_eq!(away.1, "the pooler can't reach the server");
    }

    #[test]
    fn a_server_that_is_there_and_serves_nothing_has_words() {
        let dropped = postgres("57P04", "terminating connection");
        assert_eq!(
            dropped,
            Some((FailureKind::NotFound, "the database was dropped"))
        );
        let disk = postgres("58030", "could not read block 0");
        assert_eq!(
            disk,
            Some((FailureKind::Other, "the disk of the database fails"))
        );
        #[cfg(feature = "mysql")]
        for (number, kind) in [
            (1047, FailureKind::Lost),
            (1874, FailureKind::ReadOnly),
            (3032, FailureKind::Lost),
            (3100, FailureKind::ReadOnly),
        ] {
            assert_eq!(mysql(number).map(|(kind, _)| kind), Some(kind), "{number}");
        }
    }
}
