//! Whether a mail server takes a connection, and a login.
//!
//! ```
//! use health_checks::MailHealthCheck;
//! use health_core::Health;
//!
//! let mail = MailHealthCheck::new("smtps://user:password@mail.example.com")?;
//! let health = Health::builder().check(mail).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret, ServiceUnavailable,
    UnknownError,
};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error};
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::io;

/// Providers lock an account that logs in too often.
const TTL: Duration = Duration::from_secs(30);

/// Connects, says EHLO, switches to TLS and logs in where the URL says so, and quits. No mail is sent.
#[derive(Clone)]
pub struct MailHealthCheck {
    client: Client,
}

#[derive(Clone)]
enum Client {
    Own(AsyncSmtpTransport<Tokio1Executor>),
    Url(AsyncSmtpTransportBuilder),
}

/// The keys of kind `mail`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MailSettings {
    /// `smtp://` without TLS, `smtps://` with it, `smtp://user:password@host:587?tls=required` for STARTTLS.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
}

impl CheckSettings for MailSettings {
    const KIND: &'static str = "mail";
    const SUMMARY: &'static str = "connect to an SMTP server, log in and quit";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        Ok(vec![BoxCheck::new(MailHealthCheck::new(self.url)?)])
    }
}

impl MailHealthCheck {
    /// A server by its URL: see [`MailSettings::url`].
    ///
    /// # Errors
    /// Where it is not such a URL.
    pub fn new(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        // The parser's own words may quote the URL.
        AsyncSmtpTransport::<Tokio1Executor>::from_url(url.into().expose())
            .map(|builder| Self { client: Client::Url(builder) })
            .map_err(|_| Misconfigured::new("url", "expected a URL such as smtps://user:password@mail.example.com"))
    }
}

impl From<AsyncSmtpTransport<Tokio1Executor>> for MailHealthCheck {
    /// The application's own transport.
    fn from(transport: AsyncSmtpTransport<Tokio1Executor>) -> Self {
        Self { client: Client::Own(transport) }
    }
}

impl HealthCheck for MailHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let patience = findings.time_left().mul_f64(0.8).min(Duration::from_mins(1));
        let transport = match &self.client {
            Client::Own(transport) => transport.clone(),
            Client::Url(builder) => builder.clone().timeout(Some(patience)).build(),
        };
        if !transport.test_connection().await.map_err(describe)? {
            return Err(ServiceUnavailable::new("the server does not answer to NOOP")
                .with_kind(FailureKind::UnexpectedAnswer)
                .into());
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Mail".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}

impl fmt::Debug for MailHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailHealthCheck").finish_non_exhaustive()
    }
}

fn describe(error: Error) -> HealthCheckException {
    use FailureKind as Kind;
    let code = error.status().map(u16::from);
    let (kind, message) = match (code, io::failure_below(&error)) {
        (Some(530 | 534 | 535 | 538), _) => (Kind::Authentication, "authentication failed".into()),
        (Some(454), _) => (Kind::Saturated, "the server takes no login at present: too many of them, perhaps".into()),
        (Some(421), _) => (Kind::Lost, "the server is shutting down".into()),
        (Some(code), _) => (Kind::UnexpectedAnswer, format!("the server refused with {code}")),
        (None, Some((kind, message))) => (kind, message.to_owned()),
        (None, None) if error.is_timeout() => (Kind::TimedOut, "timed out".into()),
        (None, None) if error.is_tls() => (Kind::Tls, "TLS failed".into()),
        (None, None) if error.is_client() => {
            (Kind::Misconfigured, "the server does not offer what the URL asks for".into())
        }
        (None, None) if error.is_response() => (Kind::UnexpectedAnswer, "the server does not speak SMTP".into()),
        (None, None) => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message).with_kind(kind).with_source(error).into()
}
