//! A build without the page, the feeds and the metrics:
//! `cargo test -p health-core --no-default-features --test small`.

#![cfg(not(any(feature = "feeds", feature = "html", feature = "metrics-formats")))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use health_core::{Endpoint, Health, check_fn};

#[tokio::test]
async fn without_a_page_json_answers_a_request_without_preference() {
    let health = Health::builder()
        .check(check_fn("cache", || async { Ok(()) }))
        .build()
        .unwrap();
    assert_eq!(
        health.renderers().formats().collect::<Vec<_>>(),
        ["json", "text", "health", "report"]
    );
    let endpoint = Endpoint::new("/ht/", health);
    for accept in [None, Some("*/*"), Some("text/html, */*;q=0.1")] {
        let mut request = http::Request::get("/ht/");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let answer = endpoint.respond(&request.body(()).unwrap()).await;
        assert_eq!(
            answer.headers()["content-type"],
            "application/json",
            "{accept:?}"
        );
        assert_eq!(answer.body(), r#"{"cache": "working"}"#);
    }
    let page = endpoint
        .respond(&http::Request::get("/ht/?format=html").body(()).unwrap())
        .await;
    assert_eq!(
        page.body(),
        "Bad Request: the formats are json, text, health, report"
    );
}
