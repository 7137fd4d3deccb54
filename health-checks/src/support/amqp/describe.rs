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
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => (
                Kind::NotFound,
                "Unable to connect to RabbitMQ: no such virtual host, or no right to it.",
            ),
            AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED) => {
                (Kind::Lost, "RabbitMQ is shutting down")
            }
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
