//! Checks that a server listens at an address.
//!
//! ```
//! use health_checks::TcpHealthCheck;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(TcpHealthCheck::new("printer.internal:9100"))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;

use health_core::{BoxCheck, FailureKind, Findings, HealthCheck, Result, ServiceUnavailable};
use serde::Deserialize;
use tokio::time::timeout;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::connection::net::tcp;
use crate::support::connection::{SHARE_OF_RUN, share_of_time};
use crate::support::{address, io};

const SILENCE: &str = "the server does not answer";

/// Opens a connection and closes it again. If the name has several addresses, one of them has to
/// answer.
#[derive(Debug, Clone)]
pub struct TcpHealthCheck {
    address: String,
}

/// The keys of kind `tcp`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TcpSettings {
    /// The host and the port, such as `printer.internal:9100`.
    pub address: String,
}

impl CheckSettings for TcpSettings {
    const KIND: &'static str = "tcp";
    const SUMMARY: &'static str = "connect to an address";
    const SERVERS: &'static [&'static str] = &["address"];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        address::host_and_port(&self.address)
            .ok_or_else(|| Misconfigured::new("address", address::EXPECTED))?;
        Ok(vec![BoxCheck::new(TcpHealthCheck::new(self.address))])
    }
}

impl TcpHealthCheck {
    /// Creates a check of a host and a port.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
        }
    }
}

impl HealthCheck for TcpHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let wrong =
            || ServiceUnavailable::new(address::EXPECTED).with_kind(FailureKind::Misconfigured);
        let (host, port) = address::host_and_port(&self.address).ok_or_else(wrong)?;
        let limit = share_of_time(findings, SHARE_OF_RUN);
        let silence = |_| ServiceUnavailable::new(SILENCE).with_kind(FailureKind::TimedOut);
        let connected = timeout(limit, tcp(host, port)).await.map_err(silence)?;
        connected.map(drop).map_err(io::describe)
    }

    fn identifier(&self) -> Cow<'_, str> {
        "TCP".into()
    }
}
