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
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, ResultExt as _, Secret,
    ServiceUnavailable, UnknownError,
};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Identity, Tls, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error};
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::io;
use crate::support::tls::{NO_IDENTITY, Tls as SystemTls};

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
    Url { builder: AsyncSmtpTransportBuilder, tls: Option<(Security, String, SystemTls)> },
}

/// When TLS begins.
#[derive(Debug, Clone, Copy)]
enum Security {
    /// With the connection.
    Wrapper,
    /// By STARTTLS, or not at all.
    Required,
    /// By STARTTLS where the server offers it.
    Opportunistic,
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
    /// The name that this client calls itself in EHLO; without it the name of this machine. Relays refuse `localhost`.
    #[serde(default)]
    pub helo: Option<String>,
}

impl CheckSettings for MailSettings {
    const KIND: &'static str = "mail";
    const SUMMARY: &'static str = "connect to an SMTP server, log in and quit";
    const TLS: &'static [&'static str] = TlsSettings::ALL;

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = MailHealthCheck::new(self.url)?.tls(tls)?;
        if let Some(helo) = self.helo {
            if helo.is_empty() || helo.contains(char::is_whitespace) {
                return Err(Misconfigured::new("helo", "expected the name of a host, such as web1.example.com"));
            }
            check = check.helo(helo);
        }
        Ok(vec![BoxCheck::new(check)])
    }
}

impl MailHealthCheck {
    /// A server by its URL: see [`MailSettings::url`].
    ///
    /// # Errors
    /// Where it is not such a URL.
    pub fn new(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let url = url.into();
        let expected = || Misconfigured::new("url", "expected a URL such as smtps://user:password@mail.example.com");
        let (scheme, rest) = url.expose().split_once("://").ok_or_else(expected)?;
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let security = match query.split('&').find_map(|pair| pair.strip_prefix("tls=")) {
            _ if scheme == "smtps" => Some(Security::Wrapper),
            Some("required") => Some(Security::Required),
            Some("opportunistic") => Some(Security::Opportunistic),
            _ => None,
        };
        TlsSettings::default().needs(security.is_some())?; // or else the parser panics
        // Its own words may quote the URL.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).map_err(|_| expected())?;
        let tls = security.map(|security| (security, host(rest).to_owned(), SystemTls::default()));
        Ok(Self { client: Client::Url { builder, tls } })
    }
}

/// The host in a URL, behind its scheme.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    if let Some((host, _)) = place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        return host;
    }
    place.split(':').next().unwrap_or_default()
}

/// TLS with the roots that all checks trust.
fn secured(security: Security, host: &str, tls: &SystemTls) -> Result<Tls> {
    const UNUSABLE: &str = "TLS can't be set up";
    let mut parameters = TlsParameters::builder(tls.name(host).to_owned()).certificate_store(CertificateStore::None);
    for certificate in tls.certificates()? {
        // One that this client can't read is none that it needs.
        if let Ok(certificate) = Certificate::from_der(certificate.to_vec()) {
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    let is_verified = tls.settings().verify;
    parameters =
        parameters.dangerous_accept_invalid_certs(!is_verified).dangerous_accept_invalid_hostnames(!is_verified);
    let parameters = match tls.identity_pem()? {
        None => parameters.build_rustls().or_unavailable(UNUSABLE)?,
        Some((cert, key)) => identified(&parameters, &cert, &key).or_unavailable(NO_IDENTITY)?,
    };
    Ok(match security {
        Security::Wrapper => Tls::Wrapper(parameters),
        Security::Required => Tls::Required(parameters),
        Security::Opportunistic => Tls::Opportunistic(parameters),
    })
}

/// With a certificate of its own. The client takes the bytes of `from_pem` for DER, for one certificate that is; should it
/// read PEM one day, the second way is right.
fn identified(parameters: &TlsParametersBuilder, cert: &[u8], key: &[u8]) -> Result<TlsParameters, Error> {
    let with = |cert: &[u8]| parameters.clone().identify_with(Identity::from_pem(cert, key)?).build_rustls();
    let first = CertificateDer::from_pem_slice(cert).ok();
    first.map_or_else(|| with(cert), |first| with(&first).or_else(|_| with(cert)))
}

impl MailHealthCheck {
    /// Sets how it speaks TLS, where the URL says so. *Default*: with the roots of the system.
    ///
    /// # Errors
    /// Where the URL does not use TLS, and on the application's own transport.
    pub fn tls(mut self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        match &mut self.client {
            Client::Url { tls: Some((_, _, tls)), .. } => {
                settings.needs(true)?;
                *tls = settings.into();
            }
            _ => settings.needs(false)?,
        }
        Ok(self)
    }

    /// The name that this client calls itself in EHLO; not of the application's own transport. *Default*: that of the URL's
    /// path, or else of this machine.
    #[must_use]
    pub fn helo(mut self, name: impl Into<String>) -> Self {
        if let Client::Url { builder, tls } = self.client {
            self.client = Client::Url { builder: builder.hello_name(ClientId::Domain(name.into())), tls };
        }
        self
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
            Client::Url { builder, tls } => {
                let mut builder = builder.clone().timeout(Some(patience));
                if let Some((security, host, tls)) = tls {
                    builder = builder.tls(secured(*security, host, tls)?);
                }
                builder.build()
            }
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
        // Not only when it shuts down: also for whom it does not like, and when too many come.
        (Some(421), _) => (
            Kind::Lost,
            "the server has closed the connection (421): busy, shutting down, or it refuses this client".into(),
        ),
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
