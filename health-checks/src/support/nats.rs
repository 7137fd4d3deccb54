//! Connections to NATS servers, by the
//! [client protocol](https://docs.nats.io/reference/reference-protocols/nats-protocol). The client
//! library async-nats reconnects by itself, and its `flush` waits for no answer of the server.

mod words;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use health_core::{FailureKind, Result, ResultExt as _, Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::time::timeout;

use super::connection::error::{ProbeError, Probed};
use super::connection::net::{Stream, first, tcp};
use super::tls::Tls;
use super::url::{self, Url};
use super::{file, io};
use crate::kind::{Misconfigured, TlsSettings};
use words::{is_answer, judge, no_nats, no_responders, of_server, unavailable};

pub(crate) const SILENCE: &str = "the server does not answer";

const EXPECTED: &str = "expected a URL such as nats://user:password@host:4222, or tls://host:4222";

const PORT: u16 = 4222;

/// The head start of a server of the URL, before the next one is tried as well.
const HEAD_START: Duration = Duration::from_secs(1);

/// The time in which a server with TLS sends its `INFO`. A server with `handshake_first` is silent
/// until TLS begins.
const TLS_FIRST: Duration = Duration::from_millis(250);

/// The same for a second connection, after TLS without an `INFO` has failed.
const INFO_LATE: Duration = Duration::from_secs(1);

/// The maximum number of bytes of a line, and of a message.
const MOST: u64 = 64 * 1024;

/// The addresses of the servers of a cluster, and the login.
#[derive(Clone)]
pub(crate) struct Server {
    url: Secret,
    hosts: Vec<(String, u16)>,
    login: Login,
    /// `None` if the URL does not use TLS.
    tls: Option<Tls>,
}

#[derive(Clone)]
enum Login {
    None,
    User(String, Secret),
    Token(Secret),
    /// A file with a JWT and the seed of a key.
    Credentials(PathBuf),
}

/// Leaves out the login.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// A connection that is logged in.
pub(crate) struct Connection(BufStream<Stream>);

/// The part of the server's `INFO` that is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    nonce: Option<String>,
    tls_required: bool,
    tls_available: bool,
}

impl Server {
    /// Returns what no error may show: the URL, and the secrets of the credentials file.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let mut secrets = vec![self.url.clone()];
        if let Login::Credentials(path) = &self.login
            && let Ok(text) = std::fs::read_to_string(path)
        {
            let parts = ["SEED", "JWT"].map(|name| between(&text, name).ok());
            secrets.extend(parts.into_iter().flatten().map(Secret::from));
        }
        secrets
    }

    pub(crate) fn from_url(text: &Secret) -> Result<Self, Misconfigured> {
        let url = Url::parse(text, EXPECTED)?;
        url.end()?;
        let tls = match url.scheme.as_str() {
            "nats" => None,
            "tls" => Some(Tls::default()),
            _ => return Err(url::not(EXPECTED, text, ["nats", "tls"])),
        };
        TlsSettings::default().needs(tls.is_some())?;
        if url.name().is_some() {
            return Err(Misconfigured::new(
                "url",
                "a path, which NATS does not have: leave it out",
            ));
        }
        let login = match (url.username.clone(), url.password.clone()) {
            (Some(user), Some(password)) => Login::User(user, password.into()),
            (Some(token), None) => Login::Token(token.into()),
            (None, Some(_)) => {
                return Err(Misconfigured::new(
                    "url",
                    "a password without a user: write a token as the user",
                ));
            }
            (None, None) => Login::None,
        };
        let hosts = url
            .hosts
            .iter()
            .map(|host| (host.or_local().to_owned(), host.port.unwrap_or(PORT)))
            .collect();
        Ok(Self {
            url: text.clone(),
            hosts,
            login,
            tls,
        })
    }

    /// Uses these TLS settings. Returns an error if the URL does not use TLS.
    pub(crate) fn over(mut self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        settings.needs(self.tls.is_some())?;
        if let Some(tls) = &mut self.tls {
            *tls = settings.into();
        }
        Ok(self)
    }

    /// Logs in with a file that has a JWT and a seed. The URL must not have a login.
    pub(crate) fn with_credentials(self, path: PathBuf) -> Result<Self, Misconfigured> {
        if !matches!(self.login, Login::None) {
            return Err(Misconfigured::new(
                "credentials",
                "the URL has a login as well: leave one out",
            ));
        }
        Ok(Self {
            login: Login::Credentials(path),
            ..self
        })
    }

    /// Connects to whichever server answers first, and logs in. Earlier servers have a head start.
    pub(crate) async fn open(&self) -> Result<Connection> {
        let attempts: Vec<_> = self
            .hosts
            .iter()
            .map(|(host, port)| self.open_at(host, *port))
            .collect();
        first(attempts, HEAD_START).await
    }

    async fn open_at(&self, host: &str, port: u16) -> Result<Connection> {
        let mut connection = dial(host, port).await?;
        let Some(tls) = &self.tls else {
            let info = connection.info().await?;
            if info.tls_required {
                return Err(unavailable(
                    FailureKind::Tls,
                    "the server wants TLS: write tls:// in the URL",
                ));
            }
            return self.log_in(connection, &info).await;
        };
        if !connection.speaks_within(TLS_FIRST).await {
            match connection.secured(tls, host).await {
                Ok(mut secured) => {
                    let info = secured.info().await?;
                    return self.log_in(secured, &info).await;
                }
                // If the server was only slow, TLS has read its INFO.
                Err(error) => {
                    connection = dial(host, port).await?;
                    if !connection.speaks_within(INFO_LATE).await {
                        return Err(error);
                    }
                }
            }
        }
        let info = connection.info().await?;
        if !(info.tls_required || info.tls_available) {
            return Err(unavailable(
                FailureKind::Tls,
                "TLS failed: the server does not offer TLS",
            ));
        }
        let secured = connection.secured(tls, host).await?;
        self.log_in(secured, &info).await
    }

    async fn log_in(&self, mut connection: Connection, info: &Info) -> Result<Connection> {
        let connect = self.connect(info.nonce.as_deref())?;
        connection.send(&format!("CONNECT {connect}\r\n")).await?;
        connection.ping().await?;
        Ok(connection)
    }

    /// Returns the options of the connection.
    fn connect(&self, nonce: Option<&str>) -> Result<Value> {
        let mut options = json!({
            "verbose": false, "pedantic": false, "echo": false, "headers": true, "no_responders": true, "protocol": 1,
            "name": "health-check", "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "tls_required": self.tls.is_some(),
        });
        match &self.login {
            Login::None => {}
            Login::User(user, password) => {
                options["user"] = user.as_str().into();
                options["pass"] = password.expose().into();
            }
            Login::Token(token) => options["auth_token"] = token.expose().into(),
            Login::Credentials(path) => {
                let text =
                    file::text(path).or_unavailable("the file of the credentials can't be read")?;
                let part = |name: &str| {
                    between(&text, name).or_unavailable("the file has no credentials of NATS")
                };
                let key = nkeys::KeyPair::from_seed(part("SEED")?)
                    .or_unavailable("the file has no credentials of NATS")?;
                let nonce = nonce.unwrap_or_default();
                let signature = key
                    .sign(nonce.as_bytes())
                    .or_unavailable("the file has no credentials of NATS")?;
                options["jwt"] = part("JWT")?.into();
                options["sig"] = BASE64_URL_SAFE_NO_PAD.encode(signature).into();
            }
        }
        Ok(options)
    }
}

/// Returns the line between the marks of a part of a credentials file:
/// `-----BEGIN NATS USER JWT-----`.
fn between<'t>(text: &'t str, name: &str) -> Result<&'t str, std::io::Error> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| !(line.contains("BEGIN") && line.contains(name)));
    lines
        .nth(1)
        .ok_or_else(|| std::io::Error::other("a part is missing"))
}

async fn dial(host: &str, port: u16) -> Result<Connection> {
    let stream: Stream = Box::new(tcp(host, port).await.map_err(io::describe)?);
    Ok(Connection(BufStream::new(stream)))
}

impl Connection {
    /// Returns `true` if the server sends something in this time, or closes the connection.
    async fn speaks_within(&mut self, limit: Duration) -> bool {
        timeout(limit, self.0.fill_buf()).await.is_ok()
    }

    /// Reads the first line of a server.
    async fn info(&mut self) -> Result<Info> {
        let line = self.line().await?;
        let info = line.strip_prefix("INFO ").ok_or_else(no_nats)?;
        serde_json::from_str(info).map_err(|_| no_nats())
    }

    /// Begins TLS.
    async fn secured(self, tls: &Tls, host: &str) -> Result<Self> {
        let stream = self.0.into_inner();
        let secured = tls.connect(stream, host, &[], io::describe).await?;
        Ok(Self(BufStream::new(secured)))
    }

    /// Sends PING and waits for PONG.
    pub(crate) async fn ping(&mut self) -> Probed {
        self.send("PING\r\n").await.map_err(ProbeError::Broken)?;
        while self.control().await? != "PONG" {}
        Ok(())
    }

    /// Requests the state of JetStream, and returns the error that it reports. Fails if there is no
    /// answer within the limit.
    pub(crate) async fn jetstream(&mut self, limit: Duration) -> Probed {
        let answer = timeout(limit, self.request_jetstream()).await;
        let silence = |_| {
            let error = unavailable(FailureKind::TimedOut, "JetStream does not answer");
            Err(ProbeError::Answered(error))
        };
        match answer.unwrap_or_else(silence) {
            Err(ProbeError::Answered(error)) => {
                let is_settled = self.settle().await.is_ok();
                Err(ProbeError::new(is_settled, error))
            }
            outcome => outcome,
        }
    }

    async fn request_jetstream(&mut self) -> Probed {
        let inbox = format!("_INBOX.health-check.{}", uuid::Uuid::new_v4().simple());
        let request = format!("SUB {inbox} 1\r\nUNSUB 1 1\r\nPUB $JS.API.INFO {inbox} 0\r\n\r\n");
        self.send(&request).await.map_err(ProbeError::Broken)?;
        loop {
            let line = self.control().await?;
            let fields: Vec<&str> = line.split(' ').collect();
            let is_message = matches!(fields.first(), Some(&("MSG" | "HMSG")));
            let length = fields.last().and_then(|length| length.parse::<u64>().ok());
            let Some(length) = length.filter(|_| is_message) else {
                continue;
            };
            let message = self.message(length).await.map_err(ProbeError::Broken)?;
            // A message with headers says that nobody responds.
            if fields.first() == Some(&"HMSG") {
                return Err(ProbeError::Answered(no_responders()));
            }
            let answer = serde_json::from_slice(&message);
            let answer = answer.map_err(|_| ProbeError::broken(no_nats()))?;
            return judge(&answer).map_err(ProbeError::Answered);
        }
    }

    /// Reads a message of this length.
    async fn message(&mut self, length: u64) -> Result<Vec<u8>> {
        if length > MOST {
            return Err(no_nats());
        }
        let mut message = vec![0; usize::try_from(length).or_unknown()? + 2];
        let read = self.0.read_exact(&mut message).await;
        read.map_err(io::describe)?;
        Ok(message)
    }

    /// Ends the subscription of a request that failed, and skips what else the server says about
    /// the request, so that the next run does not read it.
    async fn settle(&mut self) -> Result {
        self.send("UNSUB 1\r\nPING\r\n").await?;
        loop {
            let line = self.line().await?;
            if line == "PONG" {
                return Ok(());
            }
            if line.starts_with("-ERR") && !is_answer(&line) {
                return Err(of_server(&line));
            }
        }
    }

    /// Returns the next line, and skips the server's PING and INFO. Fails if the line is an error
    /// of the server.
    async fn control(&mut self) -> Probed<String> {
        loop {
            let line = self.line().await.map_err(ProbeError::Broken)?;
            match line.as_str() {
                "PING" => self.send("PONG\r\n").await.map_err(ProbeError::Broken)?,
                "+OK" => {}
                line if line.starts_with("INFO ") => {}
                line if line.starts_with("-ERR") => {
                    return Err(ProbeError::new(is_answer(line), of_server(line)));
                }
                _ => return Ok(line),
            }
        }
    }

    async fn send(&mut self, text: &str) -> Result {
        self.0
            .write_all(text.as_bytes())
            .await
            .map_err(io::describe)?;
        self.0.flush().await.map_err(io::describe)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let read = (&mut self.0)
            .take(MOST)
            .read_until(b'\n', &mut line)
            .await
            .map_err(io::describe)?;
        if read == 0 {
            return Err(unavailable(FailureKind::Lost, "connection lost"));
        }
        let text = String::from_utf8(line).map_err(|_| no_nats())?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}
