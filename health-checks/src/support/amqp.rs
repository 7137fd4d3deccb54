//! What can be wrong with an AMQP broker, in the original's words where it has them.

use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::time::Duration;

use health_core::{Findings, HealthCheckException, Result, ResultExt as _, Secret, ServiceUnavailable, UnknownError};
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Error, ErrorKind};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// A broker, and the attempt to connect to it that is under way.
///
/// The client has a thread for each connection, and a broker that is frozen in the middle of the handshake holds it for
/// ever. So an attempt outlives the run that began it, and the next run takes it up instead of beginning another.
#[derive(Clone)]
pub(crate) struct Server {
    url: Secret,
    attempt: Arc<Mutex<Option<Attempt>>>,
}

type Attempt = JoinHandle<lapin::Result<Connection>>;

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    pub(crate) fn new(url: impl Into<Secret>) -> Self {
        Self { url: url.into(), attempt: Arc::default() }
    }

    /// Connects, or says why not, before the run's timeout.
    pub(crate) async fn connect(&self, findings: &Findings) -> Result<Connection> {
        let deadline = Instant::now() + findings.time_left().min(Duration::from_hours(1)).mul_f64(0.8);
        let mut attempt = self.attempt.lock().await;
        // What has ended since the last run, and did not end well, says nothing of now.
        if let Some(ended) = attempt.take_if(|attempt| attempt.is_finished())
            && let Ok(Ok(connection)) = ended.await
            && connection.status().connected()
        {
            return Ok(connection);
        }
        let current = match &mut *attempt {
            Some(attempt) => attempt,
            None => attempt.insert(self.begin()?),
        };
        let Ok(ended) = timeout_at(deadline, current).await else {
            return Err(ServiceUnavailable::new("Unable to connect to RabbitMQ: Timeout.").into());
        };
        *attempt = None;
        ended.or_unknown()?.map_err(describe_connect)
    }

    /// With a quick heartbeat: the client's task for it outlives the connection until the next one is due.
    fn begin(&self) -> Result<Attempt> {
        // The parser's own words may quote the URL.
        let uri: Result<AMQPUri, _> = self.url.expose().parse();
        let mut uri = uri.map_err(|_| ServiceUnavailable::new("the URL of RabbitMQ is not valid"))?;
        uri.query.heartbeat = Some(2); // seconds
        let properties = ConnectionProperties::default().with_connection_name("health-check".into());
        Ok(tokio::spawn(Connection::connect_uri(uri, properties)))
    }
}

/// The same while connecting, where being refused is about the password.
fn describe_connect(error: Error) -> HealthCheckException {
    let is_refused = |protocol: &AMQPError| *protocol.kind() == AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED);
    if matches!(error.kind(), ErrorKind::ProtocolError(protocol) if is_refused(protocol)) {
        let message = "Unable to connect to RabbitMQ: Authentication error.";
        return ServiceUnavailable::new(message).with_source(error).into();
    }
    describe(error)
}

/// A client's error in words that anybody may read; its own go to the log.
pub(crate) fn describe(error: Error) -> HealthCheckException {
    let message = match error.kind() {
        ErrorKind::IOError(io) => match io.kind() {
            Io::ConnectionRefused => "Unable to connect to RabbitMQ: Connection was refused.",
            _ if super::io::is_unknown_host(io) => "Unable to connect to RabbitMQ: the host name can't be resolved.",
            Io::TimedOut => "Unable to connect to RabbitMQ: Timeout.",
            Io::InvalidData | Io::InvalidInput => "Unable to connect to RabbitMQ: TLS or protocol error.",
            _ => "Unable to connect to RabbitMQ: Connection lost.",
        },
        ErrorKind::ProtocolError(protocol) => match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => "RabbitMQ: permission denied",
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
