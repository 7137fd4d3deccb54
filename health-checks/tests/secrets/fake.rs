//! Servers that quote what they receive in their errors.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The protocol of a fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fake {
    Http,
    Memcached,
    Nats,
    /// Refuses connections.
    Nobody,
    Postgres,
    /// As Redis 7 and Valkey.
    Redis,
    /// As a proxy before Redis.
    RedisProxy,
    S3,
    Smtp,
    /// Sends the bytes back, whatever they mean.
    Raw,
}

impl Fake {
    /// Starts a server, which ends with the runtime.
    pub(crate) async fn start(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        if self == Self::Nobody {
            return address;
        }
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move { drop(self.serve(stream).await) });
            }
        });
        address
    }

    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.write_all(self.greeting()).await?;
        let mut sent = vec![0; 64 * 1024];
        loop {
            let length = stream.read(&mut sent).await?;
            if length == 0 {
                return Ok(());
            }
            stream.write_all(&self.answer(&sent[..length])).await?;
        }
    }

    fn greeting(self) -> &'static [u8] {
        match self {
            Self::Smtp => b"220 fake ESMTP\r\n",
            Self::Nats => {
                b"INFO {\"server_id\":\"fake\",\"auth_required\":true,\"nonce\":\"abc\"}\r\n"
            }
            _ => b"",
        }
    }

    fn answer(self, sent: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(sent);
        let line = text.replace("\r\n", " ");
        match self {
            Self::Http => format!(
                "HTTP/1.1 403 Forbidden\r\nX-Echo: {line}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
            .into_bytes(),
            Self::S3 => {
                let body = format!(
                    "<Error><Code>SignatureDoesNotMatch</Code><Message>{line}</Message></Error>"
                );
                let length = body.len();
                format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n{body}")
                    .into_bytes()
            }
            Self::Memcached => format!("CLIENT_ERROR {line}\r\n").into_bytes(),
            Self::Nats => format!("-ERR 'Unknown Protocol Operation {line}'\r\n").into_bytes(),
            Self::Redis => redis(&text, "unknown command", ", with args beginning with: "),
            Self::RedisProxy => redis(&text, "proxy refuses", " "),
            Self::Smtp if text.starts_with("EHLO") => {
                b"250-fake\r\n250 AUTH PLAIN LOGIN\r\n".to_vec()
            }
            Self::Smtp => format!("535 5.7.8 no: {line}\r\n").into_bytes(),
            Self::Postgres => postgres(sent),
            Self::Nobody | Self::Raw => sent.to_vec(),
        }
    }
}

/// Answers each command of a pipeline with an error that quotes the whole pipeline.
fn redis(sent: &str, error: &str, before: &str) -> Vec<u8> {
    let parts = sent
        .split("\r\n")
        .filter(|part| !part.starts_with('$') && !part.is_empty());
    let (commands, arguments): (Vec<&str>, Vec<&str>) =
        parts.partition(|part| part.starts_with('*'));
    let name = arguments.first().copied().unwrap_or_default();
    let arguments: Vec<_> = arguments
        .iter()
        .skip(1)
        .map(|part| format!("'{part}' "))
        .collect();
    format!("-ERR {error} '{name}'{before}{}\r\n", arguments.concat())
        .repeat(commands.len())
        .into_bytes()
}

/// Asks for a password in clear text, and quotes it.
fn postgres(sent: &[u8]) -> Vec<u8> {
    if sent.len() == 8 {
        return b"N".to_vec(); // to the request for TLS
    }
    if !sent.starts_with(b"p") {
        return b"R\0\0\0\x08\0\0\0\x03".to_vec();
    }
    let password = &sent[5..sent.len() - 1];
    let mut fields = b"SFATAL\0VFATAL\0C28P01\0Mno user has the password ".to_vec();
    fields.extend(password);
    fields.extend(b"\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E", &length.to_be_bytes()[..], &fields].concat()
}
