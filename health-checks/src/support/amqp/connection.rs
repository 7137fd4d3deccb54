use std::fmt;
use std::io::{Error, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError};

use async_compat::CompatExt as _;
use health_core::{Result, Secret};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, ConnectionProperties, runtime};
use tokio::net::TcpStream;

use super::describe::{describe, describe_connect, not_reached};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::net::tcp;
use crate::support::tls::Tls;

/// How often client and broker tell each other that they are there, in seconds.
const HEARTBEAT: u16 = 10;

/// Where a broker is, and who asks.
#[derive(Clone)]
pub(crate) struct Server {
    uri: Arc<AMQPUri>,
    tls: Tls,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

/// A connection that is logged in.
pub(crate) struct Connection {
    pub(crate) client: lapin::Connection,
    _socket: Socket,
}

/// The socket below a connection. The client has a thread for each connection, which a broker that answers nothing, or
/// blocks its publishers, holds for ever: shutting the socket down ends it.
struct Socket(std::net::TcpStream);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both); // it may be closed already
    }
}

impl Server {
    /// The broker at a URL.
    pub(crate) fn from_url(url: &Secret) -> Option<Self> {
        let text = url.expose();
        // Several brokers in one URL: the password of one would go to another.
        if text.contains(';') {
            return None;
        }
        // The client's own words may quote the URL.
        let mut uri: AMQPUri = text.parse().ok()?;
        if let Some((host, port)) = ipv6(text) {
            host.clone_into(&mut uri.authority.host);
            uri.authority.port = port.unwrap_or(if uri.scheme == AMQPScheme::AMQPS { 5671 } else { 5672 });
        }
        uri.query.heartbeat = Some(HEARTBEAT);
        Some(Self { uri: Arc::new(uri), tls: Tls::default() })
    }

    /// Speaks TLS in this way, which the URL has to ask for.
    pub(crate) fn over(self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        settings.needs(self.uri.scheme == AMQPScheme::AMQPS)?;
        Ok(Self { tls: settings.into(), ..self })
    }

    /// Connects and logs in.
    pub(crate) async fn open(&self) -> Result<Connection> {
        let uri = &self.uri;
        let host = uri.authority.host.clone();
        let (stream, socket) =
            split(tcp(&host, uri.authority.port).await.map_err(not_reached)?).map_err(not_reached)?;
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(RustlsConnector::from(self.tls.config()?)),
        };
        let name = self.tls.name(&host).to_owned();
        let stream = Mutex::new(Some(stream));
        let connect = async move |_, _| {
            // Once: the client would connect again by itself.
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let plain = AsyncTcpStream::Plain(stream.ok_or_else(|| Error::from(ErrorKind::NotConnected))?.compat());
            Ok(match &tls {
                Some(tls) => plain.into_rustls(tls, &name).await?,
                None => plain,
            })
        };
        let properties = ConnectionProperties::default().with_connection_name("health-check".into());
        let runtime = runtime::default_runtime().map_err(describe)?;
        let connecting = lapin::Connection::connector(AMQPUri::clone(uri), runtime, connect, properties);
        Ok(Connection { client: connecting.await.map_err(describe_connect)?, _socket: socket })
    }
}

impl Connection {
    pub(crate) async fn channel(&self) -> Result<Channel> {
        self.client.create_channel().await.map_err(describe)
    }

    /// Says goodbye; a broker that blocks this connection does not hear it.
    pub(crate) async fn close(self) {
        if !self.client.status().blocked() {
            let _ = self.client.close(200, "OK".into()).await; // it has served its purpose
        }
    }
}

/// The stream, and the same socket to shut it down by.
fn split(stream: TcpStream) -> Result<(TcpStream, Socket), Error> {
    let stream = stream.into_std()?;
    let socket = Socket(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, socket))
}

/// The IPv6 address in a URL, and its port: the client's own parser knows names and IPv4 addresses.
fn ipv6(url: &str) -> Option<(&str, Option<u16>)> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, rest) = place.strip_prefix('[')?.split_once(']')?;
    Some((host, rest.strip_prefix(':').and_then(|port| port.parse().ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_means_the_host_that_it_names() {
        let read = |url: &str| {
            let Server { uri, .. } = Server::from_url(&url.into())?;
            Some((uri.authority.host.clone(), uri.authority.port, uri.vhost.clone()))
        };
        let found = |host: &str, port, vhost: &str| Some((host.to_owned(), port, vhost.to_owned()));
        assert_eq!(read("amqp://u:p@broker/%2f"), found("broker", 5672, "/"));
        assert_eq!(read("amqp://u:p@[::1]:5673/shop"), found("::1", 5673, "shop"));
        assert_eq!(read("amqps://u:p@[fd00::1]/shop"), found("fd00::1", 5671, "shop"));
        for url in ["amqp://a//;amqp://b:secret@b//", "http://broker"] {
            assert_eq!(read(url), None);
        }
    }
}
