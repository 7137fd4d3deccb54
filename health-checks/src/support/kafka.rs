//! A connection to a Kafka broker, by the [protocol of
//! Kafka](https://kafka.apache.org/protocol.html): a login, and one request for metadata. The client
//! library rskafka requests the metadata of all topics, and connects to the leader of each partition.

mod metadata;
mod sasl;
mod wire;

use std::time::Duration;

use health_core::{FailureKind, HealthCheckException, Result, Secret, ServiceUnavailable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connection::net::{Stream, first, tcp};
use super::io;
use super::tls::Tls;
pub(crate) use metadata::{Metadata, Partition, Topic};
use wire::{Reader, Writer};

/// The head start of a broker, before the next one is tried as well.
const HEAD_START: Duration = Duration::from_secs(1);

/// The maximum size of an answer, in bytes.
const MOST: usize = 8 * 1024 * 1024;

/// The same for the first answer, which has about 500 bytes. From a server that does not speak Kafka,
/// the size is arbitrary.
const MOST_AT_FIRST: usize = 64 * 1024;

const CLIENT: &str = "health-check";

/// The numbers of the requests.
mod api {
    pub(super) const METADATA: i16 = 3;
    pub(super) const SASL_HANDSHAKE: i16 = 17;
    pub(super) const API_VERSIONS: i16 = 18;
    pub(super) const SASL_AUTHENTICATE: i16 = 36;
}

/// A cluster: the brokers to which clients connect first, and the login.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) brokers: Vec<(String, u16)>,
    pub(crate) login: Option<Login>,
    /// `None` without TLS.
    pub(crate) tls: Option<Tls>,
}

/// A login by SASL.
#[derive(Clone)]
pub(crate) struct Login {
    /// The name of the mechanism, as the protocol writes it.
    pub(crate) mechanism: &'static str,
    pub(crate) user: String,
    pub(crate) password: Secret,
}

impl Cluster {
    /// Requests the metadata of these topics from whichever broker answers first. Earlier brokers
    /// have a head start. A refused login is an answer: the next broker does not get it as well.
    pub(crate) async fn metadata(&self, topics: &[String]) -> Result<Metadata> {
        let attempts: Vec<_> = self
            .brokers
            .iter()
            .map(|(host, port)| self.metadata_at(host, *port, topics))
            .collect();
        first(attempts, HEAD_START).await?
    }

    async fn metadata_at(
        &self,
        host: &str,
        port: u16,
        topics: &[String],
    ) -> Result<Result<Metadata>> {
        let mut stream: Stream = Box::new(tcp(host, port).await.map_err(io::describe)?);
        if let Some(tls) = &self.tls {
            stream = tls.connect(stream, host, &[], io::describe).await?;
        }
        let mut connection = Connection { stream, sent: 0 };
        let versions = connection.versions_of_metadata().await?;
        if let Some(login) = &self.login
            && let Err(refused) = sasl::log_in(&mut connection, login).await?
        {
            return Ok(Err(refused));
        }
        let version = metadata::version(versions).ok_or_else(no_kafka)?;
        let request = metadata::request(version, topics);
        let answer = connection
            .ask(api::METADATA, version, &request, MOST)
            .await?;
        let metadata = metadata::parse(&mut Reader::new(&answer), version);
        Ok(Ok(metadata.ok_or_else(no_kafka)?))
    }
}

struct Connection {
    stream: Stream,
    /// The number of requests.
    sent: i32,
}

impl Connection {
    /// Returns the first and the last version of the request for metadata that the broker knows.
    async fn versions_of_metadata(&mut self) -> Result<(i16, i16)> {
        let answer = self.ask(api::API_VERSIONS, 0, &[], MOST_AT_FIRST).await?;
        let mut answer = Reader::new(&answer);
        let versions = (answer.i16() == Some(0)).then(|| {
            answer.array(|it| {
                let api = it.i16()?;
                Some((api, (it.i16()?, it.i16()?)))
            })
        });
        let versions = versions.flatten().ok_or_else(no_kafka)?;
        let metadata = versions.iter().find(|(api, _)| *api == api::METADATA);
        metadata.map(|(_, range)| *range).ok_or_else(no_kafka)
    }

    /// Sends a request, and returns the answer, of at most this many bytes.
    async fn ask(&mut self, api: i16, version: i16, body: &[u8], most: usize) -> Result<Vec<u8>> {
        self.sent += 1;
        let mut request = Writer::default();
        request.i16(api).i16(version).i32(self.sent).text(CLIENT);
        let request = request.with(body);
        let length = i32::try_from(request.len()).map_err(|_| too_long())?;
        let bytes = [&length.to_be_bytes()[..], &request].concat();
        self.stream.write_all(&bytes).await.map_err(io::describe)?;
        self.stream.flush().await.map_err(io::describe)?;
        let length = self.stream.read_i32().await.map_err(io::describe)?;
        let length = usize::try_from(length).ok().filter(|length| *length >= 4);
        let length = length.ok_or_else(no_kafka)?;
        if length > most {
            return Err(if most == MOST { too_long() } else { no_kafka() });
        }
        let number = self.stream.read_i32().await.map_err(io::describe)?;
        if number != self.sent {
            return Err(no_kafka());
        }
        let mut answer = vec![0; length - 4];
        let read = self.stream.read_exact(&mut answer).await;
        read.map_err(io::describe)?;
        Ok(answer)
    }
}

fn no_kafka() -> HealthCheckException {
    ServiceUnavailable::new("the server does not speak Kafka")
        .with_kind(FailureKind::UnexpectedAnswer)
        .into()
}

fn too_long() -> HealthCheckException {
    ServiceUnavailable::new("the answer of the broker is longer than 8 MB")
        .with_kind(FailureKind::UnexpectedAnswer)
        .into()
}
