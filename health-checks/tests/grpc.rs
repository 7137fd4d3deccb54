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
