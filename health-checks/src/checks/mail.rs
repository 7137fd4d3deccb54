//! Checks that a mail server accepts a connection and a login.
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
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, ResultExt as _,
    Secret, ServiceUnavailable, UnknownError,
};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Identity, TlsParameters, TlsParametersBuilder,
};
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use tokio::time::timeout;

use self::server::{Server, silence};
use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::connection::{SHARE_OF_RUN, share_of_time};
use crate::support::io;
use crate::support::tls::{NO_IDENTITY, Tls as SystemTls};
use crate::support::url::{self, Url};

mod server;

const EXPECTED: &str = "expected a URL such as smtps://user:password@mail.example.com";

/// The default TTL. Providers lock an account that logs in too often.
const TTL: Duration = Duration::from_secs(30);

/// The default timeout. Servers let unknown clients wait for their greeting: the postscreen of
/// Postfix for 6 s, and others for longer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Connects, sends EHLO, switches to TLS and logs in if the URL says so, and quits. No mail is
/// sent.
#[derive(Clone)]
pub struct MailHealthCheck {
    client: Client,
    /// The URL, which no error may show.
    url: Option<Secret>,
}

#[derive(Clone)]
enum Client {
    Own(AsyncSmtpTransport<Tokio1Executor>),
    Url(Box<Server>),
}

/// The point at which TLS begins.
#[derive(Debug, Clone, Copy)]
enum Security {
    /// TLS begins with the connection.
    Wrapper,
    /// TLS begins with STARTTLS, which the server has to offer.
    Required,
    /// TLS begins with STARTTLS if the server offers it.
    Opportunistic,
}

impl Security {
    /// Returns `true` if STARTTLS is sent to a server that offers it, or that does not.
    fn wants_start(self, is_offered: bool) -> bool {
        match self {
            Self::Wrapper => false,
            Self::Required => true,
            Self::Opportunistic => is_offered,
        }
    }
}

/// The keys of kind `mail`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MailSettings {
    /// The URL of the server: `smtp://` without TLS, `smtps://` with TLS, and
    /// `smtp://user:password@host:587?tls=required` or `smtp+tls://` for STARTTLS.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// The name of this client in EHLO. Without it: the path of the URL, or else the name of this
    /// machine. Relays refuse `localhost`.
    #[serde(default)]
    pub helo: Option<String>,
}

impl CheckSettings for MailSettings {
    const KIND: &'static str = "mail";
    const SUMMARY: &'static str = "connect to an SMTP server, log in and quit";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = MailHealthCheck::new(self.url)?.tls(tls)?;
        if let Some(helo) = self.helo {
            if helo.is_empty() || helo.contains(|c: char| c.is_whitespace() || "/@?#".contains(c)) {
                return Err(Misconfigured::new(
                    "helo",
                    "expected the name of a host, such as web1.example.com",
                ));
            }
            check = check.helo(helo);
        }
        Ok(vec![BoxCheck::new(check)])
    }
}

impl MailHealthCheck {
    /// Creates a check of the server at a URL: see [`MailSettings::url`].
    ///
    /// # Errors
    /// Returns an error if the URL is invalid.
    pub fn new(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let text = url.into();
        let mut url = Url::parse(&text, EXPECTED)?;
        let flags = [("true", true), ("1", true), ("false", false), ("0", false)];
        let words = [
            ("required", Some(Security::Required)),
            ("true", Some(Security::Required)),
            ("1", Some(Security::Required)),
            ("opportunistic", Some(Security::Opportunistic)),
            ("false", None),
            ("0", None),
            ("none", None),
        ];
        let starttls = url.take_word(&["tls", "starttls"], &words)?.flatten();
        let is_wrapped = url.take_word(&["ssl"], &flags)?.unwrap_or(false);
        let security = match url.scheme.as_str() {
            "smtp" => starttls,
            "smtps" | "smtp+ssl" => Some(Security::Wrapper),
            "smtp+tls" | "smtp+starttls" | "submission" => Some(Security::Required),
            _ => {
                return Err(url::not(
                    EXPECTED,
                    &text,
                    ["smtp", "smtps", "smtp+tls", "smtp+ssl", "submission"],
                ));
            }
        };
        let security = if is_wrapped {
            Some(Security::Wrapper)
        } else {
            security
        };
        if starttls.is_some() && matches!(security, Some(Security::Wrapper)) {
            let why = "TLS from the first byte (smtps, ssl) and STARTTLS (tls): leave one out";
            return Err(Misconfigured::new("url", why));
        }
        url.end()?;
        TlsSettings::default().needs(security.is_some())?;
        let name = url.host()?.or_local().to_owned();
        let port = url.host()?.port;
        let port = port.unwrap_or(match security {
            None => 25,
            Some(Security::Wrapper) => 465,
            Some(Security::Required | Security::Opportunistic) => 587,
        });
        let login = match (url.username.take(), url.password.take()) {
            (Some(username), Some(password)) => Some(Credentials::new(username, password)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Misconfigured::new(
                    "url",
                    "a user without a password: add it, or the key password",
                ));
            }
            (None, Some(_)) => {
                return Err(Misconfigured::new(
                    "url",
                    "a password without a user: add it, or the key username",
                ));
            }
        };
        let helo = url.name().map(ToOwned::to_owned);
        if helo
            .as_ref()
            .is_some_and(|helo| helo.contains(char::is_whitespace))
        {
            return Err(Misconfigured::new(
                "url",
                "the path is the name for EHLO: expected that of a host",
            ));
        }
        let server = Server {
            host: name,
            port,
            login,
            helo,
            tls: security.map(|security| (security, SystemTls::default())),
        };
        Ok(Self {
            client: Client::Url(Box::new(server)),
            url: Some(text),
        })
    }
}

/// Sets up STARTTLS with the certificates that all checks trust.
fn start_tls(host: &str, tls: &SystemTls) -> Result<TlsParameters> {
    const UNUSABLE: &str = "TLS can't be set up";
    let mut parameters =
        TlsParameters::builder(tls.name(host).to_owned()).certificate_store(CertificateStore::None);
    for certificate in tls.certificates()? {
        // The client skips a certificate that it cannot read.
        if let Ok(certificate) = Certificate::from_der(certificate.to_vec()) {
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    let is_verified = tls.settings().verify;
    parameters = parameters
        .dangerous_accept_invalid_certs(!is_verified)
        .dangerous_accept_invalid_hostnames(!is_verified);
    match tls.identity_pem()? {
        None => parameters.build_rustls().or_unavailable(UNUSABLE),
        Some((cert, key)) => identified(&parameters, &cert, &key).or_unavailable(NO_IDENTITY),
    }
}

/// Adds a certificate of this client. The client takes the bytes of `from_pem` for DER, which holds
/// a single certificate. The second attempt is for a version of the client that reads PEM.
fn identified(
    parameters: &TlsParametersBuilder,
    cert: &[u8],
    key: &[u8],
) -> Result<TlsParameters, Error> {
    let with = |cert: &[u8]| {
        parameters
            .clone()
            .identify_with(Identity::from_pem(cert, key)?)
            .build_rustls()
    };
    let first = CertificateDer::from_pem_slice(cert).ok();
    first.map_or_else(|| with(cert), |first| with(&first).or_else(|_| with(cert)))
}

impl MailHealthCheck {
    /// Sets the TLS settings, for a URL that uses TLS. *Default*: trusts the certificates of the
    /// system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, if the URL does not use TLS, and for the
    /// application's own transport.
    pub fn tls(mut self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        match &mut self.client {
            Client::Url(server) => {
                settings.needs(server.tls.is_some())?;
                if let Some((_, tls)) = &mut server.tls {
                    *tls = settings.into();
                }
            }
            Client::Own(_) => settings.needs(false)?,
        }
        Ok(self)
    }

    /// Sets the name of this client in EHLO. It does not change the application's own transport.
    /// *Default*: the path of the URL, or else the name of this machine.
    #[must_use]
    pub fn helo(mut self, name: impl Into<String>) -> Self {
        if let Client::Url(server) = &mut self.client {
            server.helo = Some(name.into());
        }
        self
    }
}

impl From<AsyncSmtpTransport<Tokio1Executor>> for MailHealthCheck {
    /// Creates a check of the application's own transport.
    fn from(transport: AsyncSmtpTransport<Tokio1Executor>) -> Self {
        Self {
            client: Client::Own(transport),
            url: None,
        }
    }
}

impl HealthCheck for MailHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        if let Some(url) = &self.url {
            findings.conceal(url);
        }
        let limit = share_of_time(findings, SHARE_OF_RUN);
        let answers = match &self.client {
            Client::Own(transport) => {
                let tested = timeout(limit, transport.test_connection()).await;
                tested.map_err(|_| silence(true))?.map_err(describe)?
            }
            Client::Url(server) => server.check(limit).await?,
        };
        if !answers {
            return Err(
                ServiceUnavailable::new("the server does not answer to NOOP")
                    .with_kind(FailureKind::UnexpectedAnswer)
                    .into(),
            );
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Mail".into()
    }

    fn default_timeout(&self) -> Option<Duration> {
        Some(TIMEOUT)
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
        // Servers send 421 not only at shutdown, but also to a client that they refuse, or when too
        // many clients connect.
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
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}
