//! Tests a server, which is a fake, whose answer the driver does not survive.

#![cfg(all(feature = "config", feature = "database", feature = "postgres"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use health_checks::config::{Config, Options};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// A request for SASL, and then an error message with an impossible length. The driver panics.
const ANSWER: &[u8] = b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0E\0\0\0\0\0\0\0\0";

#[tokio::test]
async fn a_driver_that_panics_is_an_error_and_connects_once_in_a_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            client.write_all(ANSWER).await.unwrap();
            tokio::spawn(async move { tokio::io::copy(&mut client, &mut tokio::io::sink()).await });
        }
    });
    let check = format!(
        "kind = \"database\"\nurl = \"postgres://a:b@{address}/shop?sslmode=disable\"\ntimeout = 1"
    );
    let text = format!("[[checks]]\n{check}\nttl = 0");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    for run in 1..=3 {
        let report = health.report().await;
        let said = report.checks[0].pretty_status();
        assert_eq!(
            said, "unexpected result: the driver can't read the answer of the server",
            "run {run}"
        );
        assert_eq!(taken.load(Ordering::SeqCst), run, "one connection in a run");
    }
}
