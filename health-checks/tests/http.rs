//! Tests `http` against servers that misbehave. Each is a fake of one exchange.

#![cfg(all(feature = "config", feature = "dns", feature = "http"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, Mutex};

use health_checks::config::{Config, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers every request with this response, and keeps the requests.
async fn answering(answer: Vec<u8>) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let keep = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&keep);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            kept.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
            let _ = stream.write_all(&answer).await;
        }
    });
    (url, keep)
}

async fn says(keys: &str) -> String {
    let text = format!("[[checks]]\nkind = \"http\"\n{keys}");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    health.report().await.checks[0].pretty_status()
}

fn refused(keys: &str) -> String {
    let text = format!("[[checks]]\n{keys}");
    Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap_err()
        .to_string()
}

fn ok(body: &[u8], headers: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn the_request_is_what_the_keys_say() {
    let (url, asked) = answering(ok(b"created", "")).await;
    let keys = format!(
        "url = \"{url}\"\nmethod = \"post\"\nbody = \"{{}}\"\nheaders = {{ Host = \"shop.test\", X-Key = \"hunter2\" }}"
    );
    assert_eq!(says(&keys).await, "working");
    let asked = asked.lock().unwrap().to_lowercase();
    for part in [
        "post / http/1.1\r\n",
        "host: shop.test\r\n",
        "x-key: hunter2\r\n",
        "\r\n\r\n{}",
    ] {
        assert!(asked.contains(part), "{asked} lacks {part}");
    }
    assert_eq!(asked.matches("host: ").count(), 1);
}

#[test]
fn what_is_no_part_of_a_request_is_refused_without_its_value() {
    for (keys, part) in [
        (
            "method = \"FETCH hunter2\"",
            "checks[1].method: expected a method: GET",
        ),
        (
            "headers = { \"a b\" = \"hunter2\" }",
            "checks[1].headers: expected names of headers",
        ),
        (
            "headers = { X-Key = \"hunter2\\n\" }",
            "checks[1].headers: x-key: expected a value without line breaks",
        ),
    ] {
        let error = refused(&format!("kind = \"http\"\nurl = \"http://a/\"\n{keys}"));
        assert!(
            error.contains(part) && !error.contains("hunter2"),
            "{error}"
        );
    }
    let error = refused("kind = \"dns\"\nhostname = \"127.0.0.1\"");
    assert!(
        error.contains(
            "checks[1].hostname: expected a name: no name server is asked for an address"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_compressed_body_is_read() {
    // `all is well`, compressed with gzip.
    let body = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 75, 204, 201, 81, 200, 44, 86, 40, 79, 205, 201, 1, 0,
        103, 205, 198, 21, 11, 0, 0, 0,
    ];
    let (url, _) = answering(ok(&body, "content-encoding: gzip\r\n")).await;
    assert_eq!(
        says(&format!("url = \"{url}\"\ncontains = \"is well\"")).await,
        "working"
    );
}

#[tokio::test]
async fn a_body_without_end_is_looked_at_for_as_long_as_a_real_one() {
    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    answer.extend(b"1\r\nx\r\n".repeat(200_000));
    let (url, _) = answering(answer).await;
    let said = says(&format!("url = \"{url}\"\ncontains = \"zzz\"")).await;
    assert_eq!(
        said,
        "unexpected result: the body does not contain what it should"
    );
}

/// The text may span two pieces.
#[tokio::test]
async fn what_is_looked_for_may_come_in_pieces() {
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nall i\r\n6\r\ns well\r\n0\r\n\r\n";
    let (url, _) = answering(answer.to_vec()).await;
    assert_eq!(
        says(&format!("url = \"{url}\"\ncontains = \"l is w\"")).await,
        "working"
    );
    assert_eq!(
        says(&format!("url = \"{url}\"\ncontains = \"\"")).await,
        "working"
    );
}

#[tokio::test]
async fn values_of_a_body_in_json_are_compared() {
    let body =
        br#"{"status": "ok", "queue": {"depth": 3, "names": ["a", "b/c"]}, "ratio": 1.0, "on": true, "none": null}"#;
    let (url, _) = answering(ok(body, "content-type: application/json\r\n")).await;
    let with = |json: &str| format!("url = \"{url}\"\njson = {json}");
    for (json, said) in [
        (
            r#"{ "/status" = "ok", "/queue/depth" = 3, "/queue/names/1" = "b/c", "/ratio" = 1, "/on" = true }"#,
            "working",
        ),
        (r#"{ "/queue/names" = ["a", "b/c"] }"#, "working"),
        (
            r#"{ "/status" = "OK" }"#,
            "unexpected result: the body does not have at \"/status\" what it should",
        ),
        (
            r#"{ "/queue/depth" = "3" }"#,
            "unexpected result: the body does not have at \"/queue/depth\" what it should",
        ),
        (
            r#"{ "/nothing" = 1 }"#,
            "unexpected result: the body does not have at \"/nothing\" what it should",
        ),
    ] {
        assert_eq!(says(&with(json)).await, said, "{json}");
    }
    let (url, _) = answering(ok(b"<html>", "")).await;
    let keys = format!("url = \"{url}\"\njson = {{ \"/status\" = \"ok\" }}");
    assert_eq!(says(&keys).await, "unexpected result: the body is not JSON");
    let long = format!("{{\"status\": \"{}\"}}", "o".repeat(1024 * 1024));
    let (url, _) = answering(ok(long.as_bytes(), "")).await;
    let keys = format!("url = \"{url}\"\njson = {{ \"/status\" = \"ok\" }}");
    assert_eq!(
        says(&keys).await,
        "unexpected result: the body is longer than 1 MB"
    );
    let wrong = refused("kind = \"http\"\nurl = \"http://a/\"\njson = { status = \"ok\" }");
    assert!(
        wrong.contains("checks[1].json: expected JSON pointers"),
        "{wrong}"
    );
}

#[test]
fn what_no_body_can_have_is_refused_by_name() {
    for (keys, message) in [
        (
            "method = \"HEAD\"\ncontains = \"a\"",
            "checks[1].contains: a response to HEAD has no body",
        ),
        (
            "method = \"HEAD\"\njson = { \"/a\" = 1 }",
            "checks[1].json: a response to HEAD has no body",
        ),
        (
            "json = { \"/since\" = 2026-01-01 }",
            "checks[1].json: a date of TOML",
        ),
    ] {
        let wrong = refused(&format!("kind = \"http\"\nurl = \"http://a/\"\n{keys}"));
        assert!(wrong.contains(message), "{wrong}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_a_warning() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _request = stream.read(&mut buffer).await;
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            let _ = stream.write_all(&ok(b"", "")).await;
        }
    });
    assert_eq!(
        says(&format!("url = \"{url}\"\nlatency_max = \"5s\"")).await,
        "working"
    );
    let slow = says(&format!("url = \"{url}\"\nlatency_max = \"100ms\"")).await;
    assert!(
        slow.starts_with("warning: answered in 0.") && slow.ends_with(" s, and the limit is 0.1 s"),
        "{slow}"
    );
    assert!(
        refused("kind = \"http\"\nurl = \"http://a/\"\nlatency_max = 0")
            .contains("checks[1].latency_max: expected more than 0")
    );
}
