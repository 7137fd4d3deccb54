//! Checks how long a certificate is still valid, at an address or in a file.
//!
//! ```
//! use health_checks::Certificate;
//! use health_core::{CheckExt, Health};
//!
//! let shop = Certificate::at("shop.example.com:443")?.days_min(21);
//! let health = Health::builder()
//!     .check(shop.named("certificate of the shop"))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result,
    ResultExt as _, ServiceUnavailable, ServiceWarning, Unit,
};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::time::timeout;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::connection::net::tcp;
use crate::support::connection::{SHARE_OF_RUN, share_of_time};
use crate::support::limit::Limit;
use crate::support::tls::{self, Inspected, Tls};
use crate::support::{address, io};

/// The default TTL. A handshake costs the server a signature.
const TTL: Duration = Duration::from_secs(30);

const DAY: i64 = 24 * 60 * 60;

/// Warns when a certificate or its chain is about to expire, and fails when clients no longer
/// accept it.
#[derive(Debug, Clone)]
pub struct Certificate {
    place: Place,
    tls: Tls,
    days_min: Limit,
    thread: Blocking,
}

#[derive(Debug, Clone)]
enum Place {
    Address(String, u16),
    File(PathBuf),
}

/// The keys of kind `certificate`: either `address` or `path`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CertificateSettings {
    /// The host and the port of a server with TLS, such as `shop.example.com:443`.
    #[serde(default)]
    pub address: Option<String>,
    /// The file of a certificate in PEM, with its chain. The certificate must then be for
    /// `server_name`, if that is set.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// The number of days until the certificate expires, below which the check warns. `false`
    /// switches this limit off.
    #[serde(default = "two_weeks")]
    pub days_min: Limit,
}

fn two_weeks() -> Limit {
    Limit::At(14.0)
}

impl CheckSettings for CertificateSettings {
    const KIND: &'static str = "certificate";
    const SUMMARY: &'static str = "the days left of a certificate, at an address or in a file";
    const SERVERS: &'static [&'static str] = &["address"];
    const TLS: &'static [&'static str] = TlsSettings::ALL;

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let check = match (&self.address, self.path) {
            (Some(address), None) => Certificate::at(address)?,
            (None, Some(path)) => Certificate::of_file(path),
            _ => {
                return Err(Misconfigured::new(
                    "address",
                    "expected an address or a path, and not both",
                ));
            }
        };
        Ok(vec![BoxCheck::new(
            check.tls(tls)?.days_min_of(self.days_min),
        )])
    }
}

impl Certificate {
    /// Creates a check of the certificate that a server presents at `host:port`.
    ///
    /// # Errors
    /// Returns an error if `address` is not a host and a port.
    pub fn at(address: &str) -> Result<Self, Misconfigured> {
        let (host, port) = address::host_and_port(address)
            .ok_or_else(|| Misconfigured::new("address", address::EXPECTED))?;
        Ok(Self::new(Place::Address(host.to_owned(), port)))
    }

    /// Creates a check of a certificate in a file, in PEM.
    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Place::File(path.into()))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            tls: Tls::default(),
            days_min: two_weeks(),
            thread: Blocking::default(),
        }
    }

    /// Sets the TLS settings: the roots that are trusted in addition, the certificate of the
    /// client, and the name that the server's certificate must be for. Without verification, only
    /// the dates are checked. *Default*: trusts the certificates of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or have no effect on a file.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        tls.needs(true)?;
        let unused = [
            ("ca_file", tls.ca_file.is_some()),
            ("client_cert", tls.client_cert.is_some()),
            ("verify", !tls.verify),
        ];
        if let (Place::File(_), Some((key, _))) =
            (&self.place, unused.into_iter().find(|(_, is_set)| *is_set))
        {
            return Err(Misconfigured::new(
                key,
                "is only for an address, and would be ignored for a file",
            ));
        }
        self.tls = tls.into();
        Ok(self)
    }

    /// Warns if the certificate expires in fewer days; 0 switches the limit off. *Default*: 14.
    #[must_use]
    pub fn days_min(self, days: impl Into<Limit>) -> Self {
        self.days_min_of(days.into())
    }

    fn days_min_of(self, days_min: Limit) -> Self {
        Self { days_min, ..self }
    }

    /// Returns the chain, and the reason why clients would not accept it.
    async fn read(&self) -> Result<Inspected> {
        match &self.place {
            Place::Address(host, port) => {
                let stream = tcp(host, *port).await.map_err(io::describe)?;
                self.tls.inspect(stream, host, io::describe).await
            }
            Place::File(path) => {
                let path = path.clone();
                let name = self.tls.settings().server_name.clone();
                self.thread.run(move || of_file(&path, name)).await
            }
        }
    }
}

impl HealthCheck for Certificate {
    async fn check_status(&self, findings: &Findings) -> Result {
        let limit = share_of_time(findings, SHARE_OF_RUN);
        let silence = |_| {
            ServiceUnavailable::new("the server does not answer").with_kind(FailureKind::TimedOut)
        };
        let inspected = timeout(limit, self.read()).await.map_err(silence)??;
        let Some(left) = days_left(&inspected)? else {
            return Err(
                ServiceUnavailable::new("the server presents no certificate")
                    .with_kind(FailureKind::Tls)
                    .into(),
            );
        };
        findings.observe(
            "days_left",
            f64::from(i32::try_from(left.days).unwrap_or(i32::MAX)),
            Unit::Count,
        );
        if let Some(error) = &inspected.refused {
            return Err(unusable(error));
        }
        if left.seconds <= 0 && left.is_of_chain {
            let text = "a certificate of the chain has expired";
            return Err(ServiceWarning::new(text)
                .with_kind(FailureKind::Expired)
                .into());
        }
        if left.seconds <= 0 {
            let text = "the certificate has expired";
            return Err(ServiceUnavailable::new(text)
                .with_kind(FailureKind::Expired)
                .into());
        }
        if left.is_early {
            let text = "the certificate is not valid yet";
            return Err(ServiceUnavailable::new(text)
                .with_kind(FailureKind::Tls)
                .into());
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "no certificate is valid for that long"
        )]
        if let Some(min) = self
            .days_min
            .value()
            .filter(|min| (left.days as f64) < *min)
        {
            let which = if left.is_of_chain {
                "a certificate of the chain"
            } else {
                "the certificate"
            };
            let in_time = match left.days {
                0 => "less than a day".to_owned(),
                1 => "a day".to_owned(),
                days => format!("{days} days"),
            };
            let text = format!("{which} expires in {in_time}, and the limit is {min} days");
            return Err(ServiceWarning::new(text)
                .with_kind(FailureKind::Expired)
                .into());
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Certificate".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        matches!(self.place, Place::Address(..)).then_some(TTL)
    }

    fn measures(&self) -> bool {
        true
    }
}

/// The time until clients no longer accept a chain.
struct Left {
    seconds: i64,
    days: i64,
    is_of_chain: bool,
    /// `true` if the certificate of the server itself is not valid yet.
    is_early: bool,
}

/// Returns the time that is left for a chain, or `None` for an empty one. Of a chain that clients
/// verify, only those certificates count without which they would not accept it: a server may send
/// others, and clients find another path. Of any other chain, the certificate of the server itself
/// counts once it has expired, and the first that expires until then.
fn days_left(inspected: &Inspected) -> Result<Option<Left>> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut ends = Vec::with_capacity(inspected.chain.len());
    let mut is_early = false;
    for (position, certificate) in inspected.chain.iter().enumerate() {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .or_unavailable("the certificate can't be read")?;
        let validity = parsed.validity();
        is_early |= position == 0 && validity.not_before.timestamp() > now;
        ends.push((validity.not_after.timestamp(), position > 0));
    }
    let Some(&own) = ends.first() else {
        return Ok(None);
    };
    ends.sort_unstable();
    let is_needed = |&(end, _): &(i64, bool)| {
        let after = u64::try_from(end.saturating_add(1)).unwrap_or_default();
        match inspected.is_accepted_at(after) {
            Some(is_accepted) => end > now && !is_accepted, // the chain is accepted now
            None => true,
        }
    };
    let has_expired = own.0 <= now;
    let first = if inspected.refused.is_some() || has_expired {
        own
    } else {
        ends.into_iter().find(is_needed).unwrap_or(own)
    };
    let seconds = first.0 - now;
    Ok(Some(Left {
        seconds,
        days: seconds.div_euclid(DAY),
        is_of_chain: first.1,
        is_early,
    }))
}

/// Reads a chain from a file, and verifies its name.
fn of_file(path: &std::path::Path, name: Option<String>) -> Result<Inspected> {
    let text = std::fs::read(path).or_unavailable("the file of the certificate can't be read")?;
    let chain = tls::parse(&text).or_unavailable("the file has no certificate in PEM")?;
    let (Some(name), Some(own)) = (name, chain.first()) else {
        return Ok(Inspected::unverified(chain, None));
    };
    let name = ServerName::try_from(name).or_unavailable("server_name is no name of a server")?;
    let parsed = rustls::server::ParsedCertificate::try_from(own)
        .or_unavailable("the certificate can't be read")?;
    let refused = rustls::client::verify_server_name(&parsed, &name).err();
    Ok(Inspected::unverified(chain, refused))
}

/// Returns the failure for a certificate that clients do not accept.
fn unusable(error: &rustls::Error) -> HealthCheckException {
    let words = tls::words(error);
    let words = words.strip_prefix("TLS failed: ").unwrap_or(words);
    let kind = if words.ends_with("has expired") {
        FailureKind::Expired
    } else {
        FailureKind::Tls
    };
    ServiceUnavailable::new(words)
        .with_kind(kind)
        .with_source(error.clone())
        .into()
}
