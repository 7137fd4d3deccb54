use std::io::{Error as IoError, ErrorKind as Io};

use health_core::{FailureKind as Kind, HealthCheckException, ServiceUnavailable};
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::words::{
    AUTHENTICATION, DNS, LOST, NOT_REDIS, REFUSED, TIMEOUT, TLS, UNREACHED, by_code, by_text,
    without_arguments,
};
use crate::support::connection::error::ProbeError;
use crate::support::io::{self, Words};

/// Converts an error of the client to that of a probe.
pub(crate) fn failed(error: RedisError) -> ProbeError {
    ProbeError::new(is_answer(&error), describe(error))
}

/// Returns `true` if the server sent this error and keeps the connection. It closes a connection
/// that it does not take.
pub(crate) fn is_answer(error: &RedisError) -> bool {
    let is_reply = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
    let is_last =
        || error.code() == Some("DENIED") || error.to_string().contains("max number of clients");
    is_reply && !is_last()
}

/// Converts an error of the client to a message that is safe to show to anyone. The client's own
/// message only goes to the log.
pub(crate) fn describe(error: RedisError) -> HealthCheckException {
    let (kind, message) = match error.kind() {
        ErrorKind::AuthenticationFailed => by_text(&error.to_string()).unwrap_or(AUTHENTICATION),
        ErrorKind::Server(kind) => by_kind(kind)
            .or_else(|| by_text(&error.to_string()))
            .unwrap_or(REFUSED),
        ErrorKind::Extension => by_code(error.code().unwrap_or_default())
            .or_else(|| by_text(&error.to_string()))
            .unwrap_or(REFUSED),
        ErrorKind::InvalidClientConfig => (Kind::Misconfigured, "Redis: its URL is not valid"),
        ErrorKind::Parse => NOT_REDIS,
        _ => below(&error),
    };
    let failure = ServiceUnavailable::new(message).with_kind(kind);
    match without_arguments(&error.to_string()) {
        Some(text) => failure.with_source(text).into(),
        None => failure.with_source(error).into(),
    }
}

/// Converts an error from opening the stream to the server.
pub(crate) fn not_reached(error: IoError) -> HealthCheckException {
    if let Some((kind @ Kind::Tls, words)) = io::failure(&error) {
        let message = format!("Unable to connect to Redis: {words}.");
        return ServiceUnavailable::new(message)
            .with_kind(kind)
            .with_source(error)
            .into();
    }
    let (kind, message) = connecting(&error);
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

fn connecting(error: &IoError) -> Words {
    match io::failure(error) {
        Some((Kind::Refused, _)) => UNREACHED,
        Some((Kind::TimedOut, _)) => TIMEOUT,
        Some((Kind::Dns, _)) => DNS,
        _ if error.kind() == Io::NotFound => (
            Kind::NotFound,
            "Unable to connect to Redis: there is no such socket.",
        ),
        _ => LOST,
    }
}

/// Chooses a message by the text, because the client does not always keep the error that is below
/// its own.
fn below(error: &RedisError) -> Words {
    let text = error.to_string();
    if error.is_connection_refusal() {
        UNREACHED
    } else if error.is_timeout() {
        TIMEOUT
    } else if text.contains("failed to lookup address") {
        DNS
    } else if text.contains("certificate") {
        TLS
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
        ServerErrorKind::Moved | ServerErrorKind::Ask => (
            Kind::Misconfigured,
            "Redis: the key is on another node of the cluster",
        ),
        ServerErrorKind::TryAgain => (Kind::Lost, "Redis: the cluster moves its keys"),
        _ => return None,
    })
}
