//! Celery's protocol, as far as two checks need it: sending a task and awaiting its result, and asking all workers.
//!
//! [Task messages, version 2](https://docs.celeryq.dev/en/stable/internals/protocol.html); kombu's pidbox for broadcasts.

mod amqp;
mod message;
mod redis;

use std::collections::BTreeSet;
use std::time::Duration;

use health_core::{Findings, HealthCheckException, Result, Secret, ServiceUnavailable};
use lapin::uri::AMQPUri;
use serde_json::Value;

use crate::kind::Misconfigured;
pub(crate) use message::{Broadcast, Reply, Task};

/// How often something that can only be polled is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Where tasks and broadcasts go.
#[derive(Debug, Clone)]
pub(crate) enum Broker {
    Amqp(crate::support::amqp::Server),
    Redis(redis::Server),
}

/// Where results come from.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// `rpc://`: the broker itself.
    Rpc,
    Redis(redis::Server),
}

impl Broker {
    pub(crate) fn from_url(url: &Secret) -> Result<Self, Misconfigured> {
        let expected =
            || Misconfigured::new("broker_url", "expected amqp://user:password@host/vhost or redis://host/0");
        match url.expose().split(':').next().unwrap_or_default() {
            "amqp" | "amqps" if url.expose().parse::<AMQPUri>().is_ok() => {
                Ok(Self::Amqp(crate::support::amqp::Server::new(url.clone())))
            }
            "redis" | "rediss" => redis::Server::from_url(url).map(Self::Redis).ok_or_else(expected),
            _ => Err(expected()),
        }
    }

    /// The backend of a URL; without one, `rpc://` for RabbitMQ and the broker itself for Redis.
    pub(crate) fn backend(&self, url: Option<&Secret>) -> Result<Backend, Misconfigured> {
        let expected = || Misconfigured::new("result_backend", "expected rpc:// or redis://host/0");
        match (url.map(Secret::expose), self) {
            (None, Self::Amqp(_)) => Ok(Backend::Rpc),
            (None, Self::Redis(server)) => Ok(Backend::Redis(server.clone())),
            (Some(text), _) if text.starts_with("rpc:") => Ok(Backend::Rpc),
            (Some(text), _) if text.starts_with("redis:") || text.starts_with("rediss:") => {
                url.and_then(redis::Server::from_url).map(Backend::Redis).ok_or_else(expected)
            }
            (Some(_), _) => Err(expected()),
        }
    }

    /// Sends a task and awaits its end: the status and the result of the worker's answer.
    pub(crate) async fn run(
        &self,
        task: &Task<'_>,
        backend: &Backend,
        patience: Duration,
        findings: &Findings,
    ) -> Result<Outcome> {
        match self {
            Self::Amqp(server) => amqp::run(server, task, backend, patience, findings).await,
            Self::Redis(server) => redis::run(server, task, backend, patience).await,
        }
    }

    /// Asks all workers, and collects their answers until `enough` of them or the time is up.
    pub(crate) async fn broadcast(
        &self,
        broadcast: &Broadcast,
        patience: Patience<'_>,
        findings: &Findings,
    ) -> Result<Replies> {
        match self {
            Self::Amqp(server) => amqp::broadcast(server, broadcast, patience, findings).await,
            Self::Redis(server) => redis::broadcast(server, broadcast, patience).await,
        }
    }
}

/// How long answers are waited for.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) timeout: Duration,
    /// Whether no other answer is to be expected, so that the rest of the time need not be waited for.
    pub(crate) enough: &'a (dyn Fn(&[Reply]) -> bool + Sync),
    /// Queues of which it matters whether a worker holds them that does not answer.
    pub(crate) queues: &'a [String],
}

/// What a broadcast has brought.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    pub(crate) answers: Vec<Reply>,
    /// Whether a worker holds its connection to the broker, though it may not answer.
    pub(crate) is_heard: bool,
    /// The queues that a worker holds, as far as they were asked for.
    pub(crate) held: BTreeSet<String>,
}

/// How a task ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The worker's answer: `status`, `result`.
    Answer(Value),
    /// No answer in time, though somebody has taken the task or may take it.
    Late,
    /// Nobody is there to take it.
    NoWorker,
}

fn not_understood() -> HealthCheckException {
    ServiceUnavailable::new("Celery answered in a way that is not understood").into()
}
