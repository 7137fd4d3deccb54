//! Checks that Celery's workers process tasks: sends a real task to a queue and waits for its
//! result.
//!
//! ```
//! use health_checks::CeleryHealthCheck;
//! use health_core::Health;
//!
//! let default = CeleryHealthCheck::new("amqp://user:password@localhost/%2f", "celery")?;
//! let health = Health::builder().check(default).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The workers need to know the task. They do if django-health-check's app
//! `health_check.contrib.celery` is installed. Otherwise, these lines define it:
//!
//! ```python
//! @app.task(name="health_check.contrib.celery.tasks.add", ignore_result=False)
//! def add(x, y):
//!     return x + y
//! ```
//!
//! The timeouts are 3 s, as in the code of django-health-check and in its chapter on plug-ins. The
//! table of its settings says 30.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, Secret, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, Unit, serde_duration,
};
use serde::Deserialize;
use serde_json::Value;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::celery::{Backend, Broker, Link, Outcome, Results, Task};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::redis::Connection;

/// The default TTL. Each run is a real task for a worker.
const TTL: Duration = Duration::from_secs(30);

const PREFIX: &str = "CeleryHealthCheck";
const TASK: &str = "health_check.contrib.celery.tasks.add";
const REVOKED: &str =
    "TaskRevokedError: The task was revoked, likely because it spent too long in the queue";
const LATE: &str = "TimeoutError: The task took too long to return a result";

/// Sends to a queue a task that adds 4 and 4, and expects the result 8.
///
/// The identifier is `CeleryHealthCheck` followed by the queue's name in title case.
#[derive(Debug, Clone)]
pub struct CeleryHealthCheck {
    run: TaskRun,
    running: OnceLock<BoxCheck>,
}

/// A task that is sent to a queue.
#[derive(Debug, Clone)]
struct TaskRun {
    broker: Broker,
    backend: Backend,
    queue: String,
    task: String,
    prefix: String,
    queue_timeout: Duration,
    result_timeout: Duration,
}

/// The keys of kind `celery`, which builds one check for each queue.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CelerySettings {
    /// The URL of the broker: `amqp://user:password@host/vhost` or `redis://:password@host/0`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub broker_url: Secret,
    /// The URL of the result backend: `rpc://` or `redis://...`. Without it: `rpc://` for RabbitMQ,
    /// the broker itself for Redis.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>"))]
    pub result_backend: Option<Secret>,
    /// The queues to check.
    #[serde(default = "default_queues")]
    pub queues: Vec<String>,
    /// The name of the task that adds two numbers.
    #[serde(default = "default_task")]
    pub task: String,
    /// The prefix of every key in Redis: kombu's `global_keyprefix`, and that of Celery's results.
    #[serde(default)]
    pub global_keyprefix: String,
    /// The longest that the task may wait in its queue. After that, the worker revokes it.
    #[serde(default = "three_seconds", with = "serde_duration")]
    #[cfg_attr(
        feature = "config",
        schemars(with = "crate::support::duration::DurationSchema", extend("default" = "3s"))
    )]
    pub queue_timeout: Duration,
    /// The longest that the check waits for the result.
    #[serde(default = "three_seconds", with = "serde_duration")]
    #[cfg_attr(
        feature = "config",
        schemars(with = "crate::support::duration::DurationSchema", extend("default" = "3s"))
    )]
    pub result_timeout: Duration,
}

fn default_queues() -> Vec<String> {
    vec!["celery".into()]
}

fn default_task() -> String {
    TASK.into()
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

impl CheckSettings for CelerySettings {
    const KIND: &'static str = "celery";
    const SUMMARY: &'static str = "a real task for each queue, and its result";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const VARIABLES: &'static [Variable] = &[
        Variable {
            key: "broker_url",
            name: "BROKER_URL",
            reads: Reads::Text,
        },
        Variable {
            key: "queue_timeout",
            name: "HEALTHCHECK_CELERY_QUEUE_TIMEOUT",
            reads: Reads::Seconds,
        },
        Variable {
            key: "queue_timeout",
            name: "HEALTHCHECK_CELERY_TIMEOUT",
            reads: Reads::Seconds,
        },
        Variable {
            key: "result_timeout",
            name: "HEALTHCHECK_CELERY_RESULT_TIMEOUT",
            reads: Reads::Seconds,
        },
        Variable {
            key: "result_timeout",
            name: "HEALTHCHECK_CELERY_TIMEOUT",
            reads: Reads::Seconds,
        },
    ];
    const URL: Option<&'static str> = Some("broker_url");
    const SERVERS: &'static [&'static str] = &["broker_url", "result_backend"];

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.broker_url)
    }

    /// Replaces the prefix of the identifier by the name, because each queue has a check of its
    /// own.
    fn renamed(identifier: &str, name: &str) -> String {
        identifier.replacen(PREFIX, name, 1)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.queues.is_empty() || self.queues.iter().any(String::is_empty) {
            return Err(Misconfigured::new(
                "queues",
                "expected the names of one or more queues",
            ));
        }
        // Each check has a broker of its own, because the replies belong to one check only.
        let check = |queue: &String| {
            let mut check =
                CeleryHealthCheck::new(self.broker_url.clone(), queue)?.tls(tls.clone())?;
            check.run.backend = check.run.broker.backend(self.result_backend.as_ref())?;
            let check = check
                .task(&self.task)
                .queue_timeout(self.queue_timeout)
                .result_timeout(self.result_timeout);
            Ok(BoxCheck::new(
                check.global_keyprefix(&self.global_keyprefix),
            ))
        };
        self.queues.iter().map(check).collect()
    }
}

impl CeleryHealthCheck {
    /// Creates a check of a queue at the broker with this URL, with the backend that Celery uses by
    /// default.
    ///
    /// # Errors
    /// Returns an error if the URL is not that of a broker.
    pub fn new(
        broker_url: impl Into<Secret>,
        queue: impl Into<String>,
    ) -> Result<Self, Misconfigured> {
        let broker = Broker::from_url(&broker_url.into())?;
        let run = TaskRun {
            backend: broker.backend(None)?,
            broker,
            queue: queue.into(),
            task: TASK.into(),
            prefix: String::new(),
            queue_timeout: three_seconds(),
            result_timeout: three_seconds(),
        };
        Ok(Self {
            run,
            running: OnceLock::new(),
        })
    }

    fn with(mut self, change: impl FnOnce(&mut TaskRun)) -> Self {
        change(&mut self.run);
        Self {
            running: OnceLock::new(),
            ..self
        }
    }

    /// Sets the TLS settings for the broker, for a URL that uses TLS. A separate Redis server for
    /// the results always uses the certificates of the system. *Default*: trusts the certificates
    /// of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        self.run.broker = self.run.broker.over(tls)?;
        Ok(Self {
            running: OnceLock::new(),
            ..self
        })
    }

    /// Sets the URL of the result backend: `rpc://` or `redis://...`. *Default*: `rpc://` for
    /// RabbitMQ, the broker itself for Redis.
    ///
    /// # Errors
    /// Returns an error if the URL is neither.
    #[doc(alias = "CELERY_RESULT_BACKEND")]
    pub fn result_backend(self, url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let backend = self.run.broker.backend(Some(&url.into()))?;
        Ok(self.with(|run| run.backend = backend))
    }

    /// Sets the prefix of every key in Redis: kombu's `global_keyprefix`, and that of Celery's
    /// results. *Default*: empty.
    #[must_use]
    pub fn global_keyprefix(self, prefix: impl Into<String>) -> Self {
        self.with(|run| {
            run.prefix = prefix.into();
            run.broker.set_prefix(&run.prefix);
        })
    }

    /// Sets the name of the task that adds two numbers. *Default*: the task of django-health-check.
    #[must_use]
    pub fn task(self, name: impl Into<String>) -> Self {
        self.with(|run| run.task = name.into())
    }

    /// Sets the longest that the task may wait in its queue. *Default*: 3 s.
    #[must_use]
    #[doc(alias = "HEALTHCHECK_CELERY_QUEUE_TIMEOUT")]
    pub fn queue_timeout(self, timeout: Duration) -> Self {
        self.with(|run| run.queue_timeout = timeout)
    }

    /// Sets the longest that the check waits for the result. *Default*: 3 s.
    #[must_use]
    #[doc(alias = "HEALTHCHECK_CELERY_RESULT_TIMEOUT")]
    pub fn result_timeout(self, timeout: Duration) -> Self {
        self.with(|run| run.result_timeout = timeout)
    }
}

impl HealthCheck for CeleryHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let start = || BoxCheck::new(Kept::new(self.run.clone()));
        self.running.get_or_init(start).check_status(findings).await
    }

    fn identifier(&self) -> Cow<'_, str> {
        format!("{PREFIX}{}", title(&self.run.queue)).into()
    }

    fn default_timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(7).max(self.run.result_timeout + Duration::from_secs(1)))
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}

/// Connections to the broker, and to the Redis server that holds the results, if any.
struct Session {
    link: Link,
    results: Option<Connection>,
}

impl Protocol for TaskRun {
    type Connection = Session;
    type Greeting = ();

    const SILENCE: &'static str = Broker::SILENCE;

    /// Runs are far apart, and a run that waits for a worker has no time to find out that a kept
    /// connection is dead.
    const IS_KEPT: bool = false;

    fn secrets(&self) -> Vec<Secret> {
        let mut secrets = self.broker.secrets();
        if let Backend::Redis(server) = &self.backend {
            secrets.extend(server.secrets());
        }
        secrets
    }

    async fn open(&self) -> Result<Session> {
        let link = self.broker.open().await?;
        let results = match (&self.backend, &link) {
            (Backend::Redis(server), _) => Some(server.open().await?),
            (Backend::Broker, Link::Redis(connection)) => Some(connection.clone()),
            _ => None,
        };
        Ok(Session { link, results })
    }

    /// Asks nothing, because each run has a new connection.
    async fn greet(&self, _: &mut Session, _: &Findings) -> Probed {
        Ok(())
    }

    async fn probe(&self, session: &mut Session, (): (), findings: &Findings) -> Probed {
        let task = Task::new(&self.task, &self.queue, self.queue_timeout);
        let began = Instant::now();
        let prefix = self.prefix.as_str();
        let mut results = session
            .results
            .as_mut()
            .map(|connection| Results { connection, prefix });
        let outcome = self
            .broker
            .run(
                &mut session.link,
                results.as_mut(),
                &task,
                self.result_timeout,
            )
            .await
            .map_err(ProbeError::Broken)?;
        if matches!(outcome, Outcome::Answer(_)) {
            findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        }
        // These errors are not failures of the connection, so the probe succeeds.
        if let Err(error) = self.judge(outcome) {
            findings.add_error(error);
        }
        Ok(())
    }

    async fn close(session: Session) {
        session.link.close().await;
    }
}

impl TaskRun {
    fn judge(&self, outcome: Outcome) -> Result {
        let unavailable =
            |kind, message: String| Err(ServiceUnavailable::new(message).with_kind(kind).into());
        match outcome {
            Outcome::Late => unavailable(FailureKind::TimedOut, LATE.into()),
            Outcome::NoWorker => unavailable(
                FailureKind::Lost,
                format!("No worker for Celery task queue {}", self.queue),
            ),
            Outcome::Answer(answer) => match (answer["status"].as_str(), &answer["result"]) {
                (Some("SUCCESS"), result) if result.as_i64() == Some(8) => Ok(()),
                (Some("SUCCESS"), _) => {
                    Err(ServiceReturnedUnexpectedResult::new("Celery returned wrong result").into())
                }
                (Some("REVOKED"), _) => unavailable(FailureKind::TimedOut, REVOKED.into()),
                (_, result) => unavailable(FailureKind::UnexpectedAnswer, failure(result)),
            },
        }
    }
}

/// Builds a message from the type of the exception, which is a name in the worker's code. The text
/// of the exception belongs to the worker and is left out.
fn failure(result: &Value) -> String {
    match result["exc_type"].as_str() {
        Some("NotRegistered") => {
            "the worker does not know the task: define it, or name another one".into()
        }
        Some(kind) if kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            format!("the task failed: {kind}")
        }
        _ => "the task failed".into(),
    }
}

/// Does what Python's `str.title()` does: the first letter of each run of letters becomes upper
/// case, the others lower case.
fn title(queue: &str) -> String {
    let mut in_word = false;
    let turn = |c: char| {
        let turned: Vec<char> = if in_word {
            c.to_lowercase().collect()
        } else {
            c.to_uppercase().collect()
        };
        in_word = c.is_alphabetic();
        turned
    };
    queue.chars().flat_map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_pythons() {
        for (queue, titled) in [
            ("celery", "Celery"),
            ("high_priority", "High_Priority"),
            ("q2x", "Q2X"),
            ("ALL-mails", "All-Mails"),
        ] {
            assert_eq!(title(queue), titled);
        }
    }
}
