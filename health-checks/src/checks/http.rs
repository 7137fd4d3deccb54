//! Checks that a URL answers as it should.
//!
//! ```
//! use health_checks::HttpHealthCheck;
//! use health_core::{CheckExt, Health};
//!
//! let shipping = HttpHealthCheck::new("https://shipping.internal/ping").contains("pong");
//! let health = Health::builder().check(shipping.named("shipping")).build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, ResultExt as _, Secret, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, Unit, UnknownError,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, Url, redirect};
use serde::{Deserialize, Deserializer, de};

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::tls::Tls;
use crate::support::{io, url};

/// The most bytes of a body that are read.
const MOST: usize = 1024 * 1024;

/// The most pieces of a body that are read. A server may send a body byte by byte.
const PIECES: usize = 4096;

/// Sends a request, by default a GET. Redirects are not followed: the URL itself has to answer.
#[derive(Clone)]
pub struct HttpHealthCheck {
    /// `Err` if the URL is invalid. Each run reports that.
    target: Result<Target, Misconfigured>,
    method: Method,
    headers: HeaderMap,
    body: Option<String>,
    status: ExpectedStatus,
    contains: Option<String>,
    tls: Tls,
    /// The application's own client.
    client: Option<Client>,
}

/// The keys of kind `http`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpSettings {
    /// The URL of the request: `http://`, `https://`, or, for a Unix socket, `http+unix://%2Frun%2Fapp.sock/path` or
    /// `unix:/run/app.sock:/path`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// The method of the request.
    #[serde(default = "get")]
    pub method: String,
    /// Headers of the request, such as `Host` or `Authorization`.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "BTreeMap<String, String>"))]
    pub headers: BTreeMap<String, Secret>,
    /// The body of the request.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub body: Option<Secret>,
    /// The expected status: a code such as 204, or a class such as "2xx".
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(default = "any_success"))]
    pub status: ExpectedStatus,
    /// The text that the body has to contain, within its first megabyte.
    #[serde(default)]
    pub contains: Option<String>,
}

fn get() -> String {
    Method::GET.to_string()
}

#[cfg(feature = "config")]
fn any_success() -> String {
    ExpectedStatus::default().to_string()
}

impl CheckSettings for HttpSettings {
    const KIND: &'static str = "http";
    const SUMMARY: &'static str = "a request and its expected answer";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = HttpHealthCheck::new(self.url);
        check.target = Ok(check.target?);
        check = check.tls(tls)?.status(self.status);
        check.method = parse_method(&self.method)?;
        for (name, value) in &self.headers {
            check = check.header(name, value.expose())?;
        }
        check.body = self.body.map(|body| body.expose().to_owned());
        check.contains = self.contains;
        Ok(vec![BoxCheck::new(check)])
    }
}

const EXPECTED: &str = "expected a URL: http://... or https://...";

/// The destination of the request.
#[derive(Clone)]
struct Target {
    url: Url,
    #[cfg_attr(not(unix), expect(dead_code, reason = "it is refused there"))]
    socket: Option<PathBuf>,
}

impl Target {
    fn read(text: &Secret) -> Result<Self, Misconfigured> {
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
                let login = socket.rsplit_once('@').map_or(String::new(), |(login, _)| format!("{login}@"));
                (format!("http://{login}localhost{path}"), Some(url::of_http(socket)?.name))
            }
            ("unix", _) => {
                let rest = text.expose().split_once(':').map_or("", |(_, rest)| rest);
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
                (format!("http://localhost{path}"), Some(socket.to_owned()))
            }
            _ => return Err(url::not(EXPECTED, text, ["http", "https", "http+unix", "unix"])),
        };
        if socket.as_ref().is_some_and(|socket| !socket.starts_with('/')) {
            let why = "expected the path of a socket: http+unix://%2Frun%2Fapp.sock/path or unix:/run/app.sock:/path";
            return Err(Misconfigured::new("url", why));
        }
        if cfg!(not(unix)) && socket.is_some() {
            return Err(Misconfigured::new("url", "there are no Unix sockets on this system"));
        }
        // The error of the parser may quote the URL.
        let url = Url::parse(&target).map_err(|_| Misconfigured::new("url", EXPECTED))?;
        Ok(Self { url, socket: socket.map(PathBuf::from) })
    }
}

/// The expected status of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpectedStatus {
    /// This code, from 100 to 599.
    Code(u16),
    /// Any code of a class: 2 stands for 200 to 299.
    Class(u16),
}

impl Default for ExpectedStatus {
    fn default() -> Self {
        Self::Class(2)
    }
}

impl From<u16> for ExpectedStatus {
    fn from(code: u16) -> Self {
        Self::Code(code)
    }
}

impl ExpectedStatus {
    fn is(self, status: u16) -> bool {
        match self {
            Self::Code(code) => code == status,
            Self::Class(class) => class == status / 100,
        }
    }
}

impl fmt::Display for ExpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl<'de> Deserialize<'de> for ExpectedStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl de::Visitor<'_> for StatusVisitor {
    type Value = ExpectedStatus;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status code from 100 to 599, or a class such as \"2xx\"")
    }

    fn visit_i64<E: de::Error>(self, code: i64) -> Result<ExpectedStatus, E> {
        let code = u16::try_from(code).ok().filter(|code| (100..600).contains(code));
        code.map(ExpectedStatus::Code).ok_or_else(|| E::invalid_value(de::Unexpected::Other("number"), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectedStatus, E> {
        if let Ok(code) = text.parse::<i64>() {
            return self.visit_i64(code);
        }
        let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
        let class = class.filter(|class| (1..6).contains(class));
        class.map(ExpectedStatus::Class).ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for ExpectedStatus {
    fn schema_name() -> Cow<'static, str> {
        "ExpectedStatus".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let code = schemars::json_schema!({ "type": "integer", "minimum": 100, "maximum": 599 });
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, code] })
    }
}

impl HttpHealthCheck {
    /// Creates a check of a URL, which should answer with a status of 2xx.
    pub fn new(url: impl Into<Secret>) -> Self {
        Self {
            target: Target::read(&url.into()),
            method: Method::GET,
            headers: HeaderMap::new(),
            body: None,
            status: ExpectedStatus::default(),
            contains: None,
            tls: Tls::default(),
            client: None,
        }
    }

    /// Sets how the check speaks TLS. *Default*: trusts the certificates of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        tls.needs(self.target.as_ref().is_ok_and(|target| target.url.scheme() == "https"))?;
        self.tls = tls.into();
        Ok(self)
    }

    /// Sets the method of the request, such as `POST`. *Default*: `GET`.
    ///
    /// # Errors
    /// Returns an error if the method is unknown.
    pub fn method(mut self, method: &str) -> Result<Self, Misconfigured> {
        self.method = parse_method(method)?;
        Ok(self)
    }

    /// Adds a header to the request. `Host` replaces the host of the URL. *Default*: no headers.
    ///
    /// # Errors
    /// Returns an error if the name or the value is not valid for a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Misconfigured> {
        let name: HeaderName = name
            .parse()
            .map_err(|_| Misconfigured::new("headers", "expected names of headers, such as Authorization"))?;
        let expected = || Misconfigured::new("headers", format!("{name}: expected a value without line breaks"));
        let mut value = HeaderValue::from_str(value).map_err(|_| expected())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets the body of the request. *Default*: none.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the expected status. *Default*: 2xx.
    #[must_use]
    pub fn status(mut self, status: impl Into<ExpectedStatus>) -> Self {
        self.status = status.into();
        self
    }

    /// Sets the text that the body has to contain, within its first megabyte. *Default*: none, so any body is accepted.
    #[must_use]
    pub fn contains(mut self, text: impl Into<String>) -> Self {
        self.contains = Some(text.into());
        self
    }

    /// Uses the application's own client, with its certificates and its policy for redirects.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Returns the application's client, or builds one for this run. The connections of such a client end with the run:
    /// a server that closes idle connections is not a failure, and a certificate that has expired is one. The
    /// certificates of the system are trusted.
    fn own_client(&self, target: &Target) -> Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let mut builder = Client::builder().redirect(redirect::Policy::none()).user_agent("health-check");
        // No proxy leads to this machine. Without TLS, no certificates are loaded.
        if is_local(&target.url) {
            builder = builder.no_proxy();
        }
        #[cfg(unix)]
        if let Some(socket) = &target.socket {
            builder = builder.unix_socket(socket.as_path());
        }
        #[cfg(any(feature = "rustls-ring", feature = "rustls-aws-lc-rs"))]
        {
            builder = builder.tls_backend_preconfigured(match target.url.scheme() {
                "http" => crate::support::tls::without_roots()?,
                _ => rustls::ClientConfig::clone(&*self.tls.config()?),
            });
        }
        builder.pool_max_idle_per_host(0).build().or_unknown()
    }
}

impl HealthCheck for HttpHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let target = self.target.as_ref().map_err(|wrong| {
            ServiceUnavailable::new("the URL can't be used")
                .with_kind(FailureKind::Misconfigured)
                .with_source(wrong.clone())
        })?;
        let (client, began) = (self.own_client(target)?, Instant::now());
        let mut request = client.request(self.method.clone(), target.url.clone()).headers(self.headers.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let mut response = request.send().await.map_err(describe)?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        let status = response.status().as_u16();
        findings.observe("status", status, Unit::Count);
        if !self.status.is(status) {
            let message = format!("answered with {status} instead of {}", self.status);
            return Err(ServiceReturnedUnexpectedResult::new(message).into());
        }
        let Some(wanted) = &self.contains else { return Ok(()) };
        if contains(&mut response, wanted).await? {
            return Ok(());
        }
        Err(ServiceReturnedUnexpectedResult::new("the body does not contain what it should").into())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "HTTP".into()
    }
}

/// Returns `true` if the first megabyte of the body contains this text. Bytes that were searched are not searched
/// again, however small the pieces of the body are.
async fn contains(response: &mut Response, wanted: &str) -> Result<bool> {
    let wanted = wanted.as_bytes();
    let (mut tail, mut read, mut pieces) = (Vec::new(), 0, 0);
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        tail.extend_from_slice(&chunk);
        read += chunk.len();
        pieces += 1;
        if wanted.is_empty() || tail.windows(wanted.len()).any(|part| part == wanted) {
            return Ok(true);
        }
        if read > MOST || pieces > PIECES {
            return Ok(false);
        }
        tail.drain(..tail.len().saturating_sub(wanted.len() - 1));
    }
    Ok(wanted.is_empty())
}

/// Returns `true` if the URL is on this machine.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn parse_method(method: &str) -> Result<Method, Misconfigured> {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok();
    method.filter(|method| known.contains(method)).ok_or_else(|| {
        Misconfigured::new("method", "expected a method: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
    })
}

/// Leaves out the client, whose default headers may hold a token.
impl fmt::Debug for HttpHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHealthCheck").field("status", &self.status).finish_non_exhaustive()
    }
}

fn describe(error: reqwest::Error) -> health_core::HealthCheckException {
    let error = error.without_url(); // the URL may hold a password, and the error goes to the log
    let text = format!("{error:?}");
    let (kind, message) = match io::failure_below(&error) {
        Some(words) => words,
        None if error.is_timeout() => (FailureKind::TimedOut, "timed out"),
        None if text.contains("dns error") => (FailureKind::Dns, "the host name can't be resolved"),
        // An error of rustls arrives as invalid data.
        None if text.contains("InvalidData") || text.contains("certificate") => (FailureKind::Tls, "TLS failed"),
        None if error.is_connect() => (FailureKind::Lost, "connection failed"),
        None if error.is_body() || error.is_decode() || error.is_request() => (FailureKind::Lost, "connection lost"),
        None => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_kind(kind).with_source(error).into()
}
