//! Checks that a Kafka cluster answers, and that topics exist whose partitions all have a leader.
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
use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret,
    ServiceUnavailable, Unit,
};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::UnknownTopicHandling;
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use serde::Deserialize;
use tokio::time::timeout;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::address;
use crate::support::connection::{SHARE_OF_RUN, share_of_time};
use crate::support::io::Words;
use crate::support::tls::Tls;

/// The default TTL. Each run opens connections and logs in.
const TTL: Duration = Duration::from_secs(10);

/// The maximum size of an answer, in bytes.
const MOST: usize = 8 * 1024 * 1024;

const SILENCE: Words = (FailureKind::TimedOut, "the server does not answer");

/// Requests the metadata of a cluster, and connects to the leader of each partition of the given
/// topics. It does not produce or consume messages.
#[derive(Clone)]
pub struct KafkaHealthCheck {
    brokers: Vec<String>,
    topics: Vec<String>,
    login: Option<SaslConfig>,
    /// The password of the login, which no error may show.
    password: Option<Secret>,
    /// `None` without TLS.
    tls: Option<Tls>,
}

/// Leaves out the login.
impl fmt::Debug for KafkaHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaHealthCheck")
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}

/// The keys of kind `kafka`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaSettings {
    /// The brokers to which the client connects first, such as `["kafka-1.internal:9092"]`.
    pub brokers: Vec<String>,
    /// The topics that have to exist, with a leader for each partition.
    #[serde(default)]
    pub topics: Vec<String>,
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
        let brokers: Vec<String> = brokers.into_iter().map(Into::into).collect();
        if brokers.is_empty()
            || brokers
                .iter()
                .any(|broker| address::host_and_port(broker).is_none())
        {
            return Err(Misconfigured::new(
                "brokers",
                "expected hosts with their ports, such as [\"kafka-1.internal:9092\"]",
            ));
        }
        Ok(Self {
            brokers,
            topics: Vec::new(),
            login: None,
            password: None,
            tls: None,
        })
    }

    /// Adds a topic that has to exist, with a leader for each partition. *Default*: none.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Logs in. *Default*: no login.
    #[must_use]
    pub fn login(self, sasl: Sasl, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        let password = password.into();
        let credentials = Credentials::new(user.into(), password.expose().to_owned());
        let login = match sasl {
            Sasl::Plain => SaslConfig::Plain(credentials),
            Sasl::ScramSha256 => SaslConfig::ScramSha256(credentials),
            Sasl::ScramSha512 => SaslConfig::ScramSha512(credentials),
        };
        Self {
            login: Some(login),
            password: Some(password),
            ..self
        }
    }

    /// Connects to the brokers with TLS. *Default*: no TLS.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid.
    pub fn tls(self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        tls.needs(true)?;
        Ok(Self {
            tls: Some(tls.into()),
            ..self
        })
    }

    async fn connect(&self) -> Result<Client> {
        // The client asks each broker once, and does not retry: the engine repeats the run, and a
        // broker may lock out a user whose login fails several times.
        let once = Duration::from_millis(1);
        let backoff = BackoffConfig {
            init_backoff: once,
            max_backoff: once,
            base: 2.0,
            deadline: Some(once),
        };
        let mut builder = ClientBuilder::new(self.brokers.clone())
            .client_id("health-check")
            .max_message_size(MOST)
            .backoff_config(backoff);
        if let Some(login) = &self.login {
            builder = builder.sasl_config(login.clone());
        }
        if let Some(tls) = &self.tls {
            builder = builder.tls_config(tls.config()?);
        }
        builder.build().await.map_err(|error| describe(&error))
    }

    async fn look(&self, findings: &Findings) -> Result {
        let client = self.connect().await?;
        let began = Instant::now();
        let topics = client
            .list_topics()
            .await
            .map_err(|error| describe(&error))?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        findings.observe(
            "topics",
            u32::try_from(topics.len()).unwrap_or(u32::MAX),
            Unit::Count,
        );
        for wanted in &self.topics {
            let Some(topic) = topics.iter().find(|topic| topic.name == *wanted) else {
                let text = format!("there is no topic {wanted:?}");
                return Err(ServiceUnavailable::new(text)
                    .with_kind(FailureKind::NotFound)
                    .into());
            };
            let leaders = topic.partitions.iter().map(|&partition| {
                let leader = client.partition_client(
                    wanted.as_str(),
                    partition,
                    UnknownTopicHandling::Error,
                );
                async move {
                    leader
                        .await
                        .map_err(|error| of_partition(wanted, partition, &error))
                }
            });
            try_join_all(leaders).await?;
        }
        Ok(())
    }
}

impl HealthCheck for KafkaHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        if let Some(password) = &self.password {
            findings.conceal(password);
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

fn of_partition(topic: &str, partition: i32, error: &Error) -> HealthCheckException {
    let is_without_leader = matches!(
        error,
        Error::ServerError {
            protocol_error: ProtocolError::LeaderNotAvailable,
            ..
        }
    ) || error.to_string().contains("LeaderNotAvailable");
    if is_without_leader {
        let text = format!("partition {partition} of topic {topic:?} has no leader");
        return ServiceUnavailable::new(text)
            .with_kind(FailureKind::Lost)
            .with_source(error.to_string())
            .into();
    }
    describe(error)
}

/// Returns the failure for an error of the client, which reports most causes only as text.
fn describe(error: &(dyn StdError + 'static)) -> HealthCheckException {
    use FailureKind as Kind;
    const WORDS: &[(&str, Words)] = &[
        ("Connection refused", (Kind::Refused, "connection refused")),
        (
            "failed to lookup address",
            (Kind::Dns, "the host name can't be resolved"),
        ),
        (
            "UnknownIssuer",
            (
                Kind::Tls,
                "TLS failed: the certificate's issuer is not trusted",
            ),
        ),
        (
            "NotValidForName",
            (Kind::Tls, "TLS failed: the certificate is for another name"),
        ),
        (
            "not valid for name",
            (Kind::Tls, "TLS failed: the certificate is for another name"),
        ),
        (
            "Expired",
            (Kind::Tls, "TLS failed: the certificate has expired"),
        ),
        (
            "certificate",
            (Kind::Tls, "TLS failed: the certificate is not valid"),
        ),
        (
            "corrupt message",
            (
                Kind::Tls,
                "TLS failed: what answers there does not speak TLS",
            ),
        ),
        ("Sasl", (Kind::Authentication, "authentication failed")),
        ("SASL", (Kind::Authentication, "authentication failed")),
        (
            "AuthorizationFailed",
            (Kind::Forbidden, "permission denied"),
        ),
        ("No route", (Kind::Lost, "no route to the host")),
        (
            "ApiVersions",
            (Kind::UnexpectedAnswer, "the server does not speak Kafka"),
        ),
        (
            "versions",
            (Kind::UnexpectedAnswer, "the server does not speak Kafka"),
        ),
    ];
    let text = format!("{error} {error:?}");
    let known = WORDS
        .iter()
        .find(|(part, _)| text.contains(part))
        .map(|(_, words)| *words);
    let (kind, message) = known.unwrap_or((Kind::Lost, "connection lost"));
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error.to_string())
        .into()
}
