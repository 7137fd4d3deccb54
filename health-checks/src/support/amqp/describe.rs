use std::io::ErrorKind as Io;

use health_core::{FailureKind as Kind, HealthCheckException, ServiceUnavailable, UnknownError};
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Error, ErrorKind};

use crate::support::connection::error::ProbeError;
use crate::support::io;

/// Converts an error of the client to that of a probe. A soft error has only closed its channel.
pub(crate) fn failed(error: Error) -> ProbeError {
    let is_answer = matches!(
        error.kind(),
        ErrorKind::ProtocolError(protocol) if matches!(protocol.kind(), AMQPErrorKind::Soft(_))
    );
    ProbeError::new(is_answer, describe(error))
}

/// Returns `true` if the broker denies permission for an operation.
pub(crate) fn is_refused(error: &Error) -> bool {
    let is_refusal = |protocol: &AMQPError| {
        *protocol.kind() == AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
    };
    matches!(error.kind(), ErrorKind::ProtocolError(protocol) if is_refusal(protocol))
}

/// Converts an error of the client while it connects. At that point, a refusal is about the
/// password.
pub(super) fn describe_connect(error: Error) -> HealthCheckException {
    if is_refused(&error) {
        let message = "Unable to connect to RabbitMQ: Authentication error.";
        return ServiceUnavailable::new(message)
            .with_kind(Kind::Authentication)
            .with_source(error)
            .into();
    }
    describe(error)
}

/// Converts an error of the client to a message that is safe to show to anyone. The client's own
/// message only goes to the log.
pub(crate) fn describe(error: Error) -> HealthCheckException {
    let (kind, message) = match error.kind() {
        ErrorKind::IOError(io) => connecting(io),
        ErrorKind::ProtocolError(protocol) => match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
                (Kind::Forbidden, "RabbitMQ: permission denied")
            }
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
                (Kind::NotFound, "RabbitMQ: no such queue or exchange")
            }
            AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED) => (
                Kind::Forbidden,
                "RabbitMQ: the queue is another connection's alone",
            ),
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => (
                Kind::Misconfigured,
                "RabbitMQ: the queue or exchange is there with other properties",
            ),
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if is_at_limit(protocol) => {
                (Kind::Saturated, "RabbitMQ takes no more connections")
            }
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => (
                Kind::NotFound,
                "Unable to connect to RabbitMQ: no such virtual host, or no right to it.",
            ),
            AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED) if is_shutdown(protocol) => {
                (Kind::Lost, "RabbitMQ is shutting down")
            }
            AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED) => (
                Kind::Lost,
                "RabbitMQ has closed the connection: an operator did, or the user has changed",
            ),
            AMQPErrorKind::Hard(AMQPHardError::INTERNALERROR) => (
                Kind::Lost,
                "RabbitMQ has an internal error, such as a virtual host that is down",
            ),
            AMQPErrorKind::Hard(AMQPHardError::RESOURCEERROR) => {
                (Kind::Saturated, "RabbitMQ has no resources left")
            }
            _ => return UnknownError::caused_by(error).into(),
        },
        ErrorKind::InvalidConnectionState(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::MissingHeartbeatError => LOST,
        ErrorKind::InvalidProtocolVersion(_) | ErrorKind::ParsingError(_) => (
            Kind::UnexpectedAnswer,
            "the broker does not speak AMQP 0.9.1",
        ),
        ErrorKind::ChannelsLimitReached => (Kind::Saturated, "no free channel on the connection"),
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

/// Returns `true` for a limit of the node, the virtual host or the user: `connection limit (10) is
/// reached`. The text also has names, which do not contain all of this.
fn is_at_limit(error: &AMQPError) -> bool {
    let text = error.get_message().as_str();
    text.contains(" limit (") && text.contains("is reached")
}

/// Returns `true` if the broker stops, and does not only close this connection.
fn is_shutdown(error: &AMQPError) -> bool {
    error.get_message().as_str().contains("reason 'shutdown'")
}

/// Converts an error from opening the stream to the broker.
pub(super) fn not_reached(error: std::io::Error) -> HealthCheckException {
    if let Some((kind @ Kind::Tls, words)) = io::failure_below(&error) {
        let message = format!("Unable to connect to RabbitMQ: {words}.");
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

const LOST: (Kind, &str) = (
    Kind::Lost,
    "Unable to connect to RabbitMQ: Connection lost.",
);

fn connecting(error: &std::io::Error) -> (Kind, &'static str) {
    match (io::failure(error), error.kind()) {
        (Some((kind @ Kind::Refused, _)), _) => (
            kind,
            "Unable to connect to RabbitMQ: Connection was refused.",
        ),
        (Some((kind @ Kind::Dns, _)), _) => (
            kind,
            "Unable to connect to RabbitMQ: the host name can't be resolved.",
        ),
        (Some((kind @ Kind::TimedOut, _)), _) => (kind, "Unable to connect to RabbitMQ: Timeout."),
        (_, Io::InvalidData | Io::InvalidInput) => (
            Kind::Tls,
            "Unable to connect to RabbitMQ: TLS or protocol error.",
        ),
        _ => LOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rabbitmq_closes_a_connection_for() {
        use AMQPHardError as Hard;
        for (hard, text, kind) in [
            (
                Hard::NOTALLOWED,
                "NOT_ALLOWED - access to vhost 'shop' refused for user 'app': connection limit (0) is reached",
                Kind::Saturated,
            ),
            (
                Hard::NOTALLOWED,
                "NOT_ALLOWED - connection refused for user 'app': user connection limit (5) is reached",
                Kind::Saturated,
            ),
            (
                Hard::NOTALLOWED,
                "NOT_ALLOWED - vhost limit not found",
                Kind::NotFound,
            ),
            (
                Hard::INTERNALERROR,
                "INTERNAL_ERROR - access to vhost 'shop' refused for user 'app': vhost 'shop' is down",
                Kind::Lost,
            ),
        ] {
            let error = AMQPError::new(AMQPErrorKind::Hard(hard), text.into());
            let said = describe(ErrorKind::ProtocolError(error).into());
            assert_eq!(said.kind(), kind, "{text}");
        }
        let forced = |text: &str| {
            let kind = AMQPErrorKind::Hard(Hard::CONNECTIONFORCED);
            let error = AMQPError::new(kind, text.into());
            describe(ErrorKind::ProtocolError(error).into()).to_string()
        };
        let stops =
            forced("CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
        assert!(stops.contains("shutting down"), "{stops}");
        let closed = forced("CONNECTION_FORCED - Closed via management plugin");
        assert!(closed.contains("has closed the connection"), "{closed}");
    }
}
