//! Celery's protocol, as far as two checks need it: sending a task and waiting for its result, and
//! querying all workers.
//!
//! Tasks are
//! [task messages, version 2](https://docs.celeryq.dev/en/stable/internals/protocol.html).
//! Broadcasts use kombu's pidbox.

mod amqp;
mod message;
mod redis;

use std::collections::BTreeSet;
use std::time::Duration;

use health_core::{FailureKind, HealthCheckException, Result, Secret, ServiceUnavailable};
use serde_json::Value;

use crate::kind::{Misconfigured, TlsSettings};
use crate::support::{amqp as rabbitmq, is_redis, redis as redis_server, url};
pub(crate) use message::{Broadcast, Reply, Task};

/// The interval between two polls of something that can only be polled.
const POLL: Duration = Duration::from_millis(20);

/// The exchange of Celery's broadcasts, unless `control_exchange` names another one.
pub(crate) const CONTROL: &str = "celery";

/// The example in messages about a URL that is not that of a broker.
const EXPECTED: &str = "expected amqp://user:password@host/vhost or redis://host/0";

/// The schemes that kombu has for AMQP.
const AMQP: [&str; 4] = ["amqp", "amqps", "pyamqp", "librabbitmq"];

/// The broker to which tasks and broadcasts are sent.
#[derive(Debug, Clone)]
pub(crate) enum Broker {
    Amqp(rabbitmq::Server),
    Redis(redis::Server),
}

/// The backend from which results come.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// `rpc://`: the broker itself.
    Rpc,
    /// The Redis server that is also the broker.
    Broker,
    /// Another Redis server.
    Redis(redis::Server),
}

impl Broker {
    pub(crate) fn from_url(text: &Secret) -> Result<Self, Misconfigured> {
        let scheme = url::scheme(text);
        let broker = if AMQP.contains(&scheme.as_str()) {
            rabbitmq::Server::from_url(text).map(Self::Amqp)
        } else if text.expose().contains(';') {
            Err(Misconfigured::new(
                "url",
                "several brokers in one URL: write a check for each of them",
            ))
        } else if is_redis(&scheme) {
            redis::Server::from_url(text).map(Self::Redis)
        } else {
            url::plain(text.expose()).and_then(|()| {
                Err(url::not(
                    EXPECTED,
                    text,
                    AMQP.into_iter().chain(["redis", "rediss"]),
                ))
            })
        };
        broker.map_err(|wrong| wrong.with_url_as("broker_url"))
    }

    /// Uses these TLS settings. Returns an error if the URL does not use TLS.
    pub(crate) fn over(self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        let over = match self {
            Self::Amqp(server) => server.over(tls).map(Self::Amqp),
            Self::Redis(server) => server.over(tls).map(Self::Redis),
        };
        over.map_err(|wrong| wrong.with_url_as("broker_url"))
    }

    /// Returns the backend at a URL. Without a URL, that is `rpc://` for RabbitMQ and the broker
    /// itself for Redis.
    pub(crate) fn backend(&self, url: Option<&Secret>) -> Result<Backend, Misconfigured> {
        let wrong = |wrong: Misconfigured| wrong.with_url_as("result_backend");
        let Some(text) = url else {
            return Ok(if matches!(self, Self::Amqp(_)) {
                Backend::Rpc
            } else {
                Backend::Broker
            });
        };
        match url::scheme(text).as_str() {
            "rpc" => Ok(Backend::Rpc),
            scheme if is_redis(scheme) => redis::Server::from_url(text)
                .map(Backend::Redis)
                .map_err(wrong),
            _ => {
                url::plain(text.expose()).map_err(wrong)?;
                Err(wrong(url::not(
                    "expected rpc:// or redis://host/0",
                    text,
                    ["rpc", "redis", "rediss"],
                )))
            }
        }
    }

    /// Sets the prefix of every key in the Redis server of the tasks and results: kombu's and
    /// Celery's `global_keyprefix`.
    pub(crate) fn set_prefix(&mut self, prefix: &str) {
        if let Self::Redis(server) = self {
            server.prefix = prefix.into();
        }
    }

    /// Returns the URL, which no error may show.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Amqp(server) => server.secrets(),
            Self::Redis(server) => server.secrets(),
        }
    }

    /// The message of a run in which the broker did not answer in time.
    pub(crate) const SILENCE: &'static str = "the broker does not answer";

    pub(crate) async fn open(&self) -> Result<Link> {
        Ok(match self {
            Self::Amqp(server) => Link::Amqp(server.open().await?),
            Self::Redis(server) => Link::Redis(server.open().await?),
        })
    }

    /// Sends a task and waits for its end. Returns the worker's answer, if there is one. `results`
    /// is a connection to the Redis server that holds the results. Without it, the broker carries
    /// the answer.
    pub(crate) async fn run(
        &self,
        link: &mut Link,
        results: Option<&mut redis::Results<'_>>,
        task: &Task<'_>,
        max_wait: Duration,
    ) -> Result<Outcome> {
        match (self, link) {
            (Self::Redis(server), Link::Redis(connection)) => {
                redis::run(server, connection, results, task, max_wait).await
            }
            (_, Link::Amqp(connection)) => amqp::run(connection, results, task, max_wait).await,
            _ => Err(not_understood()), // a link is opened by the broker that it is used with
        }
    }

    /// Queries all workers, and collects their answers until `enough` returns `true` or the time is
    /// up.
    pub(crate) async fn broadcast(
        &self,
        link: &mut Link,
        broadcast: &Broadcast,
        wait: Wait<'_>,
    ) -> Result<Replies> {
        match (self, link) {
            (Self::Redis(server), Link::Redis(connection)) => {
                redis::broadcast(server, connection, broadcast, wait).await
            }
            (_, Link::Amqp(connection)) => amqp::broadcast(connection, broadcast, wait).await,
            _ => Err(not_understood()),
        }
    }
}

/// A connection to a broker.
pub(crate) enum Link {
    Amqp(rabbitmq::Connection),
    Redis(redis_server::Connection),
}

impl Link {
    pub(crate) async fn close(self) {
        if let Self::Amqp(connection) = self {
            connection.close().await;
        }
    }
}

pub(crate) use redis::Results;

/// The limits on the wait for answers.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    pub(crate) timeout: Duration,
    /// Returns `true` if no other answer is expected, so that the wait can end early.
    pub(crate) enough: &'a (dyn Fn(&[Reply]) -> bool + Sync),
    /// The queues for which the caller needs to know whether a worker that does not answer holds
    /// them.
    pub(crate) queues: &'a [String],
}

/// The result of a broadcast.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    pub(crate) answers: Vec<Reply>,
    /// `true` if a worker holds its connection to the broker, even if it does not answer.
    pub(crate) is_heard: bool,
    /// Those of the queues in `Wait` that a worker holds.
    pub(crate) held: BTreeSet<String>,
}

/// The outcome of a task.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The worker's answer, with `status` and `result`.
    Answer(Value),
    /// There was no answer in time, although a worker has taken the task or may take it.
    Late,
    /// There is no worker to take the task.
    NoWorker,
}

fn not_understood() -> HealthCheckException {
    let error = ServiceUnavailable::new("Celery answered in a way that is not understood");
    error.with_kind(FailureKind::UnexpectedAnswer).into()
}
