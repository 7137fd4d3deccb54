//! What can be wrong with a Redis, in the original's words where it has them.

use health_core::{HealthCheckException, ServiceUnavailable};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A client's error in words that anybody may read; its own go to the log.
pub(crate) fn describe(error: RedisError) -> HealthCheckException {
    let text = error.to_string();
    let message = match error.kind() {
        ErrorKind::AuthenticationFailed => "Unable to connect to Redis: Authentication error.",
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "Redis is loading its data",
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "Redis is read-only",
        ErrorKind::Server(ServerErrorKind::NoPerm) => "Redis: permission denied",
        ErrorKind::Server(ServerErrorKind::MasterDown) => "Redis: its master is down",
        ErrorKind::InvalidClientConfig => "Redis: its URL is not valid",
        _ if is_authentication(&error) => "Unable to connect to Redis: Authentication error.",
        _ if error.code() == Some("OOM") => "Redis has no memory left",
        _ if error.code() == Some("MISCONF") => "Redis can't save to its disk",
        ErrorKind::Server(_) | ErrorKind::Extension => "Redis refused the command",
        _ if error.is_connection_refusal() => "Unable to connect to Redis: Connection was refused.",
        _ if error.is_timeout() => "Unable to connect to Redis: Timeout.",
        // The client keeps the text of what was below, and not the error.
        _ if text.contains("failed to lookup address") => {
            "Unable to connect to Redis: the host name can't be resolved."
        }
        _ if text.contains("certificate") => "Unable to connect to Redis: TLS failed.",
        _ => "Unable to connect to Redis: Connection Error",
    };
    ServiceUnavailable::new(message).with_source(error).into()
}

fn is_authentication(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}
