//! Checks that a Kafka cluster answers and has a controller, and that topics exist whose partitions
//! all have a leader.
//!
//! ```
//! use health_checks::KafkaHealthCheck;
//! use health_core::Health;
//!
//! let kafka = KafkaHealthCheck::new(["kafka-1.internal:9092", "kafka-2.internal:9092"])?
//!     .topic("orders");
//! let health = Health::builder().check(kafka).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret,
    ServiceUnavailable, Unit,
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::address;
use crate::support::connection::{SHARE_OF_RUN, share_of_time};
use crate::support::io::Words;
use crate::support::kafka::{Cluster, Login, Partition, Topic};

/// The default TTL. Each run opens connections and logs in.
const TTL: Duration = Duration::from_secs(10);

const SILENCE: Words = (FailureKind::TimedOut, "the server does not answer");

/// The error codes of the protocol.
mod code {
    pub(super) const UNKNOWN_TOPIC: i16 = 3;
    pub(super) const LEADER_NOT_AVAILABLE: i16 = 5;
    pub(super) const INVALID_TOPIC: i16 = 17;
    pub(super) const TOPIC_FORBIDDEN: i16 = 29;
}

/// Requests the metadata of a cluster and of the given topics from one of its brokers. It does not
/// produce or consume messages, and creates no topics.
#[derive(Clone)]
pub struct KafkaHealthCheck {
    cluster: Cluster,
    topics: Vec<String>,
    in_sync_min: Option<u16>,
}

/// Leaves out the login.
impl fmt::Debug for KafkaHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaHealthCheck")
            .field("brokers", &self.cluster.brokers)
            .finish_non_exhaustive()
    }
}

/// The keys of kind `kafka`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaSettings {
    /// The brokers of which one has to answer, such as `["kafka-1.internal:9092"]`. Each has a head
    /// start of a second before the next one.
    pub brokers: Vec<String>,
    /// The topics that have to exist, with a leader for each partition.
    #[serde(default)]
    pub topics: Vec<String>,
    /// The number of replicas in sync that each partition of the topics must have: the setting
    /// `min.insync.replicas` of the topics, below which `acks=all` fails. Needs `topics`. The default
    /// tests no number.
    #[serde(default)]
    pub in_sync_min: Option<u16>,
    /// Connects to the brokers with TLS. The default is no TLS.
    #[serde(default)]
    pub tls: bool,
    /// The SASL mechanism of the login: "plain", "scram-sha-256" or "scram-sha-512". Needs
    /// `sasl_username` and `sasl_password`.
    #[serde(default)]
    pub sasl: Option<Sasl>,
    /// The user name of the login.
    #[serde(default)]
    pub sasl_username: Option<String>,
    /// The password of the login.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub sasl_password: Option<Secret>,
}

/// A mechanism of SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "config", schemars(inline))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sasl {
    /// PLAIN (RFC 4616).
    Plain,
    /// SCRAM-SHA-256 (RFC 7677).
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM-SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl CheckSettings for KafkaSettings {
    const KIND: &'static str = "kafka";
    const SUMMARY: &'static str = "the metadata of a cluster, and the leaders of topics";
    const SERVERS: &'static [&'static str] = &["brokers"];
    const TLS: &'static [&'static str] = TlsSettings::ALL;

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = KafkaHealthCheck::new(self.brokers)?;
        if let Some(min) = self.in_sync_min {
            if self.topics.is_empty() {
                return Err(Misconfigured::new("in_sync_min", "needs topics"));
            }
            check = check.in_sync_min(min);
        }
        for topic in self.topics {
            check = check.topic(topic);
        }
        tls.needs(self.tls)?;
        if self.tls {
            check = check.tls(tls)?;
        }
        check = match (self.sasl, self.sasl_username, self.sasl_password) {
            (None, None, None) => check,
            (Some(sasl), Some(user), Some(password)) => check.login(sasl, user, password),
            (None, ..) => {
                return Err(Misconfigured::new(
                    "sasl",
                    "expected a mechanism for the user and the password",
                ));
            }
            (_, None, _) => {
                return Err(Misconfigured::new(
                    "sasl_username",
                    "is missing beside sasl",
                ));
            }
            (_, _, None) => {
                return Err(Misconfigured::new(
                    "sasl_password",
                    "is missing beside sasl",
                ));
            }
        };
        Ok(vec![BoxCheck::new(check)])
    }
}

impl KafkaHealthCheck {
    /// Creates a check of the cluster of these brokers, each `host:port`.
    ///
    /// # Errors
    /// Returns an error if there is no broker, or if one is not a host and a port.
    pub fn new(
        brokers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, Misconfigured> {
        let brokers: Option<Vec<_>> = brokers
            .into_iter()
            .map(|broker| {
                let broker = broker.into();
                let (host, port) = address::host_and_port(&broker)?;
                Some((host.to_owned(), port))
            })
            .collect();
        let brokers = brokers.filter(|brokers| !brokers.is_empty());
        let brokers = brokers.ok_or_else(|| {
            Misconfigured::new(
                "brokers",
                "expected hosts with their ports, such as [\"kafka-1.internal:9092\"]",
            )
        })?;
        let cluster = Cluster {
            brokers,
            login: None,
            tls: None,
        };
        Ok(Self {
            cluster,
            topics: Vec::new(),
            in_sync_min: None,
        })
    }

    /// Sets the number of replicas in sync that each partition of the topics must have
    /// (`min.insync.replicas`). *Default*: none.
    #[must_use]
    pub fn in_sync_min(self, min: u16) -> Self {
        Self {
            in_sync_min: Some(min),
            ..self
        }
    }

    /// Adds a topic that has to exist, with a leader for each partition. *Default*: none.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Logs in. *Default*: no login.
    #[must_use]
    pub fn login(
        mut self,
        sasl: Sasl,
        user: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Self {
        self.cluster.login = Some(Login {
            mechanism: match sasl {
                Sasl::Plain => "PLAIN",
                Sasl::ScramSha256 => "SCRAM-SHA-256",
                Sasl::ScramSha512 => "SCRAM-SHA-512",
            },
            user: user.into(),
            password: password.into(),
        });
        self
    }

    /// Connects to the brokers with TLS. *Default*: no TLS.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        tls.needs(true)?;
        self.cluster.tls = Some(tls.into());
        Ok(self)
    }

    async fn look(&self, findings: &Findings) -> Result {
        let began = Instant::now();
        let metadata = self.cluster.metadata(&self.topics).await?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        findings.observe("brokers", count(metadata.brokers), Unit::Count);
        if metadata.controller < 0 {
            return Err(lost("the cluster has no controller".into()));
        }
        let wanted: Vec<_> = self
            .topics
            .iter()
            .map(|name| (name, metadata.topics.iter().find(|it| it.name == *name)))
            .collect();
        if !wanted.is_empty() {
            let topics = wanted.iter().filter_map(|(_, topic)| *topic);
            let partitions = topics.flat_map(|topic| &topic.partitions);
            let lagging = partitions.filter(|it| it.in_sync < it.replicas).count();
            findings.observe("under_replicated", count(lagging), Unit::Count);
        }
        for (name, topic) in wanted {
            self.judge(name, topic)?;
        }
        Ok(())
    }

    /// Returns the error of a topic that is wanted.
    fn judge(&self, name: &str, topic: Option<&Topic>) -> Result {
        match topic.map_or(code::UNKNOWN_TOPIC, |topic| topic.error) {
            0 => {}
            code::UNKNOWN_TOPIC | code::INVALID_TOPIC => {
                let text = format!("there is no topic {name:?}");
                let error = ServiceUnavailable::new(text);
                return Err(error.with_kind(FailureKind::NotFound).into());
            }
            code::TOPIC_FORBIDDEN => {
                let error = ServiceUnavailable::new("permission denied");
                return Err(error.with_kind(FailureKind::Forbidden).into());
            }
            code::LEADER_NOT_AVAILABLE => {
                return Err(lost(format!("topic {name:?} has no leader")));
            }
            other => {
                let text = format!("the broker reports the error {other} of topic {name:?}");
                return Err(ServiceUnavailable::new(text).into());
            }
        }
        let partitions = topic.into_iter().flat_map(|topic| &topic.partitions);
        for partition in partitions {
            self.judge_partition(name, partition)?;
        }
        Ok(())
    }

    fn judge_partition(&self, topic: &str, partition: &Partition) -> Result {
        let number = partition.number;
        if partition.error == code::LEADER_NOT_AVAILABLE || partition.leader < 0 {
            let text = format!("partition {number} of topic {topic:?} has no leader");
            return Err(lost(text));
        }
        let in_sync = partition.in_sync;
        match self.in_sync_min {
            Some(min) if in_sync < usize::from(min) => Err(lost(format!(
                "partition {number} of topic {topic:?} has too few replicas in sync: {in_sync}, and at least {min} are wanted"
            ))),
            _ => Ok(()),
        }
    }
}

fn lost(text: String) -> HealthCheckException {
    ServiceUnavailable::new(text)
        .with_kind(FailureKind::Lost)
        .into()
}

impl HealthCheck for KafkaHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        if let Some(login) = &self.cluster.login {
            findings.conceal(&login.password);
        }
        let limit = share_of_time(findings, SHARE_OF_RUN);
        let (kind, message) = SILENCE;
        let silence = |_| ServiceUnavailable::new(message).with_kind(kind);
        timeout(limit, self.look(findings)).await.map_err(silence)?
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Kafka".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}
