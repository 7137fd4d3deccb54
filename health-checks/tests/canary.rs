//! Tests that no log, at any level and of any client library, holds a password.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "a test may, and uses a part of the harness"
)]

#[path = "servers/harness.rs"]
mod harness;

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use harness::{nobody, password, variable};
use health_checks::config::{Config, Options};
use health_core::Selection;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a check once, and returns the log of that run.
async fn logged(check: &str) -> String {
    LOG.lock().unwrap().clear();
    let text = format!("[settings]\nttl = 0\n[[checks]]\n{check}\ntimeout = 3\n");
    let config = Config::from_text("canary.toml", &text, &|_| None, &Options::default()).unwrap();
    let health = config.build().unwrap();
    let report = health.read(&Selection::default()).await.unwrap();
    assert_eq!(report.checks.len(), 1);
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

/// A fake of one exchange: a Redis, or a proxy before one, that does not know AUTH and quotes its
/// arguments in the error.
async fn without_auth() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut sent = [0; 1024];
                while let Ok(read @ 1..) = stream.read(&mut sent).await {
                    let sent = String::from_utf8_lossy(&sent[..read]);
                    let args = sent
                        .split("\r\n")
                        .filter(|part| !part.starts_with(['*', '$']))
                        .skip(1);
                    let args = args.collect::<Vec<_>>().join("' '");
                    let answer = format!(
                        "-ERR unknown command 'AUTH', with args beginning with: '{args}'\r\n"
                    );
                    let _client_may_have_gone = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    place
}

const WRONG: &str = "c4n4ry-0f-n0-us3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_at_trace_level_holds_a_password() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| ToLog)
        .init();
    let s3 = format!(
        "kind = \"s3\"\nbucket = \"{}\"\nregion = \"us-east-1\"\naccess_key_id = \"{}\"\nsecret_access_key",
        variable("S3_BUCKET"),
        variable("AWS_ACCESS_KEY_ID")
    );
    let s3_url = |url: &str, secret: &str| format!("{s3} = \"{secret}\"\nendpoint_url = \"{url}\"");
    let endpoint = variable("S3_ENDPOINT_URL");
    let secret = variable("AWS_SECRET_ACCESS_KEY");
    let mut leaks = Vec::new();
    let mut logged_by_clients = 0;
    let mut look = async |what: String, check: String, secrets: &[&str]| {
        let log = logged(&check).await;
        logged_by_clients += log
            .lines()
            .filter(|line| !line.contains("health_check"))
            .count();
        for line in log
            .lines()
            .filter(|line| secrets.iter().any(|secret| line.contains(secret)))
        {
            leaks.push(format!("{what}: {}", &line[..line.len().min(300)]));
        }
    };
    for (kind, key, name) in [
        ("database", "url", "POSTGRES_URL"),
        ("database", "url", "MYSQL_URL"),
        ("redis", "url", "REDIS_URL"),
        ("cache", "url", "REDIS_URL"),
        ("rabbitmq", "url", "BROKER_URL"),
        ("celery", "broker_url", "BROKER_URL"),
        ("celery", "broker_url", "CELERY_REDIS_URL"),
        ("celery_ping", "broker_url", "BROKER_URL"),
        ("celery_ping", "broker_url", "CELERY_REDIS_URL"),
        ("mail", "url", "SMTP_URL"),
    ] {
        let url = variable(name);
        let right = password(&url);
        for url in [url.clone(), nobody(&url), url.replace(right, WRONG)] {
            look(
                format!("{kind} {name}"),
                format!("kind = \"{kind}\"\n{key} = \"{url}\""),
                &[right, WRONG],
            )
            .await;
        }
    }
    for (url, key) in [
        (&endpoint, &*secret),
        (&nobody(&endpoint), &*secret),
        (&endpoint, WRONG),
    ] {
        look("s3".into(), s3_url(url, key), &[&secret, WRONG]).await;
    }
    let http = format!(
        "kind = \"http\"\nurl = \"{}/?token={WRONG}\"",
        endpoint.replace("://", &format!("://a:{WRONG}@"))
    );
    look("http".into(), http, &[WRONG]).await;
    for url in [
        format!(
            "{}?password={WRONG}",
            nobody(&variable("POSTGRES_URL")).replace(password(&variable("POSTGRES_URL")), "x")
        ),
        format!("{}?password={WRONG}", variable("POSTGRES_URL")),
    ] {
        look(
            "database, in a parameter".into(),
            format!("kind = \"database\"\nurl = \"{url}\""),
            &[WRONG],
        )
        .await;
    }
    let url = format!("redis://app:{WRONG}@{}", without_auth().await);
    for check in [
        format!("kind = \"redis\"\nurl = \"{url}\""),
        format!("kind = \"cache\"\nurl = \"{url}\""),
        format!("kind = \"celery_ping\"\nbroker_url = \"{url}\""),
    ] {
        look("a server that quotes".into(), check, &[WRONG]).await;
    }
    assert!(
        logged_by_clients > 1000,
        "the clients' own logs are looked at: {logged_by_clients} lines"
    );
    leaks.sort();
    leaks.dedup();
    assert!(
        leaks.is_empty(),
        "{} lines of log hold a password:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
}
