//! Tests `mail` and `tcp` against fakes: servers that greet late, in several lines, or never, and
//! names of which one address is silent.

#![cfg(all(
    feature = "config",
    feature = "mail",
    feature = "tcp",
    feature = "rustls-ring"
))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use health_checks::MailHealthCheck;
use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind, HealthCheck as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Starts a server that sends these lines of its greeting, each after a time, and refuses a client
/// that speaks before the last one. It answers EHLO only if `answers`.
async fn server(greeting: &'static [(u64, &'static str)], answers: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, greeting, answers));
        }
    });
    port
}

async fn serve(stream: TcpStream, greeting: &[(u64, &str)], answers: bool) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    for (after, line) in greeting {
        let pause = tokio::time::sleep(Duration::from_millis(*after));
        tokio::select! {
            () = pause => {}
            _ = stream.fill_buf() => return stream.write_all(b"521 too early\r\n").await,
        }
        stream.write_all(line.as_bytes()).await?;
    }
    if greeting.is_empty() || !answers {
        std::future::pending::<()>().await;
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let answer: &[u8] = match line.get(..4) {
            Some("EHLO") => b"250-mx\r\n250 SIZE 1000\r\n",
            Some("QUIT") => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
        line.clear();
    }
    Ok(())
}

async fn row(keys: &str) -> CheckReport {
    let text = format!("[[checks]]\n{keys}\n");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default());
    let health = health.unwrap().build().unwrap();
    health.report().await.checks[0].clone()
}

async fn mail(port: u16, timeout: &str) -> CheckReport {
    row(&format!(
        "kind = \"mail\"\nurl = \"smtp://127.0.0.1:{port}\"\ntimeout = \"{timeout}\""
    ))
    .await
}

#[tokio::test]
async fn a_greeting_is_read_to_its_end() {
    let late = server(&[(0, "220-mx ESMTP\r\n"), (600, "220 mx ESMTP\r\n")], true).await;
    assert_eq!(mail(late, "3s").await.pretty_status(), "working");
    let default = MailHealthCheck::new("smtp://mail.internal").unwrap();
    assert_eq!(default.default_timeout(), Some(Duration::from_secs(15)));
    assert_eq!(default.default_ttl(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_server_that_has_not_greeted_is_told() {
    let not_greeted =
        "unavailable: the server has not greeted: if it delays its greeting, use a longer timeout";
    let half: &[_] = &[(0, "220-mx ESMTP\r\n"), (60_000, "220 mx ESMTP\r\n")];
    for (greeting, message) in [
        (&[] as &[_], not_greeted),
        (half, not_greeted),
        (
            &[(0, "220 mx ESMTP\r\n")],
            "unavailable: the server does not answer",
        ),
    ] {
        let port = server(greeting, false).await;
        let row = mail(port, "1s").await;
        assert_eq!(row.pretty_status(), message);
        assert_eq!(row.errors[0].kind, FailureKind::TimedOut);
    }
}

/// `localhost` has two addresses, whatever the hosts file says, and a server on one of them.
#[tokio::test]
async fn mail_and_tcp_try_each_address_of_a_name() {
    let port = server(&[(0, "220 mx ESMTP\r\n")], true).await;
    for keys in [
        format!("kind = \"tcp\"\naddress = \"localhost:{port}\""),
        format!("kind = \"mail\"\nurl = \"smtp://localhost:{port}\""),
        format!("kind = \"tcp\"\naddress = \"127.0.0.1:{port}\""),
    ] {
        assert_eq!(row(&keys).await.pretty_status(), "working", "{keys}");
    }
}
