//! What can be wrong with an AMQP broker, in the original's words where it has them.

use std::io::ErrorKind as Io;

use health_core::{Findings, HealthCheckException, Result, Secret, ServiceUnavailable, UnknownError};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Error, ErrorKind};

/// Connects, or says why not, before the run's timeout.
///
/// With a quick heartbeat: the client's task for it outlives the connection until the next one is due.
pub(crate) async fn connect(url: &Secret, findings: &Findings) -> Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("health-check".into());
    // The parser's own words may quote the URL.
    let uri: Result<AMQPUri, _> = url.expose().parse();
    let mut uri = uri.map_err(|_| ServiceUnavailable::new("the URL of RabbitMQ is not valid"))?;
    uri.query.heartbeat = Some(2); // seconds
    let connecting = Connection::connect_uri(uri, properties);
    match tokio::time::timeout(findings.time_left().mul_f64(0.8), connecting).await {
        Ok(connected) => connected.map_err(describe),
        Err(_) => Err(ServiceUnavailable::new("Unable to connect to RabbitMQ: Timeout.").into()),
    }
}

/// A client's error in words that anybody may read; its own go to the log.
pub(crate) fn describe(error: Error) -> HealthCheckException {
    let message = match error.kind() {
        ErrorKind::IOError(io) => match io.kind() {
            Io::ConnectionRefused => "Unable to connect to RabbitMQ: Connection was refused.",
            Io::TimedOut => "Unable to connect to RabbitMQ: Timeout.",
            Io::InvalidData | Io::InvalidInput => "Unable to connect to RabbitMQ: TLS or protocol error.",
            _ => "Unable to connect to RabbitMQ: Connection lost.",
        },
        ErrorKind::ProtocolError(protocol) => match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => "Unable to connect to RabbitMQ: Authentication error.",
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
                "Unable to connect to RabbitMQ: no such virtual host, or no right to it."
            }
            AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED) => "RabbitMQ is shutting down",
            AMQPErrorKind::Hard(AMQPHardError::RESOURCEERROR) => "RabbitMQ has no resources left",
            _ => return UnknownError::caused_by(error).into(),
        },
        ErrorKind::InvalidConnectionState(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::MissingHeartbeatError => "Unable to connect to RabbitMQ: Connection lost.",
        ErrorKind::InvalidProtocolVersion(_) | ErrorKind::ParsingError(_) => "the broker does not speak AMQP 0.9.1",
        ErrorKind::ChannelsLimitReached => "no free channel on the connection",
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_source(error).into()
}
