//! Checks that Celery's workers are alive, and that every queue has one.
//!
//! ```
//! use health_checks::CeleryPingHealthCheck;
//! use health_core::Health;
//!
//! let workers = CeleryPingHealthCheck::new("redis://:password@localhost/0")?
//!     .queues(["celery", "mails"]);
//! let health = Health::builder().check(workers).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, Secret, ServiceUnavailable, Unit,
    serde_duration,
};
use serde::Deserialize;
use serde_json::json;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::celery::{Broadcast, Broker, CONTROL, Link, Replies, Reply, Wait};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::{Kept, Protocol};

/// Broadcasts a ping to all workers, and expects `{"ok": "pong"}` from each. Then checks that every
/// queue has a worker.
///
/// The number of workers is not known in advance. The check waits until the workers that answered
/// the last time have answered again, or until `reply_timeout` is over.
#[derive(Debug)]
pub struct CeleryPingHealthCheck {
    workers: Workers,
    running: OnceLock<BoxCheck>,
}

/// The workers of a broker, and what is expected of them.
#[derive(Debug)]
struct Workers {
    broker: Broker,
    queues: Vec<String>,
    reply_timeout: Duration,
    busy_is_alive: bool,
    control: String,
    /// The workers that answered the last time.
    known: Mutex<BTreeSet<String>>,
}

impl Clone for Workers {
    /// Returns a copy that has not received any answer yet.
    fn clone(&self) -> Self {
        Self {
            broker: self.broker.clone(),
            queues: self.queues.clone(),
            reply_timeout: self.reply_timeout,
            busy_is_alive: self.busy_is_alive,
            control: self.control.clone(),
            known: Mutex::default(),
        }
    }
}

/// The default TTL. A broadcast reaches every worker.
const TTL: Duration = Duration::from_secs(10);

/// The keys of kind `celery_ping`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CeleryPingSettings {
    /// The URL of the broker: `amqp://user:password@host/vhost` or `redis://:password@host/0`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub broker_url: Secret,
    /// The queues that need a worker. Without any, an answer from any worker is enough.
    #[serde(default)]
    pub queues: Vec<String>,
    /// The longest that the check waits for answers.
    #[serde(default = "one_second", with = "serde_duration")]
    #[cfg_attr(
        feature = "config",
        schemars(with = "crate::support::duration::DurationSchema", extend("default" = "1s"))
    )]
    pub reply_timeout: Duration,
    /// Counts a worker that does not answer as alive while it holds its connection to the broker. A
    /// worker of the solo pool does not answer and sends no heartbeats while it works on a task.
    /// Neither does a worker that hangs.
    #[serde(default)]
    pub busy_is_alive: bool,
    /// The prefix of every key in Redis: kombu's `global_keyprefix`.
    #[serde(default)]
    pub global_keyprefix: String,
    /// Celery's setting `control_exchange`.
    #[serde(default = "celery")]
    pub control_exchange: String,
}

fn celery() -> String {
    CONTROL.into()
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

impl CheckSettings for CeleryPingSettings {
    const KIND: &'static str = "celery_ping";
    const SUMMARY: &'static str = "all workers answer, and every queue has one";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const VARIABLES: &'static [Variable] = &[
        Variable {
            key: "broker_url",
            name: "BROKER_URL",
            reads: Reads::Text,
        },
        Variable {
            key: "reply_timeout",
            name: "HEALTHCHECK_CELERY_PING_TIMEOUT",
            reads: Reads::Seconds,
        },
    ];
    const URL: Option<&'static str> = Some("broker_url");
    const SERVERS: &'static [&'static str] = &["broker_url"];

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.broker_url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.reply_timeout.is_zero() {
            return Err(Misconfigured::new(
                "reply_timeout",
                "expected a duration longer than zero",
            ));
        }
        let check = CeleryPingHealthCheck::new(self.broker_url)?
            .tls(tls)?
            .queues(self.queues)
            .reply_timeout(self.reply_timeout);
        let check = check
            .busy_is_alive(self.busy_is_alive)
            .global_keyprefix(&self.global_keyprefix);
        Ok(vec![BoxCheck::new(
            check.control_exchange(self.control_exchange),
        )])
    }
}

impl CeleryPingHealthCheck {
    /// Creates a check of the workers of the broker at this URL.
    ///
    /// # Errors
    /// Returns an error if the URL is not that of a broker.
    pub fn new(broker_url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let workers = Workers {
            broker: Broker::from_url(&broker_url.into())?,
            queues: Vec::new(),
            reply_timeout: one_second(),
            busy_is_alive: false,
            control: celery(),
            known: Mutex::default(),
        };
        Ok(Self {
            workers,
            running: OnceLock::new(),
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Workers)) -> Self {
        change(&mut self.workers);
        Self {
            running: OnceLock::new(),
            ..self
        }
    }

    /// Sets the TLS settings, for a URL that uses TLS. *Default*: trusts the certificates of the
    /// system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        self.workers.broker = self.workers.broker.over(tls)?;
        Ok(Self {
            running: OnceLock::new(),
            ..self
        })
    }

    /// Sets the prefix of every key in Redis: kombu's `global_keyprefix`. *Default*: empty.
    #[must_use]
    pub fn global_keyprefix(self, prefix: impl AsRef<str>) -> Self {
        self.with(|workers| workers.broker.set_prefix(prefix.as_ref()))
    }

    /// Sets Celery's setting `control_exchange`. *Default*: `celery`.
    #[must_use]
    pub fn control_exchange(self, name: impl Into<String>) -> Self {
        self.with(|workers| workers.control = name.into())
    }

    /// Sets the queues that need a worker. *Default*: none, so that an answer from any worker is
    /// enough.
    #[must_use]
    #[doc(alias = "CELERY_QUEUES")]
    pub fn queues<Q: Into<String>>(self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.with(|workers| workers.queues = queues.into_iter().map(Into::into).collect())
    }

    /// Sets the longest that the check waits for answers. *Default*: 1 s.
    #[must_use]
    #[doc(alias = "HEALTHCHECK_CELERY_PING_TIMEOUT")]
    pub fn reply_timeout(self, timeout: Duration) -> Self {
        self.with(|workers| workers.reply_timeout = timeout)
    }

    /// Sets whether a worker that does not answer counts as alive while it holds its connection to
    /// the broker, as a worker of the solo pool does while it works. A worker that hangs does so as
    /// well, until the broker ends the connection. *Default*: `false`.
    #[must_use]
    pub fn busy_is_alive(self, alive: bool) -> Self {
        self.with(|workers| workers.busy_is_alive = alive)
    }
}

impl HealthCheck for CeleryPingHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let ask = || BoxCheck::new(Kept::new(self.workers.clone()));
        self.running.get_or_init(ask).check_status(findings).await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "CeleryPingHealthCheck".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}

impl Protocol for Workers {
    type Connection = Link;
    type Greeting = ();

    const SILENCE: &'static str = Broker::SILENCE;

    /// Runs are far apart, and a run that waits for a worker has no time to find out that a kept
    /// connection is dead.
    const IS_KEPT: bool = false;

    fn secrets(&self) -> Vec<Secret> {
        self.broker.secrets()
    }

    async fn open(&self) -> Result<Link> {
        self.broker.open().await
    }

    /// Asks nothing, because each run has a new connection.
    async fn greet(&self, _: &mut Link, _: &Findings) -> Probed {
        Ok(())
    }

    async fn probe(&self, link: &mut Link, (): (), findings: &Findings) -> Probed {
        let replies = self.ask(link).await.map_err(ProbeError::Broken)?;
        self.judge(&replies, findings);
        Ok(())
    }

    async fn close(link: Link) {
        link.close().await;
    }
}

impl Workers {
    async fn ask(&self, link: &mut Link) -> Result<Replies> {
        let methods: &[_] = if self.queues.is_empty() {
            &["ping"]
        } else {
            &["ping", "active_queues"]
        };
        let broadcast = Broadcast::new(methods, self.reply_timeout, &self.control);
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let enough = |replies: &[Reply]| {
            let has_all = |method: &&str| known.iter().all(|worker| has(replies, worker, method));
            !known.is_empty() && methods.iter().all(has_all)
        };
        let wait = Wait {
            timeout: self.reply_timeout,
            enough: &enough,
            queues: if self.busy_is_alive {
                &self.queues
            } else {
                &[]
            },
        };
        let replies = self.broker.broadcast(link, &broadcast, wait).await?;
        let pongs = replies
            .answers
            .iter()
            .filter(|reply| reply.method == "ping");
        let workers = pongs.map(|reply| reply.worker.clone()).collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = workers;
        Ok(replies)
    }

    /// Adds what is wrong with the workers to the findings. It is not a failure of the connection,
    /// so the probe succeeds.
    fn judge(&self, replies: &Replies, findings: &Findings) {
        let pongs: Vec<_> = replies
            .answers
            .iter()
            .filter(|reply| reply.method == "ping")
            .collect();
        findings.observe(
            "workers",
            u32::try_from(pongs.len()).unwrap_or(u32::MAX),
            Unit::Count,
        );
        if pongs.is_empty() {
            if !(self.busy_is_alive && replies.is_heard) {
                findings.add_error(
                    ServiceUnavailable::new("Celery workers unavailable")
                        .with_kind(FailureKind::Lost),
                );
            }
            return;
        }
        let wrong: Vec<_> = pongs
            .iter()
            .filter(|reply| reply.answer != json!({ "ok": "pong" }))
            .collect();
        for reply in &wrong {
            let message = format!("Celery worker {} response was incorrect", reply.worker);
            findings.add_error(
                ServiceUnavailable::new(message).with_kind(FailureKind::UnexpectedAnswer),
            );
        }
        if wrong.is_empty() {
            let served = served(&replies.answers);
            let is_served =
                |queue: &&String| served.contains(queue.as_str()) || replies.held.contains(*queue);
            for queue in self.queues.iter().filter(|queue| !is_served(queue)) {
                let message = format!("No worker for Celery task queue {queue}");
                findings.add_error(ServiceUnavailable::new(message).with_kind(FailureKind::Lost));
            }
        }
    }
}

fn has(replies: &[Reply], worker: &str, method: &str) -> bool {
    replies
        .iter()
        .any(|reply| reply.worker == worker && reply.method == method)
}

/// Returns the queues that have a worker.
fn served(replies: &[Reply]) -> BTreeSet<&str> {
    replies.iter().flat_map(Reply::queues).collect()
}
