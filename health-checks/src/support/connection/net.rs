//! The stream below a connection: TCP over both address families, or a Unix socket, with or without
//! TLS.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use health_core::{HealthCheckException, ServiceUnavailable};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use crate::support::io::without_brackets;

/// The head start of an address that does not answer, before the next one is tried as well:
/// [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(String, u16),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// A stream of bytes in both directions.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

pub(crate) type Stream = Box<dyn Io>;

impl Address {
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(host, port) => Box::new(tcp(host, *port).await?),
            #[cfg(unix)]
            Self::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        })
    }
}

/// Connects to a host, at whichever of its addresses answers first. Earlier addresses have a head
/// start.
pub(crate) async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses: Vec<SocketAddr> =
        lookup_host((without_brackets(host), port)).await?.collect();
    if host.eq_ignore_ascii_case("localhost") {
        addresses.extend(
            loopback(port)
                .into_iter()
                .filter(|address| !addresses.contains(address))
                .collect::<Vec<_>>(),
        );
    }
    let stream = first(
        interleaved(&addresses).into_iter().map(TcpStream::connect),
        HEAD_START,
    )
    .await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns both addresses of `localhost`, even if a hosts file leaves one out
/// ([RFC 6761](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)).
fn loopback(port: u16) -> [SocketAddr; 2] {
    [
        (Ipv6Addr::LOCALHOST, port).into(),
        (Ipv4Addr::LOCALHOST, port).into(),
    ]
}

/// Sorts the addresses so that the families alternate, beginning with that of the first address.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_like_first = |address: &SocketAddr| {
        addresses
            .first()
            .is_some_and(|first| first.is_ipv6() == address.is_ipv6())
    };
    let (mut like, mut unlike): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(is_like_first);
    let mut all = Vec::with_capacity(addresses.len());
    while !like.is_empty() || !unlike.is_empty() {
        for family in [&mut like, &mut unlike] {
            if !family.is_empty() {
                all.push(family.remove(0));
            }
        }
    }
    all
}

/// Returns the result of the first attempt that succeeds; each has a head start before the next
/// one.
pub(crate) async fn first<T, E>(
    attempts: impl IntoIterator<Item: Future<Output = Result<T, E>>, IntoIter: ExactSizeIterator>,
    head_start: Duration,
) -> Result<T, E>
where
    E: From<NoAttempt>,
{
    let mut waiting = attempts.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut failed = None;
    loop {
        match waiting.next() {
            Some(attempt) => under_way.push(attempt),
            None if under_way.is_empty() => return Err(failed.unwrap_or_else(|| NoAttempt.into())),
            None => {}
        }
        let is_last = waiting.len() == 0;
        let head_start = async {
            if is_last {
                std::future::pending::<()>().await;
            } else {
                tokio::time::sleep(head_start).await;
            }
        };
        tokio::select! {
            ended = under_way.next() => match ended {
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => failed = Some(error),
                None => {}
            },
            () = head_start => {}
        }
    }
}

/// The error of a call without any attempt.
pub(crate) struct NoAttempt;

impl From<NoAttempt> for io::Error {
    fn from(_: NoAttempt) -> Self {
        Self::new(
            ErrorKind::NotFound,
            "failed to lookup address information: no address",
        )
    }
}

impl From<NoAttempt> for HealthCheckException {
    fn from(_: NoAttempt) -> Self {
        ServiceUnavailable::new("the URL names no server").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let parse = |list: &[&str]| {
            list.iter()
                .map(|address| address.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        let all = parse(&[
            "[::1]:1",
            "[::2]:1",
            "127.0.0.1:1",
            "127.0.0.2:1",
            "127.0.0.3:1",
        ]);
        let turns = parse(&[
            "[::1]:1",
            "127.0.0.1:1",
            "[::2]:1",
            "127.0.0.2:1",
            "127.0.0.3:1",
        ]);
        assert_eq!(interleaved(&all), turns);
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_passed_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let nobody = "127.0.0.1:1".parse().unwrap();
        let first = |addresses: Vec<SocketAddr>| {
            first(addresses.into_iter().map(TcpStream::connect), HEAD_START)
        };
        assert_eq!(
            first(vec![nobody, there])
                .await
                .unwrap()
                .peer_addr()
                .unwrap(),
            there
        );
        assert_eq!(
            first(vec![nobody]).await.unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        assert!(first(Vec::new()).await.is_err());
        assert_eq!(
            tcp("[127.0.0.1]", there.port())
                .await
                .unwrap()
                .peer_addr()
                .unwrap(),
            there
        );
    }
}
