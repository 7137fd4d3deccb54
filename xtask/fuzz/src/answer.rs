//! The answers of servers: each kind that reads one meets a server that sends the input, whatever
//! it is sent.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::time::Duration;

use health_checks::config::{Config, Options};
use health_core::{FailureKind, Health, Report, Selection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::yield_now;

/// A password that no answer has, and no message may show.
const CANARY: &str = "c4n4ry-0f-f0zz";

/// The kinds, each with its keys. `HOST` stands for the address of the server.
const KINDS: [&str; 15] = [
    r#"kind = "redis", url = "redis://:PASSWORD@HOST/0""#,
    r#"kind = "cache", url = "redis://:PASSWORD@HOST/0""#,
    r#"kind = "cache", url = "memcached://HOST""#,
    r#"kind = "celery", broker_url = "redis://:PASSWORD@HOST/0""#,
    r#"kind = "celery_ping", broker_url = "redis://:PASSWORD@HOST/0", queues = ["celery"]"#,
    r#"kind = "rabbitmq", url = "amqp://user:PASSWORD@HOST/""#,
    r#"kind = "celery", broker_url = "amqp://user:PASSWORD@HOST/""#,
    r#"kind = "celery_ping", broker_url = "amqp://user:PASSWORD@HOST/", queues = ["celery"]"#,
    r#"kind = "nats", url = "nats://user:PASSWORD@HOST", jetstream = true"#,
    r#"kind = "kafka", brokers = ["HOST"], topics = ["orders"]"#,
    r#"kind = "database", url = "postgres://user:PASSWORD@HOST/shop?sslmode=disable""#,
    r#"kind = "database", url = "mysql://user:PASSWORD@HOST/shop?ssl-mode=disabled""#,
    r#"kind = "mail", url = "smtp://user:PASSWORD@HOST""#,
    r#"kind = "http", url = "http://HOST/", json = { "/status" = "ok" }, body = "up""#,
    r#"kind = "redis", url = "redis+sentinel://:PASSWORD@HOST/main/0""#,
];

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::start());
}

/// A server that sends the same to each client, and then closes its side.
struct Server {
    runtime: Runtime,
    address: String,
    answer: watch::Sender<Vec<u8>>,
}

impl Server {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (answer, answers) = watch::channel(Vec::new());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(send(client, answers.borrow().clone()));
            }
        });
        Self {
            runtime,
            address,
            answer,
        }
    }

    /// Runs the check of a kind against this answer.
    fn meet(&self, kind: &str, answer: &[u8]) -> Option<Report> {
        self.answer.send_replace(answer.to_vec());
        let keys = kind
            .replace("HOST", &self.address)
            .replace("PASSWORD", CANARY);
        let text = format!("checks = [{{ {keys}, timeout = \"1s\" }}]");
        self.runtime.block_on(async {
            let config = Config::from_text("fuzz.toml", &text, &|_| None, &Options::default());
            let health: Health = config
                .and_then(Config::build)
                .unwrap_or_else(|error| panic!("{error}"));
            let report = health.read(&Selection::default()).await;
            health.shutdown(Duration::from_secs(1)).await;
            yield_now().await;
            report.ok()
        })
    }
}

/// Sends the answer, and reads what the client sends until it closes the connection.
async fn send(mut client: TcpStream, answer: Vec<u8>) {
    if client.write_all(&answer).await.is_ok() && client.shutdown().await.is_ok() {
        let mut ignored = [0; 4096];
        while client.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
    }
}

/// Runs a check, which the first byte chooses, against a server that sends the other bytes.
pub(crate) fn answer(data: &[u8]) {
    let Some((first, answer)) = data.split_first() else {
        return;
    };
    let kind = KINDS[usize::from(*first) % KINDS.len()];
    let report = SERVER
        .with_borrow(|server| server.meet(kind, answer))
        .expect("a report");
    for row in &report.checks {
        for error in &row.errors {
            // sqlx 0.9 panics on packets that end too early, which the engine turns into an error
            // of the row.
            let may_panic = kind.starts_with("kind = \"database\"");
            assert!(
                may_panic || error.kind != FailureKind::Panicked,
                "{kind}: {error}"
            );
            assert!(
                !error.message.contains(CANARY),
                "{kind}: the message shows a password"
            );
            assert!(
                !error.message.chars().any(char::is_control),
                "{kind}: {:?}",
                error.message
            );
            assert!(
                error.message.chars().count() < 1000,
                "{kind}: {:?}",
                error.message
            );
        }
    }
}
