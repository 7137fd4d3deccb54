use std::io::{Error as IoError, ErrorKind as Io};

use health_core::{FailureKind as Kind, HealthCheckException, ServiceUnavailable};
use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::support::io;

/// The kind of a failure, and its message, which is the original's if the original has one.
type Words = (Kind, &'static str);

const AUTHENTICATION: Words = (Kind::Authentication, "Unable to connect to Redis: Authentication error.");
const LOST: Words = (Kind::Lost, "Unable to connect to Redis: Connection Error");

/// Converts an error of the client to a message that is safe to show to anyone. The client's own message only goes to
/// the log.
pub(crate) fn describe(error: RedisError) -> HealthCheckException {
    let (kind, message) = match error.kind() {
        ErrorKind::AuthenticationFailed => by_text(&error).unwrap_or(AUTHENTICATION),
        ErrorKind::Server(kind) => by_kind(kind).or_else(|| by_text(&error)).unwrap_or(REFUSED),
        ErrorKind::Extension => {
            by_code(error.code().unwrap_or_default()).or_else(|| by_text(&error)).unwrap_or(REFUSED)
        }
        ErrorKind::InvalidClientConfig => (Kind::Misconfigured, "Redis: its URL is not valid"),
        ErrorKind::Parse => (Kind::UnexpectedAnswer, "the server does not speak Redis' protocol"),
        _ => below(&error),
    };
    ServiceUnavailable::new(message).with_kind(kind).with_source(error).into()
}

/// Converts an error from opening the stream to the server.
pub(crate) fn not_reached(error: IoError) -> HealthCheckException {
    if let Some((kind @ Kind::Tls, words)) = io::failure(&error) {
        let message = format!("Unable to connect to Redis: {words}.");
        return ServiceUnavailable::new(message).with_kind(kind).with_source(error).into();
    }
    let (kind, message) = connecting(&error);
    ServiceUnavailable::new(message).with_kind(kind).with_source(error).into()
}

const REFUSED: Words = (Kind::Other, "Redis refused the command");

fn connecting(error: &IoError) -> Words {
    match io::failure(error) {
        Some((kind @ Kind::Refused, _)) => (kind, "Unable to connect to Redis: Connection was refused."),
        Some((kind @ Kind::TimedOut, _)) => (kind, "Unable to connect to Redis: Timeout."),
        Some((kind @ Kind::Dns, _)) => (kind, "Unable to connect to Redis: the host name can't be resolved."),
        _ if error.kind() == Io::NotFound => (Kind::NotFound, "Unable to connect to Redis: there is no such socket."),
        _ => LOST,
    }
}

/// Chooses a message by the text, because the client does not always keep the error that is below its own.
fn below(error: &RedisError) -> Words {
    let text = error.to_string();
    if error.is_connection_refusal() {
        (Kind::Refused, "Unable to connect to Redis: Connection was refused.")
    } else if error.is_timeout() {
        (Kind::TimedOut, "Unable to connect to Redis: Timeout.")
    } else if text.contains("failed to lookup address") {
        (Kind::Dns, "Unable to connect to Redis: the host name can't be resolved.")
    } else if text.contains("certificate") {
        (Kind::Tls, "Unable to connect to Redis: TLS failed.")
    } else {
        LOST
    }
}

fn by_kind(kind: ServerErrorKind) -> Option<Words> {
    Some(match kind {
        ServerErrorKind::BusyLoading => (Kind::Saturated, "Redis is loading its data"),
        ServerErrorKind::ReadOnly => (Kind::ReadOnly, "Redis is read-only"),
        ServerErrorKind::NoPerm => (Kind::Forbidden, "Redis: permission denied"),
        ServerErrorKind::MasterDown => (Kind::Lost, "Redis: its master is down"),
        ServerErrorKind::ClusterDown => (Kind::Lost, "Redis: the cluster is down"),
        ServerErrorKind::Moved | ServerErrorKind::Ask => {
            (Kind::Misconfigured, "Redis: the key is on another node of the cluster")
        }
        ServerErrorKind::TryAgain => (Kind::Lost, "Redis: the cluster moves its keys"),
        _ => return None,
    })
}

/// Chooses a message by the first word of the server's response.
fn by_code(code: &str) -> Option<Words> {
    Some(match code {
        "NOAUTH" | "WRONGPASS" => AUTHENTICATION,
        "BUSY" => (Kind::Saturated, "Redis is busy with a script"),
        "OOM" => (Kind::Saturated, "Redis has no memory left"),
        "MISCONF" => (Kind::ReadOnly, "Redis can't save to its disk"),
        "NOREPLICAS" => (Kind::ReadOnly, "Redis has too few replicas to take writes"),
        "DENIED" => (Kind::Forbidden, "Redis is in protected mode: it wants a password from other hosts"),
        _ => return None,
    })
}

/// Chooses a message by the text, for a response whose code is only `ERR`.
fn by_text(error: &RedisError) -> Option<Words> {
    const WORDS: &[(&str, Words)] = &[
        ("NOAUTH", AUTHENTICATION),
        ("WRONGPASS", AUTHENTICATION),
        // The client drops the code of a response to SELECT.
        ("Authentication required", AUTHENTICATION),
        ("loading the dataset", (Kind::Saturated, "Redis is loading its data")),
        ("Link with MASTER is down", (Kind::Lost, "Redis: its master is down")),
        ("busy running a script", (Kind::Saturated, "Redis is busy with a script")),
        ("max number of clients", (Kind::Saturated, "Redis takes no more connections")),
        ("DB index is out of range", (Kind::NotFound, "Redis has no such database")),
        ("not allowed in cluster mode", (Kind::Misconfigured, "Redis is a cluster, which has database 0 only")),
        ("without any password configured", (Kind::Misconfigured, "Redis wants no password, and the URL has one")),
        ("no password is set", (Kind::Misconfigured, "Redis wants no password, and the URL has one")),
        ("invalid password", AUTHENTICATION),
        ("unknown command", (Kind::UnexpectedAnswer, "Redis does not know the command")),
    ];
    let text = error.to_string();
    WORDS.iter().find(|(part, _)| text.contains(part)).map(|(_, words)| *words)
}
