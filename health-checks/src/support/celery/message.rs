//! The messages of Celery, independent of the broker that carries them.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A task that adds 4 and 4.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) id: String,
    pub(crate) name: &'a str,
    pub(crate) queue: &'a str,
    /// The longest that the task may wait in its queue. After that, a worker revokes it.
    pub(crate) expires_in: Duration,
}

impl<'a> Task<'a> {
    pub(crate) fn new(name: &'a str, queue: &'a str, expires_in: Duration) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            name,
            queue,
            expires_in,
        }
    }

    /// Returns the headers, which hold everything that a worker needs to know in version 2 of the
    /// protocol.
    pub(crate) fn headers(&self) -> Value {
        let expires =
            humantime::format_rfc3339_micros(SystemTime::now() + self.expires_in).to_string();
        json!({
            "lang": "py", "task": self.name, "id": self.id, "root_id": self.id, "parent_id": null, "group": null,
            "group_index": null, "shadow": null, "eta": null, "expires": expires.replace('Z', "+00:00"), "retries": 0,
            "timelimit": [null, null], "argsrepr": "(4, 4)", "kwargsrepr": "{}", "origin": "health-check",
            "ignore_result": false, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {},
        })
    }

    pub(crate) fn body() -> Value {
        json!([[4, 4], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])
    }
}

/// Queries to all workers. Each has a ticket that identifies its answers.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(crate) expires_in: Duration,
    /// Celery's setting `control_exchange`.
    pub(crate) control: String,
    /// The method and the ticket of each query.
    pub(crate) questions: Vec<(&'static str, String)>,
}

impl Broadcast {
    pub(crate) fn new(methods: &[&'static str], expires_in: Duration, control: &str) -> Self {
        let questions = methods
            .iter()
            .map(|method| (*method, Uuid::new_v4().to_string()))
            .collect();
        Self {
            expires_in,
            control: control.to_owned(),
            questions,
        }
    }

    /// Returns the name of the exchange that the workers listen to.
    pub(crate) fn exchange(&self) -> String {
        format!("{}.pidbox", self.control)
    }

    /// Returns the name of the exchange of the answers.
    pub(crate) fn replies_to(&self) -> String {
        format!("reply.{}.pidbox", self.control)
    }

    /// Returns the name of the queue of the answers.
    pub(crate) fn queue(&self, reply_to: &str) -> String {
        format!("{reply_to}.{}", self.replies_to())
    }

    pub(crate) fn headers(&self) -> Value {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        json!({ "clock": 1, "expires": (now + self.expires_in).as_secs_f64() })
    }

    pub(crate) fn bodies(&self, reply_to: &str) -> impl Iterator<Item = Value> {
        self.questions.iter().map(move |(method, ticket)| {
            json!({
                "method": method, "arguments": {}, "destination": null, "pattern": null, "matcher": null,
                "ticket": ticket,
                "reply_to": { "exchange": self.replies_to(), "routing_key": reply_to },
            })
        })
    }

    /// Returns the answers in a message, each with its worker and the method that it answers.
    pub(crate) fn replies(&self, ticket: Option<&str>, body: &[u8]) -> Vec<Reply> {
        let method = self
            .questions
            .iter()
            .find(|(_, known)| Some(known.as_str()) == ticket)
            .map(|(method, _)| *method);
        let workers: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
        let (Some(method), Some(workers)) = (method, workers) else {
            return Vec::new();
        };
        workers
            .into_iter()
            .map(|(worker, answer)| Reply {
                worker,
                method,
                answer,
            })
            .collect()
    }
}

/// An answer of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) worker: String,
    pub(crate) method: &'static str,
    pub(crate) answer: Value,
}

impl Reply {
    /// Returns `true` if the answer says that its worker holds this queue.
    pub(crate) fn serves(&self, queue: &str) -> bool {
        self.method == "active_queues" && self.queues().any(|held| held == queue)
    }

    /// Returns the queues that the worker holds.
    pub(crate) fn queues(&self) -> impl Iterator<Item = &str> {
        let queues = self
            .answer
            .as_array()
            .filter(|_| self.method == "active_queues")
            .into_iter()
            .flatten();
        queues.filter_map(|queue| queue.get("name").and_then(Value::as_str))
    }
}
