//! Checks that the name servers know a name.
//!
//! ```
//! use health_checks::DnsHealthCheck;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(DnsHealthCheck::new("orders.internal"))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, ResultExt as _,
    ServiceUnavailable, Unit, UnknownError,
};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};

/// Resolves a name to its addresses. Each run asks the name servers again.
#[derive(Debug, Clone)]
pub struct DnsHealthCheck {
    hostname: String,
    nameservers: Vec<SocketAddr>,
    record: Option<Record>,
}

/// The keys of kind `dns`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DnsSettings {
    /// The name to resolve.
    pub hostname: String,
    /// The name servers to ask, such as `10.0.0.53` or `10.0.0.53:5353`. Without any, the check
    /// asks those of the system.
    #[serde(default)]
    pub nameservers: Vec<String>,
    /// The type of record to query. Without it, the check queries A and AAAA, of which one is
    /// enough.
    #[serde(default)]
    pub record: Option<Record>,
}

/// A type of record ([RFC 1035](https://www.rfc-editor.org/rfc/rfc1035#section-3.2.2) and later
/// ones).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "config", schemars(inline))]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Record {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// The canonical name of an alias.
    Cname,
    /// The mail servers.
    Mx,
    /// The name servers.
    Ns,
    /// The start of a zone.
    Soa,
    /// The hosts and ports of a service.
    Srv,
    /// Text.
    Txt,
}

impl From<Record> for RecordType {
    fn from(record: Record) -> Self {
        match record {
            Record::A => Self::A,
            Record::Aaaa => Self::AAAA,
            Record::Cname => Self::CNAME,
            Record::Mx => Self::MX,
            Record::Ns => Self::NS,
            Record::Soa => Self::SOA,
            Record::Srv => Self::SRV,
            Record::Txt => Self::TXT,
        }
    }
}

impl CheckSettings for DnsSettings {
    const KIND: &'static str = "dns";
    const SUMMARY: &'static str = "resolve a name";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.hostname.is_empty() || self.hostname.contains(['/', ':', '@', ' ']) {
            return Err(Misconfigured::new(
                "hostname",
                "expected the name of a host, such as db.internal, and no URL",
            ));
        }
        let address = |text: &String| {
            let with_port = text.parse::<SocketAddr>().ok();
            with_port.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53)))
        };
        let nameservers: Option<Vec<_>> = self.nameservers.iter().map(address).collect();
        let nameservers = nameservers.ok_or_else(|| {
            Misconfigured::new(
                "nameservers",
                "expected addresses such as 10.0.0.53 or 10.0.0.53:5353",
            )
        })?;
        if self.hostname.trim().is_empty() {
            return Err(Misconfigured::new("hostname", "expected a name"));
        }
        if self
            .hostname
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok()
        {
            return Err(Misconfigured::new(
                "hostname",
                "expected a name: no name server is asked for an address",
            ));
        }
        let check = DnsHealthCheck::new(self.hostname).nameservers(nameservers);
        Ok(vec![BoxCheck::new(DnsHealthCheck {
            record: self.record,
            ..check
        })])
    }
}

impl DnsHealthCheck {
    /// Creates a check that resolves a name through the name servers of the system.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            nameservers: Vec::new(),
            record: None,
        }
    }

    /// Sets the name servers to ask. *Default*: those of the system.
    #[must_use]
    pub fn nameservers(mut self, nameservers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.nameservers = nameservers.into_iter().collect();
        self
    }

    /// Sets the type of record to query. *Default*: A and AAAA, of which one is enough.
    #[must_use]
    pub fn record(self, record: Record) -> Self {
        Self {
            record: Some(record),
            ..self
        }
    }

    /// Returns the message for a name that does not have the record.
    fn none(&self) -> &'static str {
        if self.record.is_some() {
            "the name has no such record"
        } else {
            "the name has no address"
        }
    }

    fn describe(&self, error: NetError) -> HealthCheckException {
        describe(error, self.none())
    }

    /// Builds a resolver that caches nothing, and that gives up before the check's timeout.
    fn resolver(&self, findings: &Findings) -> Result<TokioResolver> {
        let mut builder = if self.nameservers.is_empty() {
            TokioResolver::builder_tokio()
                .or_unavailable("the system's name servers can't be read")?
        } else {
            let servers = self
                .nameservers
                .iter()
                .map(|server| name_server(*server))
                .collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never; // the hosts file says nothing about the name servers
        options.attempts = 1;
        options.timeout = findings
            .time_left()
            .mul_f64(0.3)
            .min(Duration::from_secs(5));
        builder
            .build()
            .or_unavailable("the name servers can't be used")
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

impl HealthCheck for DnsHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let resolver = self.resolver(findings)?;
        let name = self.hostname.as_str();
        let (what, count) = match self.record {
            None => (
                "addresses",
                resolver
                    .lookup_ip(name)
                    .await
                    .map_err(|error| self.describe(error))?
                    .iter()
                    .count(),
            ),
            Some(record) => {
                let found = resolver
                    .lookup(name, record.into())
                    .await
                    .map_err(|error| self.describe(error))?;
                let of_type = |answer: &&hickory_resolver::proto::rr::Record| {
                    answer.record_type() == record.into()
                };
                ("records", found.answers().iter().filter(of_type).count())
            }
        };
        findings.observe(what, u32::try_from(count).unwrap_or(u32::MAX), Unit::Count);
        if count == 0 {
            return Err(ServiceUnavailable::new(self.none())
                .with_kind(FailureKind::NotFound)
                .into());
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "DNS".into()
    }
}

fn describe(error: NetError, none: &'static str) -> HealthCheckException {
    use FailureKind as Kind;
    const FAILED: (Kind, &str) = (Kind::UnexpectedAnswer, "the name server failed (SERVFAIL)");
    const REFUSED: (Kind, &str) = (Kind::Forbidden, "the name server refused to answer");
    let (kind, message) = match &error {
        NetError::Dns(DnsError::NoRecordsFound(found)) => match found.response_code {
            ResponseCode::NXDomain => (Kind::NotFound, "the name does not exist (NXDOMAIN)"),
            ResponseCode::ServFail => FAILED,
            ResponseCode::Refused => REFUSED,
            _ => (Kind::NotFound, none),
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => FAILED,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => REFUSED,
        NetError::Timeout => (Kind::TimedOut, "no name server answered in time"),
        NetError::NoConnections | NetError::Io(_) => {
            (Kind::Refused, "no name server can be reached")
        }
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}
