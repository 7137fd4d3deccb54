//! Tests `grpc` against a fake of one exchange: a proxy that answers in the place of its server, by
//! HTTP alone.

#![cfg(all(feature = "config", feature = "grpc", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind, Health};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Starts a proxy that answers each request like this. Returns a check of it, and the number of its
/// connections.
async fn proxy(status: u16, content_type: &'static str) -> (Health, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let answer = move |_: Request<Incoming>| async move {
        let answer = Response::builder().status(status);
        let answer = answer.header("content-type", content_type);
        Ok::<_, Infallible>(answer.body("<html>Bad Gateway</html>".to_owned()).unwrap())
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    let text = format!(
        "[settings]\nttl = 0\n[[checks]]\nkind = \"grpc\"\nurl = \"grpc://127.0.0.1:{port}\"\n"
    );
    let config = Config::from_text("health.toml", &text, &|_| None, &Options::default());
    (config.unwrap().build().unwrap(), connections)
}

async fn row(health: &Health) -> CheckReport {
    health.report().await.checks[0].clone()
}

#[tokio::test]
async fn the_answer_of_a_proxy_is_not_that_of_the_server() {
    for (status, message, kind) in [
        (429, "the proxy answered 429", FailureKind::Lost),
        (502, "the proxy answered 502", FailureKind::Lost),
        (503, "the proxy answered 503", FailureKind::Lost),
        (504, "the proxy answered 504", FailureKind::Lost),
        (
            401,
            "the server answered UNAUTHENTICATED: it wants other metadata",
            FailureKind::Authentication,
        ),
        (
            403,
            "the server answered PERMISSION_DENIED",
            FailureKind::Forbidden,
        ),
        (
            404,
            "the server has no gRPC health service",
            FailureKind::NotFound,
        ),
        (
            200,
            "what answers there does not speak gRPC",
            FailureKind::Misconfigured,
        ),
    ] {
        let (health, connections) = proxy(status, "text/html").await;
        for _ in 0..3 {
            let row = row(&health).await;
            let error = &row.errors[0];
            assert_eq!(error.message, message, "{status}");
            assert_eq!(error.kind, kind, "{status}");
        }
        // An answer proves that the connection works.
        assert_eq!(connections.load(Ordering::Relaxed), 1, "{status}");
    }
}

/// Starts a fake of a proxy that has one virtual host, and answers 404 for all others.
async fn virtual_host(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |request: Request<Incoming>| async move {
        let is_there = request.uri().authority().is_some_and(|it| it == name);
        assert!(!request.headers().contains_key("host"));
        // An uncompressed message of two bytes: SERVING.
        let body = "\0\0\0\0\x02\x08\x01".to_owned();
        let answer = Response::builder().header("content-type", "application/grpc");
        let answer = answer.header("grpc-status", "0");
        let answer = answer.status(if is_there { 200 } else { 404 });
        Ok::<_, Infallible>(answer.body(body).unwrap())
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    port
}

#[tokio::test]
async fn the_authority_of_a_grpc_check_chooses_the_virtual_host() {
    let port = virtual_host("stock.internal").await;
    let check = |keys: &str| {
        let text =
            format!("[[checks]]\nkind = \"grpc\"\nurl = \"grpc://127.0.0.1:{port}\"\n{keys}\n");
        Config::from_text("health.toml", &text, &|_| None, &Options::default())
    };
    for (keys, message) in [
        ("authority = \"stock.internal\"", "working"),
        ("", "unavailable: the server has no gRPC health service"),
        (
            "authority = \"other.internal\"",
            "unavailable: the server has no gRPC health service",
        ),
    ] {
        let health = check(keys).unwrap().build().unwrap();
        assert_eq!(row(&health).await.pretty_status(), message, "{keys}");
    }
    for (keys, message) in [
        ("authority = \"\"", "checks[1].authority: expected a host"),
        (
            "authority = \"a b\"",
            "checks[1].authority: expected a host",
        ),
        (
            "authority = \"u@stock\"",
            "checks[1].authority: expected a host",
        ),
        (
            "authority = \"http://stock/\"",
            "checks[1].authority: expected a host",
        ),
        (
            "metadata = { Host = \"stock.internal\" }",
            "checks[1].metadata: the host is no metadata: use the key authority",
        ),
        (
            "metadata = { \":authority\" = \"stock.internal\" }",
            "checks[1].metadata: the host is no metadata: use the key authority",
        ),
    ] {
        let error = check(keys).unwrap_err().to_string();
        assert!(error.contains(message), "{keys}: {error}");
    }
}
