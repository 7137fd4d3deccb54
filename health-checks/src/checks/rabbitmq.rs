//! Whether RabbitMQ, or another AMQP 0.9.1 broker, takes a connection and a channel.
//!
//! ```
//! use health_checks::RabbitMQHealthCheck;
//! use health_core::Health;
//!
//! let health = Health::builder().check(RabbitMQHealthCheck::new("amqp://user:password@localhost/%2f")).build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::sync::Arc;

use health_core::{BoxCheck, Findings, HealthCheck, Result, Secret};
use lapin::Connection;
use lapin::uri::AMQPUri;
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::amqp::{Server, describe};

/// Connects, opens a channel, closes both; on the application's own connection the channel only.
#[derive(Debug, Clone)]
pub struct RabbitMQHealthCheck(Broker);

#[derive(Clone)]
enum Broker {
    Url(Server),
    Own(Arc<Connection>),
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Url(_)) { "Url" } else { "Own" })
    }
}

/// The keys of kind `rabbitmq`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RabbitMQSettings {
    /// Where the broker is: `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
}

impl CheckSettings for RabbitMQSettings {
    const KIND: &'static str = "rabbitmq";
    const SUMMARY: &'static str = "connect, open a channel, close both";
    const VARIABLES: &'static [Variable] = &[Variable { key: "url", name: "BROKER_URL", reads: Reads::Text }];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.url.expose().parse::<AMQPUri>().is_err() {
            return Err(Misconfigured::new("url", "expected a URL such as amqp://user:password@host:5672/vhost"));
        }
        Ok(vec![BoxCheck::new(RabbitMQHealthCheck::new(self.url))])
    }
}

impl RabbitMQHealthCheck {
    /// The broker at a URL.
    pub fn new(url: impl Into<Secret>) -> Self {
        Self(Broker::Url(Server::new(url)))
    }

    /// The application's own connection.
    pub fn with_connection(connection: Arc<Connection>) -> Self {
        Self(Broker::Own(connection))
    }
}

impl HealthCheck for RabbitMQHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        match &self.0 {
            Broker::Own(connection) => open_and_close_channel(connection).await,
            Broker::Url(server) => {
                let connection = server.connect(findings).await?;
                open_and_close_channel(&connection).await?;
                connection.close(200, "OK".into()).await.map_err(describe)
            }
        }
    }
}

async fn open_and_close_channel(connection: &Connection) -> Result {
    let channel = connection.create_channel().await.map_err(describe)?;
    channel.close(200, "OK".into()).await.map_err(describe)
}
