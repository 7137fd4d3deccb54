//! Celery over Redis.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use health_core::{Result, Secret};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::message::{Broadcast, Task};
use super::{Backend, Outcome, POLL, Patience, Replies, not_understood};
use crate::support::redis::describe;

/// How long the server may take to answer a command; the run's timeout is mostly shorter.
const RESPONSE: Duration = Duration::from_secs(5);

/// The bindings of kombu's exchange for answers.
const BINDING: &str = "_kombu.binding.reply.celery.pidbox";

/// A Redis that is a broker, or keeps results.
#[derive(Clone)]
pub(crate) struct Server {
    client: Arc<Client>,
    database: i64,
    /// Where answers go: the same for each run, so that one which came too late is swept by the next run.
    reply_to: Arc<str>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn from_url(url: &Secret) -> Option<Self> {
        crate::support::tls::ensure_provider();
        let client = Client::open(url.expose()).ok()?;
        let database = client.get_connection_info().redis_settings().db();
        Some(Self { client: Arc::new(client), database, reply_to: Uuid::new_v4().to_string().into() })
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        // The client's own half a second is short for a server that forks or frees a large key.
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE));
        self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(describe)
    }
}

pub(super) async fn run(server: &Server, task: &Task<'_>, backend: &Backend, patience: Duration) -> Result<Outcome> {
    let deadline = Instant::now() + patience;
    let mut connection = server.connect().await?;
    let message = envelope(&Task::body(), &task.headers(), "", task.queue, Some((task, &server.reply_to)));
    let left = LeftBehind::new(&connection);
    let left = left.item(task.queue, &message).key(&server.reply_to);
    redis::cmd("LPUSH").arg(task.queue).arg(&message).exec_async(&mut connection).await.map_err(describe)?;
    let answer = match backend {
        Backend::Redis(server) => result(server, &task.id, deadline).await?,
        Backend::Rpc => own_result(&mut connection, server, &task.id, deadline).await?,
    };
    // Still in the queue: nobody has taken it. It is taken out in any case.
    let untaken = left.clear(&mut connection).await?;
    Ok(match answer {
        Some(answer) => Outcome::Answer(answer),
        None if untaken => Outcome::NoWorker,
        None => Outcome::Late,
    })
}

/// Awaits the result that a worker keeps under the task's id, and forgets it.
pub(super) async fn result(server: &Server, id: &str, deadline: Instant) -> Result<Option<Value>> {
    let mut connection = server.connect().await?;
    let key = format!("celery-task-meta-{id}");
    loop {
        let kept: Option<Vec<u8>> = redis::cmd("GET").arg(&key).query_async(&mut connection).await.map_err(describe)?;
        let answer = kept.map(|kept| serde_json::from_slice(&kept).map_err(|_| not_understood())).transpose()?;
        if let Some(answer) = answer.filter(has_ended) {
            redis::cmd("DEL").arg(&key).exec_async(&mut connection).await.map_err(describe)?;
            return Ok(Some(answer));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(POLL).await;
    }
}

/// Whether a task is over: it may be started, or tried again, before that.
pub(super) fn has_ended(answer: &Value) -> bool {
    matches!(answer["status"].as_str(), Some("SUCCESS" | "FAILURE" | "REVOKED"))
}

/// The worker's answer to this task; answers to earlier ones that came too late are passed over.
async fn own_result(
    connection: &mut MultiplexedConnection,
    server: &Server,
    id: &str,
    deadline: Instant,
) -> Result<Option<Value>> {
    while let Some((_, body)) = pop(connection, &server.reply_to, deadline).await? {
        let answer: Value = serde_json::from_slice(&body).map_err(|_| not_understood())?;
        if has_ended(&answer) && answer["task_id"].as_str() == Some(id) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

pub(super) async fn broadcast(server: &Server, broadcast: &Broadcast, patience: Patience<'_>) -> Result<Replies> {
    let mut connection = server.connect().await?;
    let queue = Broadcast::queue(&server.reply_to);
    let binding = format!("{}\x06\x16\x06\x16{queue}", server.reply_to);
    let left = LeftBehind::new(&connection).member(BINDING, &binding).key(&queue);
    redis::cmd("SADD").arg(BINDING).arg(&binding).exec_async(&mut connection).await.map_err(describe)?;
    let deadline = Instant::now() + patience.timeout;
    let channel = format!("/{}.celery.pidbox", server.database);
    let mut listening = 0;
    for body in broadcast.bodies(&server.reply_to) {
        let message = envelope(&body, &broadcast.headers(), "celery.pidbox", "", None);
        let publish = redis::cmd("PUBLISH").arg(&channel).arg(&message).query_async(&mut connection).await;
        listening = listening.max(publish.map_err(describe)?);
    }
    let all = listening * broadcast.questions.len();
    let mut found = Replies { is_heard: listening > 0, ..Replies::default() };
    while found.answers.len() < all && !(patience.enough)(&found.answers) {
        let Some((ticket, body)) = pop(&mut connection, &queue, deadline).await? else { break };
        found.answers.extend(broadcast.replies(ticket.as_deref(), &body));
    }
    // Redis does not say who takes from which list: any worker that did not answer may.
    let answered = found.answers.iter().filter(|reply| reply.method == "ping").count();
    if answered < listening {
        found.held = patience.queues.iter().cloned().collect();
    }
    left.clear(&mut connection).await?;
    Ok(found)
}

/// The next message of a list, with its ticket; `None` when the time is up.
async fn pop(
    connection: &mut MultiplexedConnection,
    list: &str,
    deadline: Instant,
) -> Result<Option<(Option<String>, Vec<u8>)>> {
    loop {
        let message: Option<Vec<u8>> = redis::cmd("RPOP").arg(list).query_async(connection).await.map_err(describe)?;
        if let Some(message) = message {
            return open(&message).map(Some).ok_or_else(not_understood);
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(POLL).await;
    }
}

/// The ticket and the body in an envelope of kombu's.
fn open(message: &[u8]) -> Option<(Option<String>, Vec<u8>)> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let body = message["body"].as_str()?;
    let body = match message["properties"]["body_encoding"].as_str() {
        Some("base64") => BASE64_STANDARD.decode(body).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    Some((message["headers"]["ticket"].as_str().map(str::to_owned), body))
}

fn envelope(body: &Value, headers: &Value, exchange: &str, key: &str, task: Option<(&Task<'_>, &str)>) -> String {
    let mut properties = json!({
        "delivery_mode": 2, "delivery_info": { "exchange": exchange, "routing_key": key }, "priority": 0,
        "body_encoding": "base64", "delivery_tag": Uuid::new_v4().to_string(),
    });
    if let Some((task, reply_to)) = task {
        properties["correlation_id"] = task.id.as_str().into();
        properties["reply_to"] = reply_to.into();
    }
    let body = BASE64_STANDARD.encode(body.to_string());
    let (kind, encoding) = ("application/json", "utf-8");
    json!({ "body": body, "content-type": kind, "content-encoding": encoding, "headers": headers, "properties": properties })
        .to_string()
}

/// What a run leaves behind on the server; cleared at its end, and by `Drop` when it is interrupted.
struct LeftBehind {
    connection: MultiplexedConnection,
    commands: Option<Pipeline>,
}

impl LeftBehind {
    fn new(connection: &MultiplexedConnection) -> Self {
        Self { connection: connection.clone(), commands: Some(redis::pipe()) }
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

    /// Whether the first of the things was still there.
    async fn clear(mut self, connection: &mut MultiplexedConnection) -> Result<bool> {
        let Some(commands) = self.commands.take() else { return Ok(false) };
        let counts: Vec<i64> = commands.query_async(connection).await.map_err(describe)?;
        Ok(counts.first().is_some_and(|count| *count > 0))
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        if let (Some(commands), Ok(runtime)) = (self.commands.take(), tokio::runtime::Handle::try_current()) {
            let mut connection = self.connection.clone();
            runtime.spawn(async move {
                let _ = commands.exec_async(&mut connection).await; // the client has a timeout of its own
            });
        }
    }
}
