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
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::system_conf::read_system_conf;
use serde::Deserialize;
use tokio::time::timeout;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::connection::net::first;
use crate::support::connection::{SHARE_OF_RUN, share_of_time};

/// The default TTL. Queries of all replicas meet at the same name servers.
const TTL: Duration = Duration::from_secs(10);

/// The head start of a name server, before the next one is asked as well.
const HEAD_START: Duration = Duration::from_secs(1);

/// The domains whose names no resolver sends to a name server
/// ([RFC 6761](https://www.rfc-editor.org/rfc/rfc6761#section-6),
/// [RFC 7686](https://www.rfc-editor.org/rfc/rfc7686#section-2)).
const SPECIAL: [&str; 3] = ["localhost", "invalid", "onion"];

const NOT_ASKED: &str = "no name server is asked for names below localhost, invalid and onion";

const NO_ANSWER: &str = "no name server answered in time";

/// Resolves a name to its addresses. Each run asks the name servers again.
#[derive(Debug, Clone)]
pub struct DnsHealthCheck {
    hostname: String,
    nameservers: Vec<SocketAddr>,
    record: Option<Record>,
    search: bool,
}

/// The keys of kind `dns`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DnsSettings {
    /// The full name to resolve, such as `orders.shop.svc.cluster.local`.
    pub hostname: String,
    /// Also resolves the name below the search domains of the system (`search` and `ndots` in
    /// `/etc/resolv.conf`), with a query for each. The default queries the name as it is.
    #[serde(default)]
    pub search: bool,
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
        if is_special(&self.hostname) {
            return Err(Misconfigured::new("hostname", NOT_ASKED));
        }
        if self.search && self.hostname.ends_with('.') {
            let why = "the name ends with a dot, so it is not searched for: leave one out";
            return Err(Misconfigured::new("search", why));
        }
        if self.search && !nameservers.is_empty() {
            let why = "the search domains are those of the system: leave out nameservers";
            return Err(Misconfigured::new("search", why));
        }
        let check = DnsHealthCheck::new(self.hostname)
            .nameservers(nameservers)
            .search(self.search);
        Ok(vec![BoxCheck::new(DnsHealthCheck {
            record: self.record,
            ..check
        })])
    }
}

impl DnsHealthCheck {
    /// Creates a check that resolves a full name through the name servers of the system.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            nameservers: Vec::new(),
            record: None,
            search: false,
        }
    }

    /// Also resolves the name below the search domains of the system, with a query for each. It has
    /// no effect with [`nameservers`](Self::nameservers). *Default*: `false`, which queries the name
    /// as it is.
    #[must_use]
    pub fn search(self, search: bool) -> Self {
        Self { search, ..self }
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

    /// Builds a resolver for each name server, which caches nothing.
    fn resolvers(&self, limit: Duration) -> Result<Vec<TokioResolver>> {
        let (config, mut options) = if self.nameservers.is_empty() {
            read_system_conf().or_unavailable("the system's name servers can't be read")?
        } else {
            let servers = self.nameservers.iter().copied().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            (config, ResolverOpts::default())
        };
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never; // the hosts file says nothing about the name servers
        options.attempts = 0; // of a query: the client itself repeats lost packets
        options.timeout = limit;
        let (domain, search, servers) = config.into_parts();
        let resolvers = servers.into_iter().map(|server| {
            let config = ResolverConfig::from_parts(domain.clone(), search.clone(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_options(options.clone())
                .build()
        });
        let resolvers: Result<Vec<_>, _> = resolvers.collect();
        resolvers.or_unavailable("the name servers can't be used")
    }

    /// Returns the name as it is queried: with a dot at its end, it is not searched for.
    fn name(&self) -> String {
        if self.search || self.hostname.ends_with('.') {
            self.hostname.clone()
        } else {
            format!("{}.", self.hostname)
        }
    }

    /// Resolves the name through one name server. Returns the number of results. Only a failure of
    /// the name server itself is an `Err` on the outside: then another one is asked.
    async fn resolve(&self, resolver: TokioResolver) -> Result<Result<usize>> {
        let name = self.name();
        let count = match self.record {
            None => {
                let found = resolver.lookup_ip(name).await;
                found.map(|found| found.iter().count())
            }
            Some(record) => resolver.lookup(name, record.into()).await.map(|found| {
                let records = found.answers().iter();
                let records = records.filter(|answer| answer.record_type() == record.into());
                records.count()
            }),
        };
        match count {
            Ok(count) => Ok(Ok(count)),
            Err(error) if is_answer(&error) => Ok(Err(describe(error, self.none()))),
            Err(error) => Err(describe(error, self.none())),
        }
    }
}

/// Returns `true` if a name server says that it knows no such name, or no such record.
fn is_answer(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(found)) = error else {
        return false;
    };
    matches!(
        found.response_code,
        ResponseCode::NXDomain | ResponseCode::NoError
    )
}

/// Returns `true` for a name that no resolver sends to a name server.
fn is_special(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    SPECIAL.contains(&name.rsplit('.').next().unwrap_or_default())
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
        if is_special(&self.hostname) {
            return Err(ServiceUnavailable::new(NOT_ASKED)
                .with_kind(FailureKind::Misconfigured)
                .into());
        }
        let limit = share_of_time(findings, SHARE_OF_RUN);
        let resolvers = self.resolvers(limit)?;
        let attempts: Vec<_> = resolvers
            .into_iter()
            .map(|resolver| self.resolve(resolver))
            .collect();
        let silence = |_| ServiceUnavailable::new(NO_ANSWER).with_kind(FailureKind::TimedOut);
        let resolved = timeout(limit, first(attempts, HEAD_START)).await;
        let count = resolved.map_err(silence)???;
        let what = if self.record.is_some() {
            "records"
        } else {
            "addresses"
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

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
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
        NetError::Timeout => (Kind::TimedOut, NO_ANSWER),
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
