//! No log of any level, of ours or of any client library, holds a password.

#![cfg(all(feature = "embedded", feature = "full"))]
#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test may, and uses a part of the harness")]

#[path = "servers/harness.rs"]
mod harness;

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use harness::{nobody, password, variable};
use health_checks::config::{Config, Options};
use health_core::Selection;
use tracing_subscriber::filter::LevelFilter;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a check once, and returns what was logged meanwhile.
async fn logged(check: &str) -> String {
    LOG.lock().unwrap().clear();
    let text = format!("[settings]\nttl = 0\n[[checks]]\n{check}\ntimeout = 3\n");
    let config = Config::from_text("canary.toml", &text, &|_| None, &Options::default()).unwrap();
    let health = config.build().unwrap();
    let report = health.read(&Selection::default()).await.unwrap();
    assert_eq!(report.checks.len(), 1);
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

const WRONG: &str = "c4n4ry-0f-n0-us3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_at_trace_level_holds_a_password() {
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(|| ToLog).init();
    let s3 = format!(
        "kind = \"s3\"\nbucket = \"{}\"\nregion = \"garage\"\naccess_key_id = \"{}\"\nsecret_access_key",
        variable("S3_BUCKET"),
        variable("AWS_ACCESS_KEY_ID")
    );
    let s3_url = |url: &str, secret: &str| format!("{s3} = \"{secret}\"\nendpoint_url = \"{url}\"");
    let (endpoint, secret) = (variable("S3_ENDPOINT_URL"), variable("AWS_SECRET_ACCESS_KEY"));
    let (mut leaks, mut logged_by_clients) = (Vec::new(), 0);
    let mut look = async |what: String, check: String, secrets: &[&str]| {
        let log = logged(&check).await;
        logged_by_clients += log.lines().filter(|line| !line.contains("health_check")).count();
        for line in log.lines().filter(|line| secrets.iter().any(|secret| line.contains(secret))) {
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
            look(format!("{kind} {name}"), format!("kind = \"{kind}\"\n{key} = \"{url}\""), &[right, WRONG]).await;
        }
    }
    for (url, key) in [(&endpoint, &*secret), (&nobody(&endpoint), &*secret), (&endpoint, WRONG)] {
        look("s3".into(), s3_url(url, key), &[&secret, WRONG]).await;
    }
    let http =
        format!("kind = \"http\"\nurl = \"{}/?token={WRONG}\"", endpoint.replace("://", &format!("://a:{WRONG}@")));
    look("http".into(), http, &[WRONG]).await;
    assert!(logged_by_clients > 1000, "the clients' own logs are looked at: {logged_by_clients} lines");
    leaks.sort();
    leaks.dedup();
    assert!(leaks.is_empty(), "{} lines of log hold a password:\n{}", leaks.len(), leaks.join("\n"));
}
