use std::fmt;
use std::io::{Error, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError};

use async_compat::CompatExt as _;
use health_core::{Result, Secret};
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{
    AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism,
};
use lapin::{Channel, ConnectionProperties};
use tokio::net::TcpStream;

use super::describe::{describe, describe_connect, not_reached};
use super::{EXPECTED, reactor};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::net::tcp;
use crate::support::tls::Tls;
use crate::support::url::{self, Url};

/// The interval of the heartbeats between client and broker, in seconds.
const HEARTBEAT: u16 = 10;

/// The address of a broker, and the login.
#[derive(Clone)]
pub(crate) struct Server {
    url: Secret,
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

/// The socket below a connection. The client has a thread for each connection. A broker that
/// answers nothing, or that blocks its publishers, holds that thread for ever. Shutting down the
/// socket ends it.
struct Socket(std::net::TcpStream);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both); // it may be closed already
    }
}

impl Server {
    /// Returns the URL, which no error may show.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        vec![self.url.clone()]
    }

    /// Parses the URL of a broker according to RabbitMQ's
    /// [specification](https://www.rabbitmq.com/docs/uri-spec) and
    /// [parameters](https://www.rabbitmq.com/docs/uri-query-parameters). The virtual host is `/` if
    /// the URL has none, or if its path is a slash alone, as in kombu and pika.
    pub(crate) fn from_url(text: &Secret) -> Result<Self, Misconfigured> {
        if text.expose().contains(';') {
            // The password of one broker would be sent to another.
            return Err(Misconfigured::new(
                "url",
                "several brokers in one URL: write a check for each of them",
            ));
        }
        let mut url = Url::parse(text, EXPECTED)?;
        let scheme = match url.scheme.as_str() {
            "amqp" | "pyamqp" | "librabbitmq" => AMQPScheme::AMQP,
            "amqps" => AMQPScheme::AMQPS,
            _ => return Err(url::not(EXPECTED, text, ["amqp", "amqps", "pyamqp"])),
        };
        let host = url.host()?;
        let authority = AMQPAuthority {
            host: host.or_local().to_owned(),
            port: host.port.unwrap_or(if scheme == AMQPScheme::AMQPS {
                5671
            } else {
                5672
            }),
            userinfo: match (url.username.take(), url.password.take()) {
                (None, None) => AMQPUserInfo {
                    username: "guest".into(),
                    password: "guest".into(),
                },
                (username, password) => AMQPUserInfo {
                    username: username.unwrap_or_else(|| "guest".into()),
                    password: password.unwrap_or_default(),
                },
            },
        };
        let vhost = url.name().unwrap_or("/").to_owned();
        let mechanisms = [
            ("plain", SASLMechanism::Plain),
            ("external", SASLMechanism::External),
        ];
        let query = AMQPQueryString {
            frame_max: url.take_number(&["frame_max"])?,
            channel_max: url.take_number(&["channel_max"])?,
            heartbeat: Some(url.take_number(&["heartbeat"])?.unwrap_or(HEARTBEAT)),
            connection_timeout: None,
            auth_mechanism: url.take_word(&["auth_mechanism", "login_method"], &mechanisms)?,
        };
        if scheme == AMQPScheme::AMQPS {
            url.take_word(&["verify"], &[("verify_peer", ())])?;
        }
        url.end()?;
        let uri = AMQPUri {
            scheme,
            authority,
            vhost,
            query,
        };
        Ok(Self {
            url: text.clone(),
            uri: Arc::new(uri),
            tls: Tls::default(),
        })
    }

    /// Uses these TLS settings. Returns an error if the URL does not use TLS.
    pub(crate) fn over(self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        settings.needs(self.uri.scheme == AMQPScheme::AMQPS)?;
        Ok(Self {
            tls: settings.into(),
            ..self
        })
    }

    /// Connects and logs in.
    pub(crate) async fn open(&self) -> Result<Connection> {
        let uri = &self.uri;
        let host = &uri.authority.host;
        let tcp = tcp(host, uri.authority.port).await;
        let (stream, socket) = tcp.and_then(split).map_err(not_reached)?;
        let stream = match uri.scheme {
            AMQPScheme::AMQP => Box::new(stream),
            AMQPScheme::AMQPS => self.tls.connect(stream, host, &[], not_reached).await?,
        };
        let stream = Mutex::new(Some(stream));
        let connect = async move |_, _| {
            // The stream is taken once, because the client would reconnect by itself.
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let stream = stream.ok_or_else(|| Error::from(ErrorKind::NotConnected))?;
            Ok(AsyncTcpStream::Plain(stream.compat()))
        };
        let properties =
            ConnectionProperties::default().with_connection_name("health-check".into());
        let connecting = lapin::Connection::connector(
            AMQPUri::clone(uri),
            reactor::current(),
            connect,
            properties,
        );
        Ok(Connection {
            client: connecting.await.map_err(describe_connect)?,
            _socket: socket,
        })
    }
}

impl Connection {
    pub(crate) async fn channel(&self) -> Result<Channel> {
        self.client.create_channel().await.map_err(describe)
    }

    /// Closes the connection, unless the broker blocks it and would not read the request.
    pub(crate) async fn close(self) {
        if !self.client.status().blocked() {
            let _ = self.client.close(200, "OK".into()).await; // the connection is not needed any more
        }
    }
}

/// Returns the stream, and a handle with which to shut down the same socket.
fn split(stream: TcpStream) -> Result<(TcpStream, Socket), Error> {
    let stream = stream.into_std()?;
    let socket = Socket(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_means_the_host_that_it_names() {
        let read = |url: &str| {
            let Server { uri, .. } =
                Server::from_url(&url.into()).map_err(|error| error.to_string())?;
            Ok((
                uri.authority.host.clone(),
                uri.authority.port,
                uri.vhost.clone(),
            ))
        };
        let found = |host: &str, port, vhost: &str| {
            Ok::<_, String>((host.to_owned(), port, vhost.to_owned()))
        };
        assert_eq!(read("amqp://u:p@broker/%2f"), found("broker", 5672, "/"));
        assert_eq!(
            read("amqp://u:p@[::1]:5673/shop"),
            found("::1", 5673, "shop")
        );
        assert_eq!(
            read("amqps://u:p@[fd00::1]/shop?verify=verify_peer"),
            found("fd00::1", 5671, "shop")
        );
        for url in [
            "amqp://",
            "amqp:///",
            "pyamqp://localhost//",
            "amqp://localhost/%2F?heartbeat=30",
        ] {
            assert_eq!(read(url), found("localhost", 5672, "/"), "{url}");
        }
        for (url, message) in [
            ("amqp://a//;amqp://b:secret@b//", "several brokers"),
            ("amqp://a,b/", "several hosts"),
            ("http://broker", "not http://"),
            (
                "amqps://b/?verify=verify_none",
                "for another one write verify beside the URL",
            ),
            ("amqp://b/?cacertfile=x", "write ca_file beside the URL"),
            (
                "amqp://b/?heartbeat=often",
                "the parameter heartbeat: expected a number",
            ),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(message), "{url}: {error}");
        }
    }
}
