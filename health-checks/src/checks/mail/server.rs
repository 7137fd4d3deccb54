//! A session with an SMTP server, through lettre's client over a stream of our own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use health_core::{FailureKind, HealthCheckException, Result, ServiceUnavailable};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::{Security, describe, start_tls};
use crate::support::connection::net::{Stream, tcp};
use crate::support::io::describe as describe_io;
use crate::support::tls::Tls;

/// The address of a server, and the login.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Option<Credentials>,
    /// The name of this client. `None` stands for the name of this machine.
    pub(super) helo: Option<String>,
    pub(super) tls: Option<(Security, Tls)>,
}

impl Server {
    /// Connects, logs in, sends NOOP and quits, within this time. Returns `false` if NOOP fails.
    pub(super) async fn check(&self, limit: Duration) -> Result<bool> {
        let has_greeted = Arc::new(AtomicBool::new(false));
        let session = timeout(limit, self.session(&has_greeted)).await;
        session.unwrap_or_else(|_| Err(silence(has_greeted.load(Ordering::Relaxed))))
    }

    async fn session(&self, has_greeted: &Arc<AtomicBool>) -> Result<bool> {
        let helo = self.helo.clone().map(ClientId::Domain).unwrap_or_default();
        let mut stream: Stream = Box::new(tcp(&self.host, self.port).await.map_err(describe_io)?);
        if let Some((Security::Wrapper, tls)) = &self.tls {
            stream = tls.connect(stream, &self.host, &[], describe_io).await?;
        }
        let stream = Watched {
            stream: Mutex::new(stream),
            has_greeted: Arc::clone(has_greeted),
        };
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &helo).await;
        let mut connection = connected.map_err(describe)?;
        if let Some((security, tls)) = &self.tls
            && security.wants_start(connection.can_starttls())
        {
            let parameters = start_tls(&self.host, tls)?;
            let started = connection.starttls(parameters, &helo).await;
            started.map_err(describe)?;
        }
        if let Some(login) = &self.login {
            let login = connection.auth(DEFAULT_MECHANISMS, login).await;
            login.map_err(describe)?;
        }
        let answers = connection.test_connected().await;
        if answers {
            let _ = connection.quit().await; // the server has answered already
        }
        Ok(answers)
    }
}

/// Returns the error of a session that was not over in time.
pub(super) fn silence(has_greeted: bool) -> HealthCheckException {
    let message = if has_greeted {
        "the server does not answer"
    } else {
        "the server has not greeted: if it delays its greeting, use a longer timeout"
    };
    ServiceUnavailable::new(message)
        .with_kind(FailureKind::TimedOut)
        .into()
}

/// A stream that records when the client writes. It begins after the whole greeting of the server.
struct Watched {
    /// lettre wants a stream that is `Sync`. It is never locked.
    stream: Mutex<Stream>,
    has_greeted: Arc<AtomicBool>,
}

impl Watched {
    fn stream(&mut self) -> Pin<&mut Stream> {
        let stream = self.stream.get_mut();
        Pin::new(stream.unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Watched {
    /// Is only for the application: the client does not call it.
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::UNSPECIFIED, 0).into())
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_greeted.store(true, Ordering::Relaxed);
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
