//! Tests of the HTTP contract: paths, methods, formats, negotiation, headers, tokens.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use health_core::{
    Anonymous, CheckExt, Clock, Endpoint, GroupSettings, Health, HealthBuilder, Html, Renderer,
    Report, ServiceUnavailable, Settings, check_fn, render_fn,
};
use http::{Request, Response, StatusCode};

fn endpoint(builder: HealthBuilder) -> Endpoint {
    Endpoint::new("/ht/", builder.build().expect("the test's health is valid"))
}

fn healthy() -> Endpoint {
    endpoint(Health::builder().check(check_fn("cache", || async { Ok(()) })))
}

fn unhealthy() -> HealthBuilder {
    Health::builder()
        .check(check_fn("cache", || async { Ok(()) }))
        .check(check_fn("queue", || async {
            Err(ServiceUnavailable::new("connection refused").into())
        }))
}

async fn ask(
    endpoint: &Endpoint,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    endpoint.respond(&request.body(()).unwrap()).await
}

async fn get(endpoint: &Endpoint, uri: &str) -> Response<Bytes> {
    ask(endpoint, "GET", uri, &[]).await
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

fn body(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

#[tokio::test]
async fn the_final_slash_is_optional_and_unknown_paths_are_404() {
    let endpoint = healthy();
    for (uri, status) in [
        ("/ht/", 200),
        ("/ht", 200),
        ("/ht?format=json", 200),
        ("/ht/live/", 200),
        ("/ht/live", 200),
        ("/ht/l%69ve/", 200),
        ("/ht/ready/?format=text", 200),
        ("/ht/startup/", 200),
        ("/ht/redy/", 404),
        ("/ht//", 404),
        ("/ht/live//", 404),
        ("/ht/live/ready/", 404),
        ("/htx/", 404),
        ("/", 404),
        ("/ht/%ff/", 404),
    ] {
        assert_eq!(get(&endpoint, uri).await.status().as_u16(), status, "{uri}");
    }
    assert_eq!(
        body(&get(&endpoint, "/ht/redy/").await),
        "Not Found: the groups are live, ready, startup"
    );
}

#[tokio::test]
async fn it_can_stand_at_the_root_and_anywhere_else() {
    let health = healthy().health().clone();
    for (base, uri) in [
        ("/", "/"),
        ("/", "/ready"),
        ("/a/b", "/a/b/"),
        ("a/b/", "/a/b/live/"),
        ("/my {x}/", "/my%20%7Bx%7D/"),
    ] {
        let endpoint = Endpoint::new(base, health.clone());
        assert_eq!(get(&endpoint, uri).await.status(), 200, "{base} {uri}");
    }
}

#[tokio::test]
async fn methods() {
    let endpoint = endpoint(unhealthy());
    let get = get(&endpoint, "/ht/").await;
    assert_eq!(get.status(), 500);
    let head = ask(&endpoint, "HEAD", "/ht/", &[]).await;
    assert_eq!(head.status(), get.status());
    assert_eq!(body(&head), "");
    assert_eq!(
        head.headers(),
        get.headers(),
        "the length is that of the body it would have had"
    );
    let options = ask(&endpoint, "OPTIONS", "/ht/", &[]).await;
    assert_eq!(options.status(), get.status());
    assert_eq!(body(&options), "");
    assert_eq!(header(&options, "allow"), "GET, HEAD, OPTIONS");
    assert_eq!(header(&options, "content-length"), "0");
    assert_eq!(header(&options, "content-type"), "text/html; charset=utf-8");
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
        let refused = ask(&endpoint, method, "/ht/", &[]).await;
        assert_eq!(refused.status(), 405, "{method}");
        assert_eq!(header(&refused, "allow"), "GET, HEAD, OPTIONS", "{method}");
        assert_eq!(
            ask(&endpoint, method, "/ht/nowhere/", &[]).await.status(),
            404,
            "{method}"
        );
    }
}

#[tokio::test]
async fn every_answer_has_the_headers() {
    let endpoint = healthy();
    for (method, uri, content_type) in [
        ("GET", "/ht/", "text/html; charset=utf-8"),
        ("GET", "/ht/?format=json", "application/json"),
        ("GET", "/ht/?format=text", "text/plain; charset=utf-8"),
        ("GET", "/ht/?format=yaml", "text/plain; charset=utf-8"),
        ("GET", "/ht/nowhere/", "text/plain; charset=utf-8"),
        ("POST", "/ht/", "text/plain; charset=utf-8"),
    ] {
        let response = ask(&endpoint, method, uri, &[]).await;
        let at = format!("{method} {uri}");
        assert_eq!(header(&response, "content-type"), content_type, "{at}");
        assert_eq!(
            header(&response, "content-length"),
            response.body().len().to_string(),
            "{at}"
        );
        let never = "max-age=0, no-cache, no-store, must-revalidate, private";
        assert_eq!(header(&response, "cache-control"), never, "{at}");
        assert_eq!(header(&response, "vary"), "Accept");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        let expires = header(&response, "expires");
        let age = std::time::SystemTime::now()
            .duration_since(httpdate::parse_http_date(expires).unwrap());
        assert!(
            age.is_ok_and(|age| age < Duration::from_secs(60)),
            "{at}: {expires} is no date that has just passed"
        );
        let policy = header(&response, "content-security-policy");
        assert_eq!(
            policy.contains("default-src 'none'"),
            content_type.starts_with("text/html"),
            "{at}: {policy}"
        );
    }
}

#[tokio::test]
async fn the_status_code_of_an_unhealthy_answer_is_a_setting() {
    let endpoint = endpoint(unhealthy().settings(Settings::default().unhealthy_status(503)));
    let response = get(&endpoint, "/ht/?format=json").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body(&response),
        r#"{"cache": "working", "queue": "unavailable: connection refused"}"#
    );
}

#[tokio::test]
async fn metrics_and_feeds_are_200_whatever_the_verdict_and_nothing_else_is() {
    let strangers = Settings::default()
        .token("s3cret")
        .anonymous(Anonymous::Status);
    let closed = GroupSettings::default().anonymous(Anonymous::Nothing);
    for (format, says) in [
        ("openmetrics", "health_check_overall_healthy 0\n"),
        ("prometheus", "health_check_overall_healthy 0\n"),
        ("atom", "<subtitle>Not working</subtitle>"),
        ("rss", "<description>Not working</description>"),
    ] {
        let endpoint = endpoint(
            unhealthy()
                .settings(strangers.clone())
                .group("live", closed.clone()),
        );
        let bare = get(&endpoint, &format!("/ht/?format={format}")).await;
        assert_eq!(bare.status(), 200);
        assert!(body(&bare).contains(says), "{}", body(&bare));
        assert!(!body(&bare).contains("queue"), "{}", body(&bare));
        let full = get(&endpoint, &format!("/ht/s3cret/?format={format}")).await;
        assert_eq!(full.status(), 200);
        assert!(
            body(&full).contains("queue") && !body(&full).contains("s3cret"),
            "{}",
            body(&full)
        );
        let head = ask(
            &endpoint,
            "HEAD",
            &format!("/ht/s3cret/?format={format}"),
            &[],
        )
        .await;
        assert_eq!(head.status(), full.status());
        assert_eq!(head.headers(), full.headers());
        assert_eq!(
            get(&endpoint, &format!("/ht/live/?format={format}"))
                .await
                .status(),
            404
        );
        assert_eq!(
            get(&endpoint, &format!("/ht/wrong/?format={format}"))
                .await
                .status(),
            404
        );
        assert_eq!(
            get(&endpoint, &format!("/ht/s3cret/nowhere/?format={format}"))
                .await
                .status(),
            404
        );
        let post = ask(
            &endpoint,
            "POST",
            &format!("/ht/s3cret/?format={format}"),
            &[],
        )
        .await;
        assert_eq!(post.status(), 405);
    }
}

/// A clock whose date is set by the test.
struct SetClock(Arc<AtomicU32>);

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(500_000 * 3600)
            + Duration::from_secs(self.0.load(Ordering::SeqCst).into())
    }
}

#[tokio::test]
async fn an_entry_of_a_feed_is_the_same_while_the_failure_lasts() {
    let works = Arc::new(AtomicBool::new(false));
    let time = Arc::new(AtomicU32::new(0));
    let is_up = Arc::clone(&works);
    let queue = check_fn("queue", move || {
        let works = is_up.load(Ordering::SeqCst);
        async move {
            if works {
                Ok(())
            } else {
                Err(ServiceUnavailable::new("connection refused").into())
            }
        }
    });
    let endpoint = endpoint(
        Health::builder()
            .check(queue.ttl(Duration::ZERO))
            .clock(SetClock(Arc::clone(&time))),
    );
    for format in ["atom", "rss"] {
        let uri = format!("/ht/?format={format}");
        works.store(false, Ordering::SeqCst);
        time.fetch_add(60, Ordering::SeqCst);
        let first = get(&endpoint, &uri).await;
        time.fetch_add(60, Ordering::SeqCst);
        let second = get(&endpoint, &uri).await;
        assert_ne!(
            header(&first, "expires"),
            header(&second, "expires"),
            "it ran again"
        );
        assert_eq!(body(&first), body(&second));
        assert!(
            body(&first).contains("queue: unavailable"),
            "{}",
            body(&first)
        );
        works.store(true, Ordering::SeqCst);
        let recovered = get(&endpoint, &uri).await;
        assert!(!body(&recovered).contains("queue"), "{}", body(&recovered));
        works.store(false, Ordering::SeqCst);
        time.fetch_add(60, Ordering::SeqCst);
        let again = get(&endpoint, &uri).await;
        assert_ne!(
            body(&first),
            body(&again),
            "another failure is another entry"
        );
    }
    let before = get(&endpoint, "/ht/ready/?format=rss").await;
    time.fetch_add(60, Ordering::SeqCst);
    endpoint.health().drain();
    time.fetch_add(60, Ordering::SeqCst);
    let draining = get(&endpoint, "/ht/ready/?format=rss").await;
    assert!(
        !body(&before).contains("Draining") && body(&draining).contains("Draining: unavailable")
    );
    time.fetch_add(60, Ordering::SeqCst);
    assert_eq!(
        body(&draining),
        body(&get(&endpoint, "/ht/ready/?format=rss").await)
    );
}

#[tokio::test]
async fn the_format_parameter_wins_over_accept() {
    let endpoint = healthy();
    let accept = [("accept", "text/html")];
    for (uri, answer) in [
        ("/ht/?format=json", "application/json"),
        (
            "/ht/?a=b&format=json&format=text",
            "text/plain; charset=utf-8",
        ),
        ("/ht/?format=", "text/html; charset=utf-8"),
        ("/ht/?form%61t=j%73on", "application/json"),
        ("/ht/?formats=json", "text/html; charset=utf-8"),
    ] {
        let response = ask(&endpoint, "GET", uri, &accept).await;
        assert_eq!(response.status().as_u16(), 200, "{uri}");
        assert_eq!(header(&response, "content-type"), answer, "{uri}");
    }
    for uri in ["/ht/?format=yaml", "/ht/?format=JSON", "/ht/?format=%ff"] {
        let response = get(&endpoint, uri).await;
        assert_eq!(response.status(), 400, "{uri}");
        assert_eq!(
            body(&response),
            "Bad Request: the formats are html, json, text, health, openmetrics, prometheus, atom, rss, report"
        );
    }
    let long = format!("/ht/?{}format=json", "a=b&".repeat(10_000));
    assert_eq!(
        header(&get(&endpoint, &long).await, "content-type"),
        "application/json"
    );
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HEALTH: &str = "application/health+json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const ATOM: &str = "application/atom+xml";
const RSS: &str = "application/rss+xml";
const NOTHING: &str = "406";

/// The `Accept` headers of Prometheus, by version.
const PROMETHEUS_2_25: &str =
    "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_2_42: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
    application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
    text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

/// `Accept` headers, one or two of them, and the expected response.
const NEGOTIATIONS: &[(&[&str], &str)] = &[
    (&[], HTML),
    (&[""], HTML),
    (&[","], HTML),
    (&["garbage"], HTML),
    (&["*"], HTML),
    (&["text/html;q=1.5"], HTML),
    (&["*/json"], HTML),
    (&["text/html"], HTML),
    (&["application/xhtml+xml"], HTML),
    (&["text/*"], HTML),
    (&["*/*"], HTML),
    (&["application/json"], JSON),
    (&["application/*"], JSON),
    (&["text/plain"], TEXT),
    (&["APPLICATION/JSON"], JSON),
    (&["Application/Json;Q=0.5, text/HTML;q=0.4"], JSON),
    (&["application/json; q=0.5, text/html"], HTML),
    (&["text/html;q=0.5, application/json;q=0.5"], HTML),
    (&["application/json;q=0.5, text/html;q=0.5"], JSON),
    (&["application/problem+json, application/json;q=0.1"], JSON),
    (&["text/html;level=1;q=0.2, application/json;q=0.5"], JSON),
    (&["text/html;z=\"\""], HTML),
    (
        &["text/plain;a=\"x,y;q=0\\\",z\";q=0.5, application/json;q=0.1"],
        TEXT,
    ),
    (&["application/json;q=0"], NOTHING),
    (&["application/json;q=0, */*"], HTML),
    (&["text/html;q=0, */*"], JSON),
    (&["text/*;q=0, */*;q=0.1"], JSON),
    (&["*/*;q=0"], NOTHING),
    (&["text/html;q=0, text/*;q=0.5"], TEXT),
    (&["application/health+json"], HEALTH),
    (&["application/health+json, application/json;q=0.9"], HEALTH),
    (&["application/json;q=0, application/*"], HEALTH),
    (&["application/openmetrics-text"], OPENMETRICS),
    (&[PROMETHEUS_2_25], OPENMETRICS),
    (&[PROMETHEUS_2_42], OPENMETRICS),
    (&[PROMETHEUS_3], OPENMETRICS),
    (&["text/plain;version=0.0.4"], PROMETHEUS),
    (
        &["text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
        PROMETHEUS,
    ),
    (&["application/json;version=2"], JSON),
    (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], PROMETHEUS),
    (&["text/plain;charset=utf-8"], TEXT),
    (&["application/atom+xml"], ATOM),
    (
        &["application/rss+xml, application/atom+xml;q=0.9, application/xml;q=0.8, */*;q=0.1"],
        RSS,
    ),
    (&["application/xml"], NOTHING),
    (&["application/vnd.api+json"], NOTHING),
    (&["application/octet-stream, image/*"], NOTHING),
    (&["garbage, application/json"], JSON),
    (&["text/html;q=0.1", "application/json"], JSON),
    (&["", "text/plain"], TEXT),
    (
        &["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
        HTML,
    ),
    (
        &["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"],
        HTML,
    ),
    (&["application/json, text/plain, */*"], JSON),
    (&[" \t application/json \t;\tq=0.7 "], JSON),
];

#[tokio::test]
async fn negotiation() {
    let endpoint = healthy();
    for (accept, expected) in NEGOTIATIONS {
        let headers: Vec<_> = accept.iter().map(|value| ("accept", *value)).collect();
        let response = ask(&endpoint, "GET", "/ht/", &headers).await;
        let answer = if response.status() == 406 {
            NOTHING
        } else {
            header(&response, "content-type")
        };
        assert_eq!(answer, *expected, "{accept:?}");
    }
}

#[tokio::test]
async fn what_is_refused_runs_no_check() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let endpoint = endpoint(Health::builder().check(check_fn("counted", move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    })));
    let refused = ask(&endpoint, "GET", "/ht/", &[("accept", "image/png")]).await;
    assert_eq!(refused.status(), 406);
    let types = "text/html, application/json, text/plain, application/health+json, application/openmetrics-text, \
        application/atom+xml, application/rss+xml, application/vnd.health-report+json";
    assert_eq!(
        body(&refused),
        format!("Not Acceptable: Supported content types: {types}")
    );
    assert_eq!(ask(&endpoint, "DELETE", "/ht/", &[]).await.status(), 405);
    assert_eq!(get(&endpoint, "/ht/?format=nope").await.status(), 400);
    assert_eq!(get(&endpoint, "/ht/nope/").await.status(), 404);
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn zero_checks_are_healthy() {
    let endpoint = endpoint(Health::builder());
    let json = get(&endpoint, "/ht/?format=json").await;
    assert_eq!(json.status().as_u16(), 200);
    assert_eq!(body(&json), "{}");
    assert_eq!(
        body(&get(&endpoint, "/ht/?format=text").await),
        "no checks\n"
    );
    assert!(body(&get(&endpoint, "/ht/").await).contains("No checks"));
}

#[tokio::test]
async fn the_token_comes_by_path_or_by_header() {
    let endpoint = endpoint(unhealthy().settings(Settings::default().token("s3cret")));
    let bearer = |value: &'static str| [("authorization", value)];
    for (uri, headers, status) in [
        ("/ht/", &[][..], 404),
        ("/ht/live/", &[], 404),
        ("/ht/nowhere/", &[], 404),
        ("/ht/s3cre/", &[], 404),
        ("/ht/s3cret/", &[], 500),
        ("/ht/s3cret", &[], 500),
        ("/ht/s3cret/live/", &[], 200),
        ("/ht/s3cret/nowhere/", &[], 404),
        ("/ht/", &bearer("Bearer s3cret"), 500),
        ("/ht/live/", &bearer("bearer s3cret"), 200),
        ("/ht/", &bearer("Bearer wrong"), 404),
        ("/ht/", &bearer("Basic s3cret"), 404),
        ("/ht/", &bearer("s3cret"), 404),
    ] {
        let response = ask(&endpoint, "GET", uri, headers).await;
        assert_eq!(response.status().as_u16(), status, "{uri} {headers:?}");
        assert!(!format!("{response:?}").contains("s3cret"), "{uri}");
    }
    assert_eq!(
        body(&get(&endpoint, "/ht/nowhere/").await),
        "Not Found",
        "strangers don't learn the groups"
    );
    assert_eq!(ask(&endpoint, "POST", "/ht/", &[]).await.status(), 404);
}

#[tokio::test]
async fn strangers_may_be_shown_the_bare_verdict() {
    let settings = Settings::default()
        .token("s3cret")
        .anonymous(Anonymous::Status);
    let closed = GroupSettings::default().anonymous(Anonymous::Nothing);
    let endpoint = endpoint(unhealthy().settings(settings).group("live", closed));
    for (format, expected) in [
        ("json", r#"{"status": "unavailable"}"#),
        ("text", "unavailable\n"),
    ] {
        let response = get(&endpoint, &format!("/ht/?format={format}")).await;
        assert_eq!(response.status().as_u16(), 500);
        assert_eq!(body(&response), expected);
    }
    let page = get(&endpoint, "/ht/").await;
    assert!(
        body(&page).contains("Not working") && !body(&page).contains("queue"),
        "{}",
        body(&page)
    );
    assert!(body(&get(&endpoint, "/ht/s3cret/?format=json").await).contains("queue"));
    assert_eq!(get(&endpoint, "/ht/live/").await.status(), 404);
    let other = ask(
        &endpoint,
        "GET",
        "/ht/?format=text",
        &[("authorization", "Basic dXNlcjpwdw==")],
    )
    .await;
    assert_eq!(
        body(&other),
        "unavailable\n",
        "another scheme is somebody else's"
    );
    let wrong = ask(
        &endpoint,
        "GET",
        "/ht/",
        &[("authorization", "Bearer wrong")],
    )
    .await;
    assert_eq!(wrong.status(), 404);
}

#[tokio::test]
async fn verbose_text_is_as_kubernetes_prints_it() {
    let endpoint = endpoint(unhealthy());
    let lines = "[+]cache ok\n[-]queue failed: unavailable: connection refused\n";
    for (uri, status, expected) in [
        (
            "/ht/?format=text&verbose",
            500,
            format!("{lines}health check failed\n"),
        ),
        (
            "/ht/ready?verbose=1&format=text",
            500,
            format!("{lines}ready check failed\n"),
        ),
        (
            "/ht/live/?verbose&format=text",
            200,
            "no checks\nlive check passed\n".into(),
        ),
        (
            "/ht/?format=text&verbose&exclude=&exclude",
            500,
            format!("{lines}health check failed\n"),
        ),
        (
            "/ht/?format=text&verbose&exclude=queue",
            200,
            "[+]cache ok\nhealth check passed\n".into(),
        ),
        (
            "/ht/?format=text",
            500,
            "cache                    ... working\n\
                                   queue                    ... unavailable: connection refused\n"
                .into(),
        ),
    ] {
        let response = get(&endpoint, uri).await;
        assert_eq!(response.status().as_u16(), status, "{uri}");
        assert_eq!(body(&response), expected.as_str(), "{uri}");
    }
    let page = get(&endpoint, "/ht/?verbose").await;
    assert_eq!(
        page.body(),
        get(&endpoint, "/ht/").await.body(),
        "a format may have nothing more to say"
    );
}

#[tokio::test]
async fn excluded_checks_are_in_no_format_and_in_no_verdict() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let counted = check_fn("counted", move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    let endpoint = endpoint(unhealthy().check(counted.ttl(Duration::from_secs(3600))));
    assert_eq!(
        get(&endpoint, "/ht/?exclude=queue&exclude=counted&format=json")
            .await
            .status(),
        200
    );
    assert_eq!(
        runs.load(Ordering::SeqCst),
        0,
        "what is excluded does not run"
    );
    let formats: Vec<String> = endpoint
        .health()
        .renderers()
        .formats()
        .map(str::to_owned)
        .collect();
    for format in formats {
        let excluded = get(&endpoint, &format!("/ht/?exclude=queue&format={format}")).await;
        assert_eq!(excluded.status(), 200, "{format}");
        assert!(
            !body(&excluded).contains("queue"),
            "{format}: {}",
            body(&excluded)
        );
        let all = get(&endpoint, &format!("/ht/?format={format}&exclude=")).await;
        assert!(body(&all).contains("queue"), "{format}: {}", body(&all));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "the same cells are read");
    for (uri, expected) in [
        (
            "/ht/?format=json&exclude=queue&exclude=cache&exclude=counted",
            "{}",
        ),
        (
            "/ht/?format=json&exclude=queue&exclude=nobody&exclude=c%61che",
            r#"{"counted": "working"}"#,
        ),
        (
            "/ht/?format=json&exclude=queue,cache&exclude=counted",
            r#"{"cache": "working", "queue": "unavailable: connection refused"}"#,
        ),
    ] {
        assert_eq!(body(&get(&endpoint, uri).await), expected, "{uri}");
    }
    let unknown = get(
        &endpoint,
        "/ht/?format=text&verbose&exclude=x&exclude=queue&exclude=a%22%0Ab&exclude=x",
    )
    .await;
    let warning = r#"warn: some health checks cannot be excluded: no matches for "a\"\nb","x""#;
    assert_eq!(
        body(&unknown),
        format!("[+]cache ok\n[+]counted ok\n{warning}\nhealth check passed\n")
    );
}

#[tokio::test]
async fn who_may_see_the_verdict_only_can_exclude_nothing() {
    let endpoint = endpoint(
        unhealthy().settings(
            Settings::default()
                .token("s3cret")
                .anonymous(Anonymous::Status),
        ),
    );
    let response = get(
        &endpoint,
        "/ht/?format=text&verbose&exclude=queue&exclude=nobody",
    )
    .await;
    assert_eq!(response.status().as_u16(), 500);
    assert_eq!(body(&response), "health check failed\n");
    let full = get(&endpoint, "/ht/s3cret/?format=text&verbose&exclude=queue").await;
    assert_eq!(full.status().as_u16(), 200);
    assert_eq!(body(&full), "[+]cache ok\nhealth check passed\n");
}

#[tokio::test]
async fn a_scraper_says_how_long_it_waits() {
    let hang = check_fn("hang", std::future::pending);
    let endpoint = endpoint(Health::builder().check(hang));
    let began = std::time::Instant::now();
    let headers = [("x-prometheus-scrape-timeout-seconds", "0.6")];
    let response = ask(&endpoint, "GET", "/ht/?format=json", &headers).await;
    assert_eq!(body(&response), r#"{"hang": "unavailable: no result yet"}"#);
    assert!(began.elapsed().as_secs_f64() < 0.5, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_renderer_replaces_a_format_or_adds_one() {
    let cool = render_fn("json", "application/json", |report: &Report| {
        format!("{{\"cool\": {}}}", report.healthy)
    });
    let csv = render_fn("csv", "text/csv", |report: &Report| {
        format!("{}\n", report.checks.len())
    });
    let endpoint = endpoint(unhealthy().renderer(cool).renderer(csv));
    let json = get(&endpoint, "/ht/?format=json").await;
    assert_eq!(json.status().as_u16(), 500);
    assert_eq!(body(&json), "{\"cool\": false}");
    let csv = ask(&endpoint, "GET", "/ht/", &[("accept", "text/csv")]).await;
    assert_eq!(header(&csv, "content-type"), "text/csv; charset=utf-8");
    assert_eq!(body(&csv), "2\n");
}

struct Broken(bool);

impl Renderer for Broken {
    fn format(&self) -> &'static str {
        "html"
    }

    fn media_types(&self) -> &[&str] {
        &["text/html"]
    }

    fn render(&self, _: &Report, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
        out.write_str("half a page")?;
        assert!(!self.0, "a renderer that panics");
        Err(std::fmt::Error)
    }
}

#[tokio::test]
async fn a_broken_renderer_does_not_look_like_a_broken_service() {
    for panics in [false, true] {
        let endpoint = endpoint(
            Health::builder()
                .check(check_fn("cache", || async { Ok(()) }))
                .renderer(Broken(panics)),
        );
        let response = get(&endpoint, "/ht/").await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(header(&response, "content-type"), TEXT);
        assert_eq!(body(&response), "cache                    ... working\n");
    }
}

#[tokio::test]
async fn the_page_is_extended_and_replaced_by_template() {
    let own =
        r#"{% extends "health_check/index.html" %}{% block title %}Orders{% endblock title %}"#;
    let extended = endpoint(unhealthy().renderer(Html::from_string(own).unwrap()));
    let page = get(&extended, "/ht/").await;
    assert!(
        body(&page).contains("<title>Orders</title>") && body(&page).contains("connection refused")
    );

    let dir = std::env::temp_dir().join(format!("health-core-templates-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("health_check")).unwrap();
    std::fs::write(
        dir.join("health_check/index.html"),
        "{% for check in checks %}{{ check.identifier }};{% endfor %}",
    )
    .unwrap();
    let replaced = endpoint(unhealthy().renderer(Html::from_dir(&dir).unwrap()));
    assert_eq!(
        body(&get(&replaced, "/ht/").await),
        "queue;cache;",
        "what fails comes first"
    );
    std::fs::write(
        dir.join("health_check/index.html"),
        r#"{% extends "health_check/base.html" %}{% block content %}<p>{{ verdict }}</p>{% endblock content %}"#,
    )
    .unwrap();
    let mixed = endpoint(unhealthy().renderer(Html::from_dir(&dir).unwrap()));
    assert!(body(&get(&mixed, "/ht/").await).contains("<body>\n<p>1 of 2 failing</p>"));
    std::fs::remove_dir_all(&dir).unwrap();

    assert!(
        Html::from_string("{% if %}")
            .unwrap_err()
            .to_string()
            .contains("own.html")
    );
    assert!(
        Html::from_dir(&dir)
            .unwrap_err()
            .to_string()
            .contains("template folder")
    );
    let undefined =
        endpoint(unhealthy().renderer(Html::from_string("{{ nothing_of_this_name }}").unwrap()));
    let response = get(&undefined, "/ht/").await;
    assert_eq!(response.status().as_u16(), 500);
    assert_eq!(header(&response, "content-type"), TEXT);
}

#[tokio::test]
async fn a_group_is_answered_as_it_is_declared() {
    let builder = Health::builder()
        .group("batch", GroupSettings::default())
        .check(check_fn("queue", || async { Ok(()) }).groups(["batch"]));
    let response = get(&endpoint(builder), "/ht/batch/?format=json").await;
    assert_eq!(body(&response), r#"{"queue": "working"}"#);
}

#[tokio::test]
async fn a_browser_is_told_when_to_ask_again() {
    let endpoint = healthy();
    for (uri, seconds) in [
        ("/ht/?refresh=5", "5"),
        ("/ht/?refresh=0", ""),
        ("/ht/?refresh=x", ""),
        ("/ht/", ""),
    ] {
        assert_eq!(
            header(&get(&endpoint, uri).await, "refresh"),
            seconds,
            "{uri}"
        );
    }
}
