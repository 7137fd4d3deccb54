//! HTTP requests of checks: the URL, the client, and the body within its limits.

use std::fmt;
use std::path::PathBuf;

use health_core::{
    FailureKind, HealthCheckException, Result, ResultExt as _, Secret,
    ServiceReturnedUnexpectedResult, ServiceUnavailable, UnknownError,
};
use reqwest::{Client, Response, Url, redirect};

use super::tls::Tls;
use super::{io, url};
use crate::kind::Misconfigured;

/// The maximum number of bytes of a body that are read.
const MOST: usize = 1024 * 1024;

/// The maximum number of chunks of a body that are read, because a server may send a body byte by
/// byte.
const PIECES: usize = 4096;

const EXPECTED: &str = "expected a URL: http://... or https://...";

/// The destination of the request.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    #[cfg_attr(not(unix), expect(dead_code, reason = "it is refused there"))]
    socket: Option<PathBuf>,
}

/// Leaves out the URL, which may hold a secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

impl Target {
    pub(crate) fn read(text: &Secret) -> Result<Self, Misconfigured> {
        url::plain(text.expose())?;
        let scheme = url::scheme(text);
        let (target, socket) = match (scheme.as_str(), text.expose().split_once("://")) {
            ("http" | "https", Some((_, rest))) => {
                let host = url::of_http(rest)?;
                if host.name.is_empty() {
                    return Err(Misconfigured::new("url", EXPECTED));
                }
                (text.expose().to_owned(), None)
            }
            ("http+unix", Some((_, rest))) => {
                let (socket, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                let login = socket
                    .rsplit_once('@')
                    .map_or(String::new(), |(login, _)| format!("{login}@"));
                (
                    format!("http://{login}localhost{path}"),
                    Some(url::of_http(socket)?.name),
                )
            }
            ("unix", _) => {
                let rest = text.expose().split_once(':').map_or("", |(_, rest)| rest);
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
                (format!("http://localhost{path}"), Some(socket.to_owned()))
            }
            _ => {
                return Err(url::not(
                    EXPECTED,
                    text,
                    ["http", "https", "http+unix", "unix"],
                ));
            }
        };
        if socket
            .as_ref()
            .is_some_and(|socket| !socket.starts_with('/'))
        {
            let why = "expected the path of a socket: http+unix://%2Frun%2Fapp.sock/path or unix:/run/app.sock:/path";
            return Err(Misconfigured::new("url", why));
        }
        if cfg!(not(unix)) && socket.is_some() {
            return Err(Misconfigured::new(
                "url",
                "there are no Unix sockets on this system",
            ));
        }
        // The error of the parser may quote the URL.
        let url = Url::parse(&target).map_err(|_| Misconfigured::new("url", EXPECTED))?;
        Ok(Self {
            url,
            socket: socket.map(PathBuf::from),
        })
    }

    /// Builds a client for one run. Its connections end with the run: a server that closes idle
    /// connections is not a failure, and a certificate that has expired is one. Redirects are not
    /// followed. The certificates of the system are trusted.
    pub(crate) fn client(&self, tls: &Tls) -> Result<Client> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent("health-check");
        // Requests to this machine do not use a proxy. Without TLS, no certificates are loaded.
        if is_local(&self.url) {
            builder = builder.no_proxy();
        }
        #[cfg(unix)]
        if let Some(socket) = &self.socket {
            builder = builder.unix_socket(socket.as_path());
        }
        #[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))]
        {
            builder = builder.tls_backend_preconfigured(match self.url.scheme() {
                "http" => super::tls::without_roots()?,
                _ => rustls::ClientConfig::clone(&*tls.config()?),
            });
        }
        #[cfg(not(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs")))]
        let _ = tls;
        builder.pool_max_idle_per_host(0).build().or_unknown()
    }
}

/// The first megabyte of a body.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    is_cut: bool,
}

impl Body {
    /// Returns the bytes of a body that has to be complete, to be parsed.
    pub(crate) fn whole(&self) -> Result<&[u8]> {
        if self.is_cut {
            return Err(
                ServiceReturnedUnexpectedResult::new("the body is longer than 1 MB").into(),
            );
        }
        Ok(&self.bytes)
    }
}

/// Reads the first megabyte of the body.
pub(crate) async fn body(response: &mut Response) -> Result<Body> {
    let mut bytes = Vec::new();
    let mut pieces = 0;
    let mut is_cut = false;
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        bytes.extend_from_slice(&chunk);
        pieces += 1;
        is_cut = bytes.len() > MOST || pieces > PIECES;
        if is_cut {
            break;
        }
    }
    bytes.truncate(MOST);
    Ok(Body { bytes, is_cut })
}

/// Returns `true` if the URL is on this machine.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Converts an error of the client to a message that is safe to show to anyone.
pub(crate) fn describe(error: reqwest::Error) -> HealthCheckException {
    let error = error.without_url(); // the URL may hold a password, and the error goes to the log
    let text = format!("{error:?}");
    let (kind, message) = match io::failure_below(&error) {
        Some(words) => words,
        None if error.is_timeout() => (FailureKind::TimedOut, "timed out"),
        None if text.contains("dns error") => (FailureKind::Dns, "the host name can't be resolved"),
        // An error of rustls arrives as invalid data.
        None if text.contains("InvalidData") || text.contains("certificate") => {
            (FailureKind::Tls, "TLS failed")
        }
        None if error.is_connect() => (FailureKind::Lost, "connection failed"),
        None if error.is_body() || error.is_decode() || error.is_request() => {
            (FailureKind::Lost, "connection lost")
        }
        None => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}
