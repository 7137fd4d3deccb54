//! Tests the runtime check against a runtime that is really blocked.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may, and this one blocks on purpose"
)]

use std::thread;
use std::time::{Duration, Instant};

use health_checks::RuntimeHealthCheck;
use health_core::{CheckExt, Endpoint, Health};
use http::Request;
use tokio::runtime::{Builder, Runtime};

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Returns the response of a management port, which has a runtime of its own.
fn ask(port: &Runtime, endpoint: &Endpoint) -> (u16, String, Duration) {
    let asked = Instant::now();
    let request = Request::get("/ht/live/?format=text").body(()).unwrap();
    let answer = port.block_on(endpoint.respond(&request));
    (
        answer.status().as_u16(),
        String::from_utf8(answer.body().to_vec()).unwrap(),
        asked.elapsed(),
    )
}

#[test]
fn a_blocked_runtime_is_seen_from_outside_and_seen_to_run_again() {
    let application = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let health = application.block_on(async {
        let check = RuntimeHealthCheck::default().lag_max(Duration::from_millis(300));
        Health::builder()
            .check(check.ttl(Duration::ZERO).groups(["live"]))
            .build()
            .unwrap()
    });
    let port = one_thread();
    let endpoint = Endpoint::new("/ht/", health);
    let (status, body, _) = ask(&port, &endpoint);
    assert_eq!(status, 200);
    assert_eq!(body.as_str(), "Runtime                  ... working\n");

    application.spawn(async { thread::sleep(Duration::from_secs(2)) });
    thread::sleep(Duration::from_millis(800));
    let (status, body, took) = ask(&port, &endpoint);
    assert_eq!(status, 500, "{body}");
    assert!(
        body.contains("unavailable: the runtime is blocked: a task waits for 0."),
        "{body}"
    );
    assert!(
        took < Duration::from_millis(500),
        "it does not wait for the blocked runtime: {took:?}"
    );

    thread::sleep(Duration::from_secs(2));
    let (status, body, _) = ask(&port, &endpoint);
    assert_eq!(status, 200);
    assert_eq!(body.as_str(), "Runtime                  ... working\n");
}

#[test]
fn a_runtime_that_has_ended_is_no_healthy_one() {
    let application = one_thread();
    let watched = RuntimeHealthCheck::new(application.handle().clone());
    let health = Health::builder()
        .check(watched.groups(["live"]).ttl(Duration::ZERO))
        .build()
        .unwrap();
    drop(application);
    let (status, body, _) = ask(&one_thread(), &Endpoint::new("/ht/", health));
    assert_eq!(status, 500);
    assert_eq!(
        body.as_str(),
        "Runtime                  ... unavailable: the runtime has ended\n"
    );
}

#[test]
fn its_thread_ends_with_it() {
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(Result::ok)
            .filter(|task| {
                std::fs::read_to_string(task.path().join("comm"))
                    .is_ok_and(|name| name.trim() == "health-runtime")
            })
            .count()
    };
    let runtime = one_thread();
    let health = runtime.block_on(async {
        let health = Health::builder()
            .check(RuntimeHealthCheck::default().groups(["live"]))
            .build()
            .unwrap();
        assert!(health.report().await.healthy);
        health
    });
    let with = threads();
    drop(health);
    let deadline = Instant::now() + Duration::from_secs(5);
    while threads() >= with && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(threads() < with, "{with} before, {} after", threads());
}
