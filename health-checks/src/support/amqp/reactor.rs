//! The reactor of lapin's runtime, for a stream of any kind.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_compat::Compat;
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures::io::{AsyncRead, AsyncWrite};

use crate::support::connection::net::Stream;

/// Returns the current runtime, for connections over a [`Stream`] that is open already.
pub(super) fn current() -> Runtime<RuntimeParts<Tokio, Opened>> {
    Runtime::new(RuntimeParts::new(
        Tokio::current(),
        Opened(Tokio::current()),
    ))
}

/// Tokio's timers for a stream that this crate has opened. lapin's own TLS, which this replaces, adds
/// three dozen crates.
#[derive(Debug, Clone)]
pub(super) struct Opened(Tokio);

impl Reactor for Opened {
    type TcpStream = Compat<Stream>;
    type Sleep = tokio::time::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Self::TcpStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(
        &self,
        duration: Duration,
    ) -> impl futures::Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
