//! Several endpoints of one health, each with a policy of its own.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use health_core::{
    Anonymous, BuildFault, CheckExt as _, Endpoint, GroupSettings, Health, Reported,
    ServiceUnavailable, Settings, check_fn,
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

async fn get(endpoint: &Endpoint, target: &str) -> Response<Bytes> {
    endpoint
        .respond(&Request::get(target).body(()).unwrap())
        .await
}

async fn status(endpoint: &Endpoint, target: &str) -> u16 {
    get(endpoint, target).await.status().as_u16()
}

fn body(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

/// A health with a check that works and one that fails and is not critical, and the number of runs
/// of the first one.
fn degraded(settings: Settings) -> (Health, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let cache = check_fn("cache", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    let mail = check_fn("mail", || async {
        Err(ServiceUnavailable::new("refused").into())
    });
    let health = Health::builder()
        .settings(settings)
        .group("batch", GroupSettings::default())
        .check(cache.groups(["batch", "ready"]))
        .check(mail.non_critical());
    (health.build().unwrap(), runs)
}

#[tokio::test]
async fn two_endpoints_share_the_verdicts_and_not_the_policy() {
    let (health, runs) = degraded(Settings::default());
    let management = Endpoint::builder(health.clone()).build().unwrap();
    let public = Endpoint::builder(health)
        .path("/status/")
        .anonymous(Anonymous::Status)
        .formats(["json", "text"])
        .degraded_status(207)
        .header(
            HeaderName::from_static("x-robots-tag"),
            HeaderValue::from_static("noindex"),
        )
        .build()
        .unwrap();
    for _ in 0..2 {
        // The second answer of each comes from the cache.
        let full = get(&management, "/ht/?format=json").await;
        assert_eq!(full.status().as_u16(), 200);
        assert_eq!(full.headers().get("x-robots-tag"), None);
        assert_eq!(
            body(&full),
            r#"{"cache": "working", "mail": "unavailable: refused"}"#
        );
        let redacted = get(&public, "/status/").await;
        assert_eq!(redacted.status().as_u16(), 207);
        assert_eq!(body(&redacted), r#"{"status": "working"}"#);
        assert_eq!(redacted.headers()["x-robots-tag"], "noindex");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let refused = get(&public, "/status/?format=html").await;
    assert_eq!(refused.status().as_u16(), 400);
    assert_eq!(body(&refused), "Bad Request: the formats are json, text");
    assert_eq!(refused.headers()["x-robots-tag"], "noindex");
    let not_acceptable = public
        .respond(
            &Request::get("/status/")
                .header("accept", "text/html")
                .body(())
                .unwrap(),
        )
        .await;
    assert_eq!(
        body(&not_acceptable),
        "Not Acceptable: Supported content types: application/json, text/plain"
    );
}

#[tokio::test]
async fn an_endpoint_of_one_group_has_nothing_below_it() {
    let (health, _) = degraded(Settings::default());
    let batch = Endpoint::builder(health)
        .path("/batch")
        .group("batch")
        .formats(["json"])
        .build()
        .unwrap();
    for target in ["/batch", "/batch/"] {
        assert_eq!(body(&get(&batch, target).await), r#"{"cache": "working"}"#);
    }
    for target in ["/batch/live/", "/batch/batch/", "/batch/cache"] {
        let answer = get(&batch, target).await;
        assert_eq!(answer.status().as_u16(), 404, "{target}");
        assert_eq!(body(&answer), "Not Found", "{target}");
    }
}

/// Asks with this `Accept`, or without one if it is empty. Returns the status code, the content type
/// and the body.
async fn ask(endpoint: &Endpoint, target: &str, accept: &str) -> (u16, String, String) {
    let mut request = Request::get(target);
    if !accept.is_empty() {
        request = request.header("accept", accept);
    }
    let answer = endpoint.respond(&request.body(()).unwrap()).await;
    let content_type = answer.headers()["content-type"].to_str().unwrap();
    let status = answer.status().as_u16();
    (status, content_type.to_owned(), body(&answer).to_owned())
}

#[tokio::test]
#[cfg(all(feature = "feeds", feature = "metrics-formats"))]
async fn metrics_and_feeds_answer_no_client_without_a_preference() {
    let (health, _) = degraded(Settings::default().formats(["prometheus", "atom", "json"]));
    health.drain();
    let [_, readyz] = Endpoint::probes(&health);
    let all = Endpoint::new("/ht/", health.clone());
    let group = Endpoint::builder(health.clone())
        .path("/ready/")
        .group("ready")
        .build()
        .unwrap();
    for accept in [
        "",
        "*/*",
        "text/html;q=0.9, */*;q=0.8",
        "text/*;q=0.1, */*;q=0.1",
        "text/*, application/*;q=0.5",
        "nonsense",
    ] {
        for (endpoint, target) in [
            (&all, "/ht/"),
            (&all, "/ht/ready/"),
            (&group, "/ready/"),
            (&readyz, "/readyz"),
        ] {
            let (status, content_type, _) = ask(endpoint, target, accept).await;
            assert_eq!(status, 500, "{target} {accept}: {content_type}");
        }
    }
    let (status, content_type, _) = ask(&all, "/ht/", "application/*").await;
    assert_eq!(status, 500);
    assert_eq!(content_type, "application/json");
    let (status, content_type, _) = ask(&all, "/ht/", "text/plain;version=0.0.4, */*;q=0.1").await;
    assert_eq!(status, 200);
    assert!(content_type.starts_with("text/plain; version=0.0.4"));
    // There is nothing else that it could have.
    let metrics = Endpoint::builder(health)
        .path("/metrics")
        .formats(["prometheus"])
        .build()
        .unwrap();
    assert_eq!(ask(&metrics, "/metrics", "").await.0, 200);
}

#[tokio::test]
async fn probes_answer_ok_or_with_what_fails() {
    let orders = Reported::new("orders");
    let health = Health::builder()
        .settings(Settings::default().formats(["json", "text"]))
        .check(orders.check())
        .build()
        .unwrap();
    let [livez, readyz] = Endpoint::probes(&health);
    orders.working();
    for accept in ["", "*/*", "text/*"] {
        let answer = ask(&readyz, "/readyz", accept).await;
        assert_eq!(answer.0, 200);
        assert_eq!(answer.1, "text/plain; charset=utf-8");
        assert_eq!(answer.2, "ok\n");
    }
    assert_eq!(ask(&livez, "/livez", "").await.2, "ok\n");
    orders.failed("the queue is gone");
    let (status, _, text) = ask(&readyz, "/readyz", "*/*").await;
    assert_eq!(status, 500);
    assert_eq!(text, "orders: unavailable: the queue is gone\n");
    // The format `text` has all rows, whoever asks for it.
    let long = "orders                   ... unavailable: the queue is gone\n";
    assert_eq!(ask(&readyz, "/readyz", "text/plain").await.2, long);
    assert_eq!(ask(&readyz, "/readyz?format=text", "*/*").await.2, long);
    assert_eq!(
        ask(&readyz, "/readyz", "application/json").await.2,
        r#"{"orders": "unavailable: the queue is gone"}"#
    );

    let (secret, _) = degraded(Settings::default().token("s3cret"));
    let [_, readyz] = Endpoint::probes(&secret);
    assert_eq!(ask(&readyz, "/readyz", "").await.2, "working\n");
}

#[tokio::test]
async fn an_endpoint_of_one_group_names_no_other() {
    let check = |name: &'static str, groups: [&'static str; 2]| {
        check_fn(name, || async { Ok(()) }).groups(groups)
    };
    let health = Health::builder()
        .group("public", GroupSettings::default())
        .group("backstage", GroupSettings::default())
        .check(check("shop", ["public", "backstage"]))
        .check(check("ledger", ["ready", "backstage"]))
        .build()
        .unwrap();
    health.add_grpc_services([("backstage.Service".to_owned(), "ready".to_owned())]);
    let public = Endpoint::builder(health.clone())
        .path("/status/")
        .group("public")
        .build()
        .unwrap();
    let formats = health.renderers().formats().map(str::to_owned);
    for format in formats.collect::<Vec<_>>() {
        for verbose in ["", "&verbose"] {
            let target = format!("/status/?format={format}{verbose}");
            for _ in 0..2 {
                let answer = get(&public, &target).await;
                assert_eq!(answer.status().as_u16(), 200, "{target}");
                for name in ["backstage", "ledger", "startup"] {
                    assert!(!body(&answer).contains(name), "{target}: {}", body(&answer));
                }
            }
        }
    }
    // An endpoint of all groups shows them, with the same policy, from the same report.
    let all = Endpoint::new("/ht/", health);
    let answer = get(&all, "/ht/public/?format=report").await;
    assert!(
        body(&answer).contains("backstage.Service"),
        "{}",
        body(&answer)
    );
}

#[tokio::test]
async fn probes_need_no_token_and_hide_the_rows_without_it() {
    let (health, _) = degraded(Settings::default().token("s3cret"));
    let [livez, readyz] = Endpoint::probes(&health);
    assert_eq!(status(&livez, "/livez").await, 200);
    assert_eq!(status(&readyz, "/readyz").await, 200);
    assert_eq!(
        body(&get(&readyz, "/readyz?format=json").await),
        r#"{"status": "working"}"#
    );
    assert_eq!(
        body(&get(&readyz, "/readyz/s3cret?format=json").await),
        r#"{"cache": "working"}"#
    );
    health.drain();
    assert_eq!(status(&livez, "/livez/").await, 200);
    assert_eq!(status(&readyz, "/readyz/").await, 500);

    let (open, _) = degraded(Settings::default());
    let [_, readyz] = Endpoint::probes(&open);
    assert_eq!(
        body(&get(&readyz, "/readyz?format=json").await),
        r#"{"cache": "working"}"#
    );
}

#[tokio::test]
async fn the_status_code_follows_the_verdict_or_a_function() {
    let (health, _) = degraded(Settings::default().degraded_status(203));
    let settings = Endpoint::new("/ht/", health.clone());
    assert_eq!(
        status(&settings, "/ht/").await,
        203,
        "a check fails that is not critical"
    );
    assert_eq!(status(&settings, "/ht/?exclude=mail").await, 200);
    assert_eq!(
        status(&settings, "/ht/?format=openmetrics").await,
        200,
        "a scraper reads no other code"
    );
    assert_eq!(status(&settings, "/ht/batch/").await, 200);

    let own = |code: fn() -> StatusCode| {
        let endpoint = Endpoint::builder(health.clone()).status_code(move |report| {
            assert!(
                !report.checks.is_empty() && !report.redacted,
                "it sees the whole report"
            );
            code()
        });
        endpoint.anonymous(Anonymous::Status).build().unwrap()
    };
    assert_eq!(status(&own(|| StatusCode::IM_A_TEAPOT), "/ht/").await, 418);
    assert_eq!(
        status(&own(|| StatusCode::TOO_MANY_REQUESTS), "/ht/").await,
        203,
        "429 is never an answer"
    );
    assert_eq!(
        status(&own(|| panic!("in the function")), "/ht/").await,
        203
    );
}

#[tokio::test]
async fn each_of_many_policies_answers_for_itself() {
    let (health, _) = degraded(Settings::default());
    let failing = Health::builder().check(check_fn("queue", || async {
        Err(ServiceUnavailable::new("x").into())
    }));
    let failing = failing.build().unwrap();
    for code in 500..540 {
        let endpoint = Endpoint::builder(failing.clone())
            .unhealthy_status(code)
            .build()
            .unwrap();
        assert_eq!(
            [
                status(&endpoint, "/ht/").await,
                status(&endpoint, "/ht/?format=text").await
            ],
            [code; 2]
        );
        assert_eq!(
            status(&endpoint, "/ht/?format=health").await,
            code,
            "of a format that shows ages"
        );
    }
    drop(health);
}

#[test]
fn an_invalid_policy_is_refused_with_all_of_its_faults() {
    let (health, _) = degraded(Settings::default());
    let error = Endpoint::builder(health)
        .group("raedy")
        .unhealthy_status(429)
        .degraded_status(404)
        .formats(["json", "yaml"])
        .token("live")
        .header(
            HeaderName::from_static("content-length"),
            HeaderValue::from_static("0"),
        )
        .build()
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "group \"raedy\": the endpoint shows it, but the groups are live, ready, startup, batch",
        "setting unhealthy_status: must be a status code from 400 to 599, and not 429",
        "setting degraded_status: must be a status code from 200 to 299",
        "setting formats: \"yaml\" is no format; the formats are html, json",
        "setting token: must not be the name of a group",
        "setting header: content-length belongs to the answer itself",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.faults().len(), 6);
}

#[test]
fn a_health_reports_all_faults_of_its_settings_and_checks() {
    let check = || check_fn("cache", || async { Ok(()) });
    let settings = Settings::default()
        .unhealthy_status(200)
        .formats(["yaml"])
        .group("nowhere")
        .token("ready");
    let error = Health::builder()
        .settings(settings)
        .group("empty", GroupSettings::default())
        .check(check())
        .check(check().groups(["raedy"]).depends_on(["nobody"]))
        .check(check_fn("a", || async { Ok(()) }).depends_on(["b"]))
        .check(check_fn("b", || async { Ok(()) }).depends_on(["a"]))
        .build()
        .unwrap_err();
    assert_eq!(error.faults().len(), 9, "{error}");
    let is_duplicate = |fault: &BuildFault| {
        matches!(
            fault,
            BuildFault::Duplicate {
                first: 1,
                second: 2,
                ..
            }
        )
    };
    assert!(error.faults().iter().any(is_duplicate), "{error}");
    assert!(
        error
            .to_string()
            .contains("it depends on itself: a -> b -> a"),
        "{error}"
    );
}

#[tokio::test]
async fn a_format_can_be_removed() {
    let health = Health::builder()
        .without_format("html")
        .without_format("nothing")
        .build()
        .unwrap();
    let endpoint = Endpoint::new("/ht/", health);
    let answer = get(&endpoint, "/ht/").await;
    assert_eq!(
        answer.headers()["content-type"],
        "application/json",
        "the first format that is left"
    );
    assert_eq!(status(&endpoint, "/ht/?format=html").await, 400);
}
