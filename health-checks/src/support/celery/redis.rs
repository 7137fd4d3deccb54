//! Celery over Redis.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use health_core::{Result, Secret, cleanup};
use redis::Pipeline;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::message::{Broadcast, Task};
use super::{Outcome, POLL, Replies, Wait, not_understood};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::redis::{Connection, Server as Address, describe};

/// The longest that workers may take to say which queues they hold.
const ASKING: Duration = Duration::from_millis(500);

/// The longest that cleaning up after an interrupted run may take.
const CLEARING: Duration = Duration::from_secs(2);

/// A Redis server that is a broker, or that holds results.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    address: Address,
    /// The prefix of every key.
    pub(super) prefix: Arc<str>,
    /// The name of the list for answers. It is the same in each run, so that the next run removes
    /// an answer that came too late.
    reply_to: Arc<str>,
}

impl Server {
    pub(super) fn from_url(url: &Secret) -> Result<Self, Misconfigured> {
        let address = Address::from_url(url)?;
        Ok(Self {
            address,
            prefix: "".into(),
            reply_to: Uuid::new_v4().to_string().into(),
        })
    }

    pub(crate) fn over(self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        Ok(Self {
            address: self.address.over(tls)?,
            ..self
        })
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.address.secrets()
    }

    pub(crate) async fn open(&self) -> Result<Connection> {
        self.address.open().await
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Results that workers store in a Redis server.
pub(crate) struct Results<'c> {
    pub(crate) connection: &'c mut Connection,
    pub(crate) prefix: &'c str,
}

impl Results<'_> {
    /// Waits for the result that a worker stores under the task's ID, and deletes it.
    pub(super) async fn wait_for(&mut self, id: &str, deadline: Instant) -> Result<Option<Value>> {
        // Celery inserts `_` after a prefix, unless the prefix ends with a separator. The broker's
        // prefix need not be that of the results, so the name without a prefix is tried as well.
        let is_parted = self.prefix.is_empty() || self.prefix.ends_with([':', '_', '-', '.']);
        let prefix = if is_parted {
            self.prefix.to_owned()
        } else {
            format!("{}_", self.prefix)
        };
        let mut keys = vec![format!("{prefix}celery-task-meta-{id}")];
        if !prefix.is_empty() {
            keys.push(format!("celery-task-meta-{id}"));
        }
        let client = &mut self.connection.client;
        loop {
            for key in &keys {
                let kept: Option<Vec<u8>> = redis::cmd("GET")
                    .arg(key)
                    .query_async(client)
                    .await
                    .map_err(describe)?;
                let answer = kept
                    .map(|kept| serde_json::from_slice(&kept).map_err(|_| not_understood()))
                    .transpose()?;
                if let Some(answer) = answer.filter(has_ended) {
                    redis::cmd("DEL")
                        .arg(key)
                        .exec_async(client)
                        .await
                        .map_err(describe)?;
                    return Ok(Some(answer));
                }
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(POLL).await;
        }
    }
}

pub(super) async fn run(
    server: &Server,
    connection: &mut Connection,
    results: Option<&mut Results<'_>>,
    task: &Task<'_>,
    max_wait: Duration,
) -> Result<Outcome> {
    let deadline = Instant::now() + max_wait;
    let message = envelope(
        &Task::body(),
        &task.headers(),
        "",
        task.queue,
        Some((task, &server.reply_to)),
    );
    let queue = server.key(task.queue);
    let answers = server.key(&server.reply_to);
    let left = LeftBehind::new(connection)
        .item(&queue, &message)
        .key(&answers);
    redis::cmd("LPUSH")
        .arg(&queue)
        .arg(&message)
        .exec_async(&mut connection.client)
        .await
        .map_err(describe)?;
    let answer = match results {
        Some(results) => results.wait_for(&task.id, deadline).await?,
        None => own_result(connection, &answers, &task.id, deadline).await?,
    };
    // A task that is still in the queue was not taken by any worker. It is removed in any case.
    let untaken = left.clear(connection).await?;
    Ok(match answer {
        Some(answer) => Outcome::Answer(answer),
        None if untaken && !may_be_served(server, connection, task.queue).await? => {
            Outcome::NoWorker
        }
        None => Outcome::Late,
    })
}

/// Returns `true` if a worker holds a queue, or may hold it: a busy worker does not answer, and
/// Redis only knows the number of subscribers.
async fn may_be_served(server: &Server, connection: &mut Connection, queue: &str) -> Result<bool> {
    let question = Broadcast::new(&["active_queues"], ASKING, super::CONTROL);
    let enough = |replies: &[super::Reply]| replies.iter().any(|reply| reply.serves(queue));
    let wait = Wait {
        timeout: ASKING,
        enough: &enough,
        queues: &[queue.to_owned()],
    };
    let found = broadcast(server, connection, &question, wait).await?;
    Ok(enough(&found.answers) || !found.held.is_empty())
}

/// Returns `true` if a task is over. An earlier answer may say that the task was started or is
/// retried.
pub(super) fn has_ended(answer: &Value) -> bool {
    matches!(
        answer["status"].as_str(),
        Some("SUCCESS" | "FAILURE" | "REVOKED")
    )
}

/// Returns the worker's answer to this task. Skips answers to earlier tasks that came too late.
async fn own_result(
    connection: &mut Connection,
    list: &str,
    id: &str,
    deadline: Instant,
) -> Result<Option<Value>> {
    while let Some((_, body)) = pop(connection, list, deadline).await? {
        let answer: Value = serde_json::from_slice(&body).map_err(|_| not_understood())?;
        if has_ended(&answer) && answer["task_id"].as_str() == Some(id) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

pub(super) async fn broadcast(
    server: &Server,
    connection: &mut Connection,
    broadcast: &Broadcast,
    wait: Wait<'_>,
) -> Result<Replies> {
    let queue = broadcast.queue(&server.reply_to);
    let bindings = server.key(&format!("_kombu.binding.{}", broadcast.replies_to()));
    let binding = format!("{}\x06\x16\x06\x16{queue}", server.reply_to);
    let answers = server.key(&queue);
    let left = LeftBehind::new(connection)
        .member(&bindings, &binding)
        .key(&answers);
    redis::cmd("SADD")
        .arg(&bindings)
        .arg(&binding)
        .exec_async(&mut connection.client)
        .await
        .map_err(describe)?;
    let deadline = Instant::now() + wait.timeout;
    let channel = server.key(&format!(
        "/{}.{}",
        server.address.database(),
        broadcast.exchange()
    ));
    let mut listening = 0;
    for body in broadcast.bodies(&server.reply_to) {
        let message = envelope(&body, &broadcast.headers(), &broadcast.exchange(), "", None);
        let publish = redis::cmd("PUBLISH")
            .arg(&channel)
            .arg(&message)
            .query_async(&mut connection.client)
            .await;
        listening = listening.max(publish.map_err(describe)?);
    }
    let all = listening * broadcast.questions.len();
    let mut found = Replies {
        is_heard: listening > 0,
        ..Replies::default()
    };
    while found.answers.len() < all && !(wait.enough)(&found.answers) {
        let Some((ticket, body)) = pop(connection, &answers, deadline).await? else {
            break;
        };
        found
            .answers
            .extend(broadcast.replies(ticket.as_deref(), &body));
    }
    // Redis does not say which worker reads from which list, so any worker that did not answer may
    // hold these queues.
    let first = broadcast.questions.first().map(|(method, _)| *method);
    let answered = found
        .answers
        .iter()
        .filter(|reply| Some(reply.method) == first)
        .count();
    if answered < listening {
        found.held = wait.queues.iter().cloned().collect();
    }
    left.clear(connection).await?;
    Ok(found)
}

/// Returns the next message of a list with its ticket, or `None` when the time is up.
async fn pop(
    connection: &mut Connection,
    list: &str,
    deadline: Instant,
) -> Result<Option<(Option<String>, Vec<u8>)>> {
    loop {
        let pop = redis::cmd("RPOP")
            .arg(list)
            .query_async(&mut connection.client)
            .await;
        let message: Option<Vec<u8>> = pop.map_err(describe)?;
        if let Some(message) = message {
            return open(&message).map(Some).ok_or_else(not_understood);
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(POLL).await;
    }
}

/// Returns the ticket and the body of a message in kombu's envelope.
fn open(message: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let body = message["body"].as_str()?;
    let body = match message["properties"]["body_encoding"].as_str() {
        Some("base64") => BASE64_STANDARD.decode(body).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    Some((
        message["headers"]["ticket"].as_str().map(str::to_owned),
        body,
    ))
}

fn envelope(
    body: &Value,
    headers: &Value,
    exchange: &str,
    key: &str,
    task: Option<(&Task<'_>, &str)>,
) -> String {
    let mut properties = json!({
        "delivery_mode": 2, "delivery_info": { "exchange": exchange, "routing_key": key }, "priority": 0,
        "body_encoding": "base64", "delivery_tag": Uuid::new_v4().to_string(),
    });
    if let Some((task, reply_to)) = task {
        properties["correlation_id"] = task.id.as_str().into();
        properties["reply_to"] = reply_to.into();
    }
    let body = BASE64_STANDARD.encode(body.to_string());
    let kind = "application/json";
    let encoding = "utf-8";
    json!({ "body": body, "content-type": kind, "content-encoding": encoding, "headers": headers, "properties": properties })
        .to_string()
}

/// The entries that a run leaves on the server. They are removed at the end of the run, or by
/// `Drop` if the run is interrupted.
struct LeftBehind {
    connection: Connection,
    commands: Option<Pipeline>,
}

impl LeftBehind {
    fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            commands: Some(redis::pipe()),
        }
    }

    fn item(self, list: &str, item: &str) -> Self {
        self.and(redis::cmd("LREM").arg(list).arg(1).arg(item))
    }

    fn member(self, set: &str, member: &str) -> Self {
        self.and(redis::cmd("SREM").arg(set).arg(member))
    }

    fn key(self, key: &str) -> Self {
        self.and(redis::cmd("DEL").arg(key))
    }

    fn and(mut self, command: &redis::Cmd) -> Self {
        if let Some(commands) = &mut self.commands {
            commands.add_command(command.clone());
        }
        self
    }

    /// Removes the entries. Returns `true` if the first of them still existed.
    async fn clear(mut self, connection: &mut Connection) -> Result<bool> {
        let Some(commands) = self.commands.take() else {
            return Ok(false);
        };
        let counts: Vec<i64> = commands
            .query_async(&mut connection.client)
            .await
            .map_err(describe)?;
        Ok(counts.first().is_some_and(|count| *count > 0))
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.take() {
            let connection = self.connection.clone();
            cleanup(async move {
                let mut connection = connection; // moves all of it, because moving a part would end its driver
                let _ = timeout(CLEARING, commands.exec_async(&mut connection.client)).await; // the server may be gone
            });
        }
    }
}
