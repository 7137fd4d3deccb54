//! Checks that RabbitMQ, or another AMQP 0.9.1 broker, accepts a connection, a channel and a
//! message.
//!
//! ```
//! use health_checks::RabbitMQHealthCheck;
//! use health_core::Health;
//!
//! let broker = RabbitMQHealthCheck::new("amqp://user:password@localhost/%2f")?;
//! let health = Health::builder().check(broker).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use health_core::{BoxCheck, Findings, HealthCheck, Result, Secret};
use lapin::options::ConfirmSelectOptions;
use lapin::{BasicProperties, Channel};
use serde::Deserialize;
use uuid::Uuid;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::amqp::{
    Connection, SILENCE, Server, describe, failed, is_blocked, is_refused, publish,
};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::{Kept, Protocol};

/// The default TTL. A connection, its login and its end are three lines in the broker's log.
const TTL: Duration = Duration::from_secs(10);

/// Opens a channel and publishes a message that goes into no queue. On the application's own
/// connection, the check only opens a channel.
///
/// The message, which the broker returns, reveals an alarm of memory or disk: the broker then
/// accepts connections and channels, but no messages. A user who lacks the permission to publish
/// passes the check.
#[derive(Debug, Clone)]
pub struct RabbitMQHealthCheck {
    broker: Broker,
    publish: bool,
    running: OnceLock<BoxCheck>,
}

#[derive(Clone)]
enum Broker {
    Url(Server),
    Own(Arc<lapin::Connection>),
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Url(_)) {
            "Url"
        } else {
            "Own"
        })
    }
}

/// The keys of kind `rabbitmq`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RabbitMQSettings {
    /// The URL of the broker: `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// Publishes a message that goes into no queue, which reveals that the broker blocks its
    /// publishers.
    #[serde(default = "yes")]
    pub publish: bool,
}

fn yes() -> bool {
    true
}

impl CheckSettings for RabbitMQSettings {
    const KIND: &'static str = "rabbitmq";
    const SUMMARY: &'static str = "open a channel, publish a message that is not routed";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const VARIABLES: &'static [Variable] = &[Variable {
        key: "url",
        name: "BROKER_URL",
        reads: Reads::Text,
    }];
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        Ok(vec![BoxCheck::new(
            RabbitMQHealthCheck::new(self.url)?
                .tls(tls)?
                .publish(self.publish),
        )])
    }
}

impl RabbitMQHealthCheck {
    /// Creates a check of the broker at a URL.
    ///
    /// # Errors
    /// Returns an error if the URL is not that of a single broker.
    pub fn new(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let server = Server::from_url(&url.into())?;
        Ok(Self {
            broker: Broker::Url(server),
            publish: true,
            running: OnceLock::new(),
        })
    }

    /// Creates a check on the application's own connection.
    pub fn with_connection(connection: Arc<lapin::Connection>) -> Self {
        Self {
            broker: Broker::Own(connection),
            publish: false,
            running: OnceLock::new(),
        }
    }

    /// Sets the TLS settings, for a URL that uses TLS. *Default*: trusts the certificates of the
    /// system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, if the URL does not use TLS, and on the
    /// application's own connection.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        match self.broker {
            Broker::Url(server) => self.broker = Broker::Url(server.over(tls)?),
            Broker::Own(_) => tls.needs(false)?,
        }
        Ok(Self {
            running: OnceLock::new(),
            ..self
        })
    }

    /// Sets whether to publish a message that goes into no queue. It has no effect on the
    /// application's own connection. *Default*: `true`.
    #[must_use]
    pub fn publish(self, publish: bool) -> Self {
        Self {
            publish,
            running: OnceLock::new(),
            ..self
        }
    }
}

impl HealthCheck for RabbitMQHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        match &self.broker {
            Broker::Own(connection) => {
                let channel = connection.create_channel().await.map_err(describe)?;
                Ok(close(&channel).await?)
            }
            Broker::Url(server) => {
                let look = || {
                    BoxCheck::new(Kept::new(Look {
                        server: server.clone(),
                        publish: self.publish,
                    }))
                };
                self.running.get_or_init(look).check_status(findings).await
            }
        }
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "RabbitMQHealthCheck".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        matches!(self.broker, Broker::Url(_)).then_some(TTL)
    }
}

struct Look {
    server: Server,
    publish: bool,
}

impl Protocol for Look {
    type Connection = Connection;
    type Greeting = Channel;

    const SILENCE: &'static str = SILENCE;

    fn secrets(&self) -> Vec<Secret> {
        self.server.secrets()
    }

    async fn open(&self) -> Result<Connection> {
        self.server.open().await
    }

    /// Opens a channel. A broker that blocks the connection reads nothing from it, but it announces
    /// the end of that.
    async fn greet(&self, connection: &mut Connection, _: &Findings) -> Probed<Channel> {
        let status = connection.client.status();
        if status.connected() && status.blocked() {
            return Err(ProbeError::Answered(is_blocked()));
        }
        connection.client.create_channel().await.map_err(failed)
    }

    async fn probe(&self, connection: &mut Connection, channel: Channel, _: &Findings) -> Probed {
        if !self.publish {
            return close(&channel).await;
        }
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(failed)?;
        let key = format!("health-check.{}", Uuid::new_v4());
        // The message is not empty, because the broker blocks a connection only when the first byte
        // of a message arrives.
        match publish(
            connection,
            &channel,
            "",
            &key,
            b"health-check",
            BasicProperties::default(),
        )
        .await
        .map_err(ProbeError::Answered)?
        {
            Ok(_) => close(&channel).await,
            Err(error) if is_refused(&error) => Ok(()), // the refusal has closed the channel
            Err(error) => Err(failed(error)),
        }
    }

    async fn close(connection: Connection) {
        connection.close().await;
    }
}

async fn close(channel: &Channel) -> Probed {
    channel.close(200, "OK".into()).await.map_err(failed)
}
