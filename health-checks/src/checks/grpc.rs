//! Checks that another service is serving, by the [health protocol of
//! gRPC](https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
//!
//! ```
//! use health_checks::GrpcHealthCheck;
//! use health_core::{CheckExt, Health};
//!
//! let stock = GrpcHealthCheck::new("grpc://stock.internal:50051")?.service("stock.v1.Stock");
//! let health = Health::builder().check(stock.named("stock")).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Instant;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, Secret, ServiceUnavailable, Unit,
};
use serde::Deserialize;
use tonic::Request;
use tonic::metadata::{Ascii, KeyAndValueRef, MetadataKey, MetadataMap, MetadataValue};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::connection::{SHARE_OF_RUN, share_of_time};
use crate::support::grpc::{Connection, SILENCE, Server, failed};

/// Calls `Check` of the health protocol, on a connection of its own.
#[derive(Debug, Clone)]
pub struct GrpcHealthCheck {
    server: Server,
    service: String,
    metadata: MetadataMap,
    running: OnceLock<BoxCheck>,
}

/// The keys of kind `grpc`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GrpcSettings {
    /// The URL of the server: `grpc://host:50051`, `grpcs://host:443` for TLS, or
    /// `unix:/run/app.sock`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// The service whose status is requested. An empty name stands for the server as a whole.
    #[serde(default)]
    pub service: String,
    /// The host that is requested (`:authority`), such as `stock.internal`, by which a proxy chooses
    /// the service. Without it, that of the URL, and `localhost` over a socket. TLS does not use it:
    /// see `server_name`.
    #[serde(default)]
    pub authority: Option<String>,
    /// Metadata of the call, such as `authorization`.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "BTreeMap<String, String>"))]
    pub metadata: BTreeMap<String, Secret>,
}

impl CheckSettings for GrpcSettings {
    const KIND: &'static str = "grpc";
    const SUMMARY: &'static str = "the health protocol of gRPC";
    const SERVERS: &'static [&'static str] = &["url"];
    const TLS: &'static [&'static str] = TlsSettings::ALL;

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = GrpcHealthCheck::new(self.url)?.tls(tls)?;
        if !self.service.is_empty() {
            if !check.service.is_empty() {
                return Err(Misconfigured::new(
                    "service",
                    "the URL names a service as well: leave one out",
                ));
            }
            check = check.service(self.service);
        }
        if let Some(authority) = self.authority {
            check = check.authority(&authority)?;
        }
        for (name, value) in self.metadata {
            check = check.metadata(&name, value)?;
        }
        Ok(vec![BoxCheck::new(check)])
    }
}

impl GrpcHealthCheck {
    /// Creates a check of the server at a URL, whose path is the name of the service:
    /// `grpc://host:50051/stock.v1.Stock`.
    ///
    /// # Errors
    /// Returns an error if the URL is not that of a gRPC server.
    pub fn new(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let (server, service) = Server::from_url(&url.into())?;
        Ok(Self {
            server,
            service,
            metadata: MetadataMap::new(),
            running: OnceLock::new(),
        })
    }

    /// Sets the service whose status is requested. *Default*: the service in the URL, or else the
    /// empty name, which stands for the server as a whole.
    #[must_use]
    pub fn service(self, service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            running: OnceLock::new(),
            ..self
        }
    }

    /// Sets the host that is requested (`:authority`), by which a proxy chooses the service. TLS does
    /// not use it. *Default*: that of the URL, and `localhost` over a Unix socket.
    ///
    /// # Errors
    /// Returns an error if it is not a host, with or without a port.
    pub fn authority(self, authority: &str) -> Result<Self, Misconfigured> {
        Ok(Self {
            server: self.server.with_authority(authority)?,
            running: OnceLock::new(),
            ..self
        })
    }

    /// Adds metadata to the call, such as `authorization`. *Default*: none.
    ///
    /// # Errors
    /// Returns an error if the name or the value is not valid for metadata, and for `host`: see
    /// [`authority`](Self::authority).
    pub fn metadata(mut self, name: &str, value: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let expected =
            "expected names of metadata in lower case, such as authorization, and values in ASCII";
        let wrong = || Misconfigured::new("metadata", expected);
        if ["host", ":authority"].contains(&name.to_ascii_lowercase().as_str()) {
            let why = "the host is no metadata: use the key authority";
            return Err(Misconfigured::new("metadata", why));
        }
        let key: MetadataKey<Ascii> = name.to_ascii_lowercase().parse().map_err(|_| wrong())?;
        let mut value: MetadataValue<Ascii> = value.into().expose().parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        self.metadata.insert(key, value);
        Ok(Self {
            running: OnceLock::new(),
            ..self
        })
    }

    /// Sets the TLS settings, for a URL that uses TLS. *Default*: trusts the certificates of the
    /// system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        Ok(Self {
            server: self.server.over(tls)?,
            running: OnceLock::new(),
            ..self
        })
    }

    /// Returns the name of the service.
    #[doc(hidden)]
    pub fn service_name(&self) -> &str {
        &self.service
    }

    /// Returns the address of the server, for messages.
    #[doc(hidden)]
    pub fn address(&self) -> String {
        self.server.to_string()
    }
}

impl HealthCheck for GrpcHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let call = || {
            let server = self.server.clone();
            let service = self.service.clone();
            let metadata = self.metadata.clone();
            BoxCheck::new(Kept::new(Call {
                server,
                service,
                metadata,
            }))
        };
        self.running.get_or_init(call).check_status(findings).await
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Grpc".into()
    }
}

struct Call {
    server: Server,
    service: String,
    metadata: MetadataMap,
}

impl Protocol for Call {
    type Connection = Connection;
    type Greeting = ServingStatus;

    const SILENCE: &'static str = SILENCE;

    fn secrets(&self) -> Vec<Secret> {
        let ascii = self.metadata.iter().filter_map(|entry| match entry {
            KeyAndValueRef::Ascii(_, value) => value.to_str().ok(),
            KeyAndValueRef::Binary(..) => None,
        });
        ascii
            .map(Secret::from)
            .chain([self.server.url.clone()])
            .collect()
    }

    async fn open(&self) -> Result<Connection> {
        self.server.open().await
    }

    /// Calls `Check`, with the time after which the run gives up as its deadline.
    async fn greet(
        &self,
        connection: &mut Connection,
        findings: &Findings,
    ) -> Probed<ServingStatus> {
        let mut request = Request::new(HealthCheckRequest {
            service: self.service.clone(),
        });
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(share_of_time(findings, SHARE_OF_RUN));
        let began = Instant::now();
        let answer = connection.client.check(request).await.map_err(failed)?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        Ok(answer.into_inner().status())
    }

    async fn probe(&self, _: &mut Connection, status: ServingStatus, _: &Findings) -> Probed {
        judge(status).map_err(ProbeError::Answered)
    }

    async fn close(connection: Connection) {
        connection.close().await;
    }
}

fn judge(status: ServingStatus) -> Result {
    let (kind, message) = match status {
        ServingStatus::Serving => return Ok(()),
        ServingStatus::NotServing => (FailureKind::UnexpectedAnswer, "not serving"),
        ServingStatus::ServiceUnknown => (
            FailureKind::NotFound,
            "the server does not know this service",
        ),
        ServingStatus::Unknown => (
            FailureKind::UnexpectedAnswer,
            "the server does not know the status of the service",
        ),
    };
    Err(ServiceUnavailable::new(message).with_kind(kind).into())
}
