//! Connections to gRPC servers: HTTP/2 over the stream of
//! [`connection::net`](super::connection::net).

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use health_core::{FailureKind, HealthCheckException, Result, Secret, ServiceUnavailable};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{Request, Response, StatusCode, Uri};
use tonic::{Code, Status};
use tonic_health::pb::health_client::HealthClient;
use tower_service::Service;

use super::connection::error::ProbeError;
use super::connection::net::{Address, tcp};
use super::io::{self, Words, failure_below};
use super::tls::Tls;
use super::url::{self, Url};
use crate::kind::{Misconfigured, TlsSettings};

pub(crate) const SILENCE: &str = "the server does not answer";

/// The protocol that TLS negotiates for gRPC (RFC 7301).
const ALPN: &[u8] = b"h2";

const EXPECTED: &str = "expected a URL: grpc://host:50051, grpcs://host:443, grpc+unix://%2Frun%2Fapp.sock or unix:/run/app.sock";

/// The address of a gRPC server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The URL, which no error may show.
    pub(crate) url: Secret,
    address: Address,
    /// `None` if the URL does not use TLS.
    tls: Option<Tls>,
    origin: Uri,
}

/// A connection. [`close`](Self::close) ends it properly.
pub(crate) struct Connection {
    pub(crate) client: HealthClient<Sender>,
    driver: Driver,
}

struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Parses the URL of a server. Its path is the name of a service.
    pub(crate) fn from_url(text: &Secret) -> Result<(Self, String), Misconfigured> {
        let wrong = || Misconfigured::new("url", EXPECTED);
        if let Some(path) = text.expose().strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok((Self::of(text, unix(path)?, None)?, String::new()));
        }
        let url = Url::parse(text, EXPECTED)?;
        url.refuse_login("gRPC")?;
        url.end()?;
        let host = url.host()?;
        let (address, tls) = match url.scheme.as_str() {
            // tonic's URLs have the schemes of HTTP.
            scheme @ ("grpc" | "http" | "grpcs" | "https") => {
                if host.name.is_empty() {
                    return Err(wrong());
                }
                let port = host.port.ok_or_else(|| {
                    Misconfigured::new("url", "expected a port: grpc://host:50051")
                })?;
                (
                    Address::Tcp(host.name.clone(), port),
                    scheme.ends_with('s').then(Tls::default),
                )
            }
            "grpc+unix" => (unix(&host.name)?, None),
            _ => {
                return Err(url::not(
                    EXPECTED,
                    text,
                    ["grpc", "grpcs", "grpc+unix", "http", "https"],
                ));
            }
        };
        let server = Self::of(text, address, tls)?;
        server.tls_is_there()?;
        Ok((server, url.name().unwrap_or_default().to_owned()))
    }

    fn of(url: &Secret, address: Address, tls: Option<Tls>) -> Result<Self, Misconfigured> {
        let authority = match &address {
            Address::Tcp(..) => address_of(&address),
            #[cfg(unix)]
            Address::Unix(_) => "localhost".to_owned(),
        };
        let origin = origin(tls.is_some(), &authority);
        Ok(Self {
            url: url.clone(),
            address,
            tls,
            origin: origin.ok_or_else(|| Misconfigured::new("url", EXPECTED))?,
        })
    }

    /// Sends this host, and port, in place of that of the URL. TLS does not use it.
    pub(crate) fn with_authority(self, authority: &str) -> Result<Self, Misconfigured> {
        let origin = origin(self.tls.is_some(), authority).ok_or_else(|| {
            let expected = "expected a host, such as stock.internal or stock.internal:50051";
            Misconfigured::new("authority", expected)
        })?;
        Ok(Self { origin, ..self })
    }

    /// Uses these TLS settings. Returns an error if the URL does not use TLS.
    pub(crate) fn over(mut self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        settings.needs(self.tls.is_some())?;
        if let Some(tls) = &mut self.tls {
            *tls = settings.into();
        }
        Ok(self)
    }

    fn tls_is_there(&self) -> Result<(), Misconfigured> {
        TlsSettings::default().needs(self.tls.is_some())
    }

    pub(crate) async fn open(&self) -> Result<Connection> {
        let stream = match (&self.address, &self.tls) {
            (Address::Tcp(host, port), Some(tls)) => {
                let stream = tcp(host, *port).await.map_err(io::describe)?;
                tls.connect(stream, host, &[ALPN], io::describe).await?
            }
            (address, _) => address.connect().await.map_err(io::describe)?,
        };
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| of_transport(&error))?;
        // An error of the connection is also reported by the call.
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let client = HealthClient::with_origin(Sender(sender), self.origin.clone())
            .max_decoding_message_size(MOST);
        Ok(Connection { client, driver })
    }
}

/// The maximum size of an answer, in bytes. A regular one has two.
const MOST: usize = 16 * 1024;

/// Writes the host and the port, or the path of the socket.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address_of(&self.address))
    }
}

fn address_of(address: &Address) -> String {
    match address {
        Address::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
        Address::Tcp(host, port) => format!("{host}:{port}"),
        #[cfg(unix)]
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// Returns the URL that requests begin with. Its authority is the pseudo-header `:authority`.
fn origin(is_tls: bool, authority: &str) -> Option<Uri> {
    let builder = Uri::builder()
        .scheme(if is_tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query("/");
    builder.build().ok().filter(|_| !authority.contains('@'))
}

impl Connection {
    pub(crate) async fn close(self) {
        let Self { client, mut driver } = self;
        drop(client);
        let _ = (&mut driver.0).await; // the connection ends with its last sender
    }
}

/// Sends the requests of a client over one connection.
pub(crate) struct Sender(SendRequest<Body>);

impl Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    /// Is always ready: the client makes a status without a source of an error here, which looks
    /// like an answer of the server. A connection that is lost fails the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    /// Returns an answer of gRPC. Any other one is an error before the client reads its body as a
    /// message.
    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.send_request(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Failure::Transport)?;
            let content_type = answer.headers().get(CONTENT_TYPE);
            let is_grpc =
                content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"));
            if answer.status() == StatusCode::OK && is_grpc {
                Ok(answer)
            } else {
                Err(Failure::PlainHttp(answer.status()))
            }
        })
    }
}

/// A call that brought no answer of gRPC. It has no source, in which the client would look for a
/// status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection is lost, or what answers does not speak HTTP/2.
    Transport(hyper::Error),
    /// An answer of HTTP alone, with its status: from a proxy that does not reach the server, or
    /// from another program.
    PlainHttp(StatusCode),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::PlainHttp(status) => write!(f, "answered with the HTTP status {status} alone"),
        }
    }
}

impl Error for Failure {}

/// Chooses a message for an answer of HTTP alone, by gRPC's
/// [mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md) where that
/// has a code.
fn of_http(status: StatusCode) -> (FailureKind, String) {
    let code = status.as_u16();
    let of_code = |code| words(code).map(|(kind, message)| (kind, message.to_owned()));
    let known = match code {
        429 | 502 | 503 | 504 => Some((FailureKind::Lost, format!("the proxy answered {code}"))),
        401 => of_code(Code::Unauthenticated),
        403 => of_code(Code::PermissionDenied),
        404 => of_code(Code::Unimplemented),
        _ => None,
    };
    known.unwrap_or_else(|| (NOT_GRPC.0, NOT_GRPC.1.to_owned()))
}

#[cfg(unix)]
fn unix(path: &str) -> Result<Address, Misconfigured> {
    if !path.starts_with('/') {
        let expected =
            "expected the path of a socket: unix:/run/app.sock or grpc+unix://%2Frun%2Fapp.sock";
        return Err(Misconfigured::new("url", expected));
    }
    Ok(Address::Unix(path.into()))
}

#[cfg(not(unix))]
fn unix(_: &str) -> Result<Address, Misconfigured> {
    Err(Misconfigured::new(
        "url",
        "there are no Unix sockets on this system",
    ))
}

const NOT_GRPC: Words = (
    FailureKind::Misconfigured,
    "what answers there does not speak gRPC",
);

/// Converts the failure of a call to that of a probe. A status without a source is an answer, and so
/// is one of HTTP alone.
pub(crate) fn failed(status: Status) -> ProbeError {
    let failure = status.source().and_then(|source| source.downcast_ref());
    let is_answer = match failure {
        Some(Failure::PlainHttp(_)) => true,
        Some(Failure::Transport(_)) => false,
        None => status.source().is_none(),
    };
    let (kind, message) = match (failure, status.source(), words(status.code())) {
        (Some(Failure::PlainHttp(code)), ..) => of_http(*code),
        (Some(Failure::Transport(error)), ..) => return ProbeError::broken(of_transport(error)),
        (None, Some(error), _) => return ProbeError::broken(of_transport(error)),
        (None, None, Some((kind, message))) => (kind, message.to_owned()),
        (None, None, None) => (
            FailureKind::Other,
            format!("the server answered {}", name(status.code())),
        ),
    };
    let error = ServiceUnavailable::new(message).with_kind(kind);
    ProbeError::new(is_answer, error.with_source(status))
}

fn words(code: Code) -> Option<Words> {
    use FailureKind as Kind;
    Some(match code {
        Code::NotFound => (Kind::NotFound, "the server does not know this service"),
        Code::Unimplemented => (Kind::NotFound, "the server has no gRPC health service"),
        Code::Unavailable => (Kind::Refused, "the server answered UNAVAILABLE"),
        Code::DeadlineExceeded | Code::Cancelled => (Kind::TimedOut, SILENCE),
        Code::Unauthenticated => (
            Kind::Authentication,
            "the server answered UNAUTHENTICATED: it wants other metadata",
        ),
        Code::PermissionDenied => (Kind::Forbidden, "the server answered PERMISSION_DENIED"),
        Code::ResourceExhausted => (Kind::Saturated, "the server answered RESOURCE_EXHAUSTED"),
        _ => return None,
    })
}

/// Returns the name of a code as the protocol writes it: `FAILED_PRECONDITION`.
fn name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

/// Returns the failure of a connection, below the protocol of gRPC.
fn of_transport(error: &(dyn std::error::Error + 'static)) -> HealthCheckException {
    let (kind, message) = failure_below(error).unwrap_or_else(|| {
        let text = format!("{error:?}");
        if ["FRAME_SIZE_ERROR", "PROTOCOL_ERROR", "HTTP_1_1_REQUIRED"]
            .iter()
            .any(|sign| text.contains(sign))
        {
            NOT_GRPC
        } else {
            (FailureKind::Lost, "connection lost")
        }
    });
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(format!("{error:?}"))
        .into()
}
