//! Checks that a URL answers as it should.
//!
//! ```
//! use health_checks::HttpHealthCheck;
//! use health_core::{CheckExt, Health};
//!
//! let shipping = HttpHealthCheck::new("https://shipping.internal/ping").contains("pong");
//! let health = Health::builder()
//!     .check(shipping.named("shipping"))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, Secret, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, ServiceWarning, Unit,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::http::{self, Target, describe};
use crate::support::tls::Tls;

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
    json: BTreeMap<String, Value>,
    latency_max: Option<Duration>,
    tls: Tls,
    /// The URL, the values of the headers and the body, which no error may show.
    secrets: Vec<Secret>,
    /// The application's own client.
    client: Option<Client>,
}

/// The keys of kind `http`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpSettings {
    /// The URL of the request: `http://`, `https://`, or, for a Unix socket,
    /// `http+unix://%2Frun%2Fapp.sock/path` or `unix:/run/app.sock:/path`.
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
    /// The values that a JSON body must contain, by JSON pointers (RFC 6901):
    /// `{ "/status" = "ok" }`.
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// The check warns if the head of the response takes longer than this.
    #[serde(default, with = "health_core::serde_duration::option")]
    #[cfg_attr(
        feature = "config",
        schemars(with = "Option<crate::support::duration::DurationSchema>")
    )]
    pub latency_max: Option<Duration>,
}

/// The name under which the reader of TOML hands over a date.
const TOML_DATE: &str = "$__toml_private_datetime";

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
        if let Some(body) = self.body {
            check = check.body(body.expose());
        }
        if check.method == Method::HEAD
            && let Some(key) = (self.contains.is_some().then_some("contains"))
                .or((!self.json.is_empty()).then_some("json"))
        {
            return Err(Misconfigured::new(
                key,
                "a response to HEAD has no body: use GET",
            ));
        }
        check.contains = self.contains;
        for (pointer, value) in self.json {
            if value.get(TOML_DATE).is_some() {
                return Err(Misconfigured::new(
                    "json",
                    "a date of TOML, which JSON does not have: write it in quotes",
                ));
            }
            check = check.json(&pointer, value)?;
        }
        if self.latency_max == Some(Duration::ZERO) {
            return Err(Misconfigured::new(
                "latency_max",
                "expected more than 0: every response takes longer",
            ));
        }
        check.latency_max = self.latency_max;
        Ok(vec![BoxCheck::new(check)])
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
        let code = u16::try_from(code)
            .ok()
            .filter(|code| (100..600).contains(code));
        code.map(ExpectedStatus::Code)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Other("number"), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ExpectedStatus, E> {
        if let Ok(code) = text.parse::<i64>() {
            return self.visit_i64(code);
        }
        let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
        let class = class.filter(|class| (1..6).contains(class));
        class
            .map(ExpectedStatus::Class)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
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
        let url = url.into();
        Self {
            target: Target::read(&url),
            method: Method::GET,
            headers: HeaderMap::new(),
            body: None,
            status: ExpectedStatus::default(),
            contains: None,
            json: BTreeMap::new(),
            latency_max: None,
            tls: Tls::default(),
            secrets: vec![url],
            client: None,
        }
    }

    /// Sets the TLS settings. *Default*: trusts the certificates of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        tls.needs(
            self.target
                .as_ref()
                .is_ok_and(|target| target.url.scheme() == "https"),
        )?;
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
        let name: HeaderName = name.parse().map_err(|_| {
            Misconfigured::new(
                "headers",
                "expected names of headers, such as Authorization",
            )
        })?;
        let expected = || {
            Misconfigured::new(
                "headers",
                format!("{name}: expected a value without line breaks"),
            )
        };
        self.secrets.push(value.into());
        let mut value = HeaderValue::from_str(value).map_err(|_| expected())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets the body of the request. *Default*: none.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        let body = body.into();
        self.secrets.push(body.as_str().into());
        self.body = Some(body);
        self
    }

    /// Sets the expected status. *Default*: 2xx.
    #[must_use]
    pub fn status(mut self, status: impl Into<ExpectedStatus>) -> Self {
        self.status = status.into();
        self
    }

    /// Sets the text that the body has to contain, within its first megabyte. *Default*: none, so
    /// any body is accepted.
    #[must_use]
    pub fn contains(mut self, text: impl Into<String>) -> Self {
        self.contains = Some(text.into());
        self
    }

    /// Requires a JSON body of at most one megabyte that has this value at this JSON pointer
    /// ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)). Numbers are compared by their value.
    /// *Default*: none.
    ///
    /// # Errors
    /// Returns an error if `pointer` is not a JSON pointer.
    pub fn json(mut self, pointer: &str, value: impl Into<Value>) -> Result<Self, Misconfigured> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(Misconfigured::new(
                "json",
                "expected JSON pointers, such as \"/status\" or \"/queue/0/name\"",
            ));
        }
        self.json.insert(pointer.to_owned(), value.into());
        Ok(self)
    }

    /// Warns if the head of the response takes longer. *Default*: no limit.
    #[must_use]
    pub fn latency_max(mut self, time: Duration) -> Self {
        self.latency_max = Some(time);
        self
    }

    /// Uses the application's own client, with its certificates and its policy for redirects.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }
}

impl HttpHealthCheck {
    /// Compares the values of the body with the expected ones.
    fn compare(&self, body: &[u8]) -> Result {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            ServiceReturnedUnexpectedResult::new("the body is not JSON").with_source(error)
        })?;
        for (pointer, wanted) in &self.json {
            if !body
                .pointer(pointer)
                .is_some_and(|found| is_same(found, wanted))
            {
                let text = format!("the body does not have at {pointer:?} what it should");
                return Err(ServiceReturnedUnexpectedResult::new(text).into());
            }
        }
        Ok(())
    }
}

/// Compares two values. The numbers 1 and 1.0 are the same.
fn is_same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => (found - wanted).abs() <= f64::EPSILON * wanted.abs(),
        _ => found == wanted,
    }
}

impl HealthCheck for HttpHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        for secret in &self.secrets {
            findings.conceal(secret);
        }
        let target = self.target.as_ref().map_err(|wrong| {
            ServiceUnavailable::new("the URL can't be used")
                .with_kind(FailureKind::Misconfigured)
                .with_source(wrong.clone())
        })?;
        let client = match &self.client {
            Some(client) => client.clone(),
            None => target.client(&self.tls)?,
        };
        let began = Instant::now();
        let mut request = client
            .request(self.method.clone(), target.url.clone())
            .headers(self.headers.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let mut response = request.send().await.map_err(describe)?;
        let latency = began.elapsed();
        let most = self.latency_max.map(|max| max.as_secs_f64());
        findings.observe_within("latency", latency.as_secs_f64(), Unit::Seconds, most);
        let status = response.status().as_u16();
        findings.observe("status", status, Unit::Count);
        if !self.status.is(status) {
            let message = format!("answered with {status} instead of {}", self.status);
            return Err(ServiceReturnedUnexpectedResult::new(message).into());
        }
        if let Some(max) = self.latency_max.filter(|max| latency > *max) {
            let [took, max] = [latency, max].map(|time| time.as_secs_f64());
            findings.add_error(ServiceWarning::new(format!(
                "answered in {took:.1} s, and the limit is {max} s"
            )));
        }
        if self.contains.is_none() && self.json.is_empty() {
            return Ok(());
        }
        let body = http::body(&mut response).await?;
        if let Some(wanted) = &self.contains {
            let wanted = wanted.as_bytes();
            let body = &body.bytes;
            if !wanted.is_empty() && !body.windows(wanted.len()).any(|part| part == wanted) {
                return Err(ServiceReturnedUnexpectedResult::new(
                    "the body does not contain what it should",
                )
                .into());
            }
        }
        if self.json.is_empty() {
            Ok(())
        } else {
            self.compare(body.whole()?)
        }
    }

    fn identifier(&self) -> Cow<'_, str> {
        "HTTP".into()
    }
}

fn parse_method(method: &str) -> Result<Method, Misconfigured> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok();
    method
        .filter(|method| known.contains(method))
        .ok_or_else(|| {
            Misconfigured::new(
                "method",
                "expected a method: GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS",
            )
        })
}

/// Leaves out the client, whose default headers may hold a token.
impl fmt::Debug for HttpHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHealthCheck")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
