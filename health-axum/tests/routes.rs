//! The adapter beside an application's own routes, in process and over a real socket.

#![allow(clippy::unwrap_used, reason = "a test may")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response};
use axum::routing::get;
use health_core::{Endpoint, Health, ServiceUnavailable, check_fn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

fn health() -> Health {
    Health::builder()
        .check(check_fn("cache", || async { Ok(()) }))
        .check(check_fn("queue", || async { Err(ServiceUnavailable::new("connection refused").into()) }))
        .build()
        .unwrap()
}

/// An application with a state and routes of its own.
fn app(path: &str, health: Health) -> Router {
    let own = Router::new()
        .route("/", get(|State(name): State<String>| async { name }))
        .route("/orders/{id}", get(|| async { "an order" }));
    own.merge(health_axum::routes(path, health)).with_state("shop".to_owned())
}

fn request(method: &str, uri: &str) -> Request<Body> {
    Request::builder().method(method).uri(uri).header("accept", "application/json").body(Body::empty()).unwrap()
}

async fn bytes(response: Response<Body>) -> Vec<u8> {
    to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()
}

#[tokio::test]
async fn it_answers_as_the_endpoint_does() {
    let health = health();
    let endpoint = Endpoint::new("/ht/", health.clone());
    let app = app("/ht/", health);
    for uri in
        ["/ht/", "/ht", "/ht/live/", "/ht/ready", "/ht/nowhere/", "/ht/a/b/", "/ht/?format=text", "/ht/?format=x"]
    {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "PROPFIND"] {
            let expected = endpoint.respond(&request(method, uri)).await;
            let answer = app.clone().oneshot(request(method, uri)).await.unwrap();
            assert_eq!(answer.status(), expected.status(), "{method} {uri}");
            for (name, value) in expected.headers() {
                if name != "expires" {
                    assert_eq!(answer.headers().get(name), Some(value), "{method} {uri}: {name}");
                }
            }
            assert_eq!(answer.headers().len(), expected.headers().len(), "{method} {uri}");
            assert_eq!(bytes(answer).await, *expected.body(), "{method} {uri}");
        }
    }
}

#[tokio::test]
async fn the_applications_own_routes_stay_its_own() {
    let app = app("/ht/", health());
    for (uri, status) in [("/", 200), ("/orders/7", 200), ("/htx", 404), ("/nowhere", 404)] {
        let answer = app.clone().oneshot(request("GET", uri)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{uri}");
    }
}

#[tokio::test]
async fn it_mounts_at_the_root_nested_and_twice() {
    let root: Router = health_axum::routes("/", health());
    let odd: Router = health_axum::routes("/:x{y}", health());
    let nested: Router = Router::new().nest("/internal", health_axum::routes("/ht/", health()));
    let twice = app("/ht/", health()).merge(health_axum::routes("/other/", health()));
    for (app, uri) in [
        (&odd, "/:x%7By%7D/ready"),
        (&root, "/"),
        (&root, "/ready/"),
        (&nested, "/internal/ht/"),
        (&nested, "/internal/ht"),
        (&twice, "/ht/"),
        (&twice, "/other/ready"),
    ] {
        assert_eq!(app.clone().oneshot(request("GET", uri)).await.unwrap().status(), 500, "{uri}");
    }
}

/// What a socket answers to raw requests, all on one connection.
async fn over_a_socket(requests: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app("/ht/", health())).await });
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(requests.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

#[tokio::test]
async fn over_a_real_socket() {
    let json = "{\"cache\": \"working\", \"queue\": \"unavailable: connection refused\"}";
    let answer = over_a_socket(
        "HEAD /ht/?format=json HTTP/1.1\r\nHost: a\r\n\r\n\
         OPTIONS /ht/?format=json HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /ht/?format=json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let answers: Vec<_> = answer.split("HTTP/1.1 ").skip(1).collect();
    let [head, options, get] = answers[..] else { panic!("not three answers: {answer}") };
    let length = format!("content-length: {}\r\n", json.len());
    assert!(head.starts_with("500 ") && head.contains(&length) && head.ends_with("\r\n\r\n"), "{head}");
    assert!(options.starts_with("500 ") && options.contains("content-length: 0\r\n"), "{options}");
    assert!(options.contains("allow: GET, HEAD, OPTIONS\r\n") && options.ends_with("\r\n\r\n"), "{options}");
    assert!(get.starts_with("500 ") && get.contains(&length) && get.ends_with(json), "{get}");
}

#[tokio::test]
async fn two_accept_headers_arrive() {
    let answer = over_a_socket(
        "GET /ht HTTP/1.1\r\nHost: a\r\nAccept: text/html;q=0.1\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
}
