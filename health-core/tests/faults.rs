//! Tests of faults that two reviews of the engine found.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use health_core::{
    CheckExt, Endpoint, GroupSettings, Health, HealthBuilder, HealthCheck, Renderer as _, Scope,
    ServiceUnavailable, Settings, Status, Transition, check_fn, render_fn,
};
use health_testkit::{ManualClock, ScriptedCheck, Step};
use http::Request;
use tokio::time::sleep;

const LONG: Duration = Duration::from_secs(3600);

async fn ask(endpoint: &Endpoint, path: &str) -> (u16, String) {
    let answer = endpoint
        .respond(&Request::get(path).body(()).unwrap())
        .await;
    (
        answer.status().as_u16(),
        String::from_utf8_lossy(answer.body()).into_owned(),
    )
}

async fn status(endpoint: &Endpoint, path: &str) -> u16 {
    ask(endpoint, path).await.0
}

fn endpoint(builder: HealthBuilder) -> Endpoint {
    Endpoint::new("/ht/", builder.build().unwrap())
}

fn hung(name: &'static str) -> impl HealthCheck {
    check_fn(name, || async {
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// The transitions that a listener has received: name, from, to.
type Received = Arc<Mutex<Vec<(String, Option<Status>, Status)>>>;

fn listener(received: &Received) -> impl Fn(&Transition) + Send + Sync + 'static {
    let received = Arc::clone(received);
    move |transition| {
        received
            .lock()
            .unwrap()
            .push((transition.check.clone(), transition.from, transition.to));
    }
}

#[tokio::test]
async fn live_does_not_wait_for_ever_for_a_first_verdict() {
    let clock = ManualClock::default();
    let settings = Settings::default()
        .probe_budget(Duration::from_millis(20))
        .max_stale(Duration::from_secs(30));
    let check = hung("loop")
        .scoped(Scope::Process)
        .timeout(LONG)
        .groups(["live"]);
    let endpoint = endpoint(
        Health::builder()
            .settings(settings)
            .clock(clock.clone())
            .check(check),
    );
    assert_eq!(
        status(&endpoint, "/ht/live/").await,
        200,
        "it has just started"
    );
    clock.advance(Duration::from_secs(30));
    assert_eq!(
        status(&endpoint, "/ht/live/").await,
        200,
        "within max_stale, which is less than its timeout"
    );
    clock.advance(Duration::from_millis(200));
    assert_eq!(
        status(&endpoint, "/ht/live/").await,
        500,
        "and the budget of the probe"
    );
}

#[tokio::test]
async fn declared_groups_drain_and_a_drain_can_be_taken_back() {
    let received = Received::default();
    let check = check_fn("queue", || async { Ok(()) }).groups(["ready", "lb", "batch"]);
    let builder = Health::builder().check(check).listener(listener(&received));
    let endpoint = endpoint(
        builder
            .group("lb", GroupSettings::default())
            .group("batch", GroupSettings::default().drains(false)),
    );
    let all = async || {
        let mut all = Vec::new();
        for path in [
            "/ht/",
            "/ht/ready/",
            "/ht/lb/",
            "/ht/batch/",
            "/ht/live/",
            "/ht/startup/",
        ] {
            all.push(status(&endpoint, path).await);
        }
        all
    };
    assert_eq!(all().await, [200; 6]);
    endpoint.health().drain();
    assert_eq!(all().await, [500, 500, 500, 200, 200, 200]);
    assert!(endpoint.health().undrain() && !endpoint.health().is_draining());
    assert_eq!(all().await, [200; 6]);
    let up = Status::Working;
    let down = Status::Unavailable;
    let expected = [
        ("queue", None, up),
        ("Draining", Some(up), down),
        ("Draining", Some(down), up),
    ];
    assert_eq!(
        *received.lock().unwrap(),
        expected.map(|(name, from, to)| (name.to_owned(), from, to))
    );
    for group in ["live", "ready", "startup"] {
        let error = Health::builder()
            .group(group, GroupSettings::default().drains(true))
            .build()
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("drains is for groups of your own"),
            "{error}"
        );
    }
}

#[test]
fn background_checks_move_when_their_runtime_ends() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let check = ScriptedCheck::new("queue");
    let own = runtime();
    let health = own.block_on(async {
        let check = check
            .clone()
            .every(Duration::from_millis(20))
            .timeout(Duration::from_millis(20));
        let health = Health::builder().check(check).build().unwrap();
        health.report().await;
        health
    });
    drop(own);
    let next = runtime();
    next.block_on(async {
        sleep(Duration::from_millis(150)).await; // its verdict expires
        let before = check.runs();
        for _ in 0..50 {
            health.report().await;
            sleep(Duration::from_millis(10)).await;
        }
        assert!(
            check.runs() > before + 3,
            "{} runs before, {} after",
            before,
            check.runs()
        );
        assert!(health.report().await.healthy);
    });
}

/// Nothing ends a call that blocks. Its result comes after the timeout, and does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_blocks_for_longer_than_its_timeout_has_timed_out() {
    let blocks = |name: &'static str, waits: bool| {
        let check = check_fn(name, move || async move {
            if waits {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            #[expect(clippy::disallowed_methods, reason = "it is what must not be done")]
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        });
        check.timeout(Duration::from_millis(200))
    };
    let health = Health::builder()
        .check(blocks("at once", false))
        .check(blocks("later", true))
        .build()
        .unwrap();
    let report = health.report().await;
    for row in &report.checks {
        assert_eq!(
            row.pretty_status(),
            "unavailable: timed out after 0.2 s",
            "{}",
            row.identifier
        );
        assert!(
            row.errors[0].reference.is_some(),
            "the log says that it blocks"
        );
    }
}

/// Runs more checks than get a task of their own from the start. One of them waits, and then
/// blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_check_that_blocks_after_it_has_waited_stops_no_other() {
    let mut builder =
        Health::builder().settings(Settings::default().budget(Duration::from_millis(400)));
    for number in 0..96 {
        builder = builder.check(check_fn(format!("c{number:02}"), move || async move {
            sleep(Duration::from_millis(20)).await;
            if number == 3 {
                #[expect(clippy::disallowed_methods, reason = "it is what must not be done")]
                std::thread::sleep(Duration::from_secs(2));
            }
            Ok(())
        }));
    }
    let report = builder.build().unwrap().report().await;
    let late: Vec<_> = report
        .checks
        .iter()
        .filter(|row| row.status != Status::Working)
        .map(|row| &row.identifier)
        .collect();
    assert_eq!(late, ["c03"]);
}

#[tokio::test]
async fn an_interval_may_be_as_long_as_it_likes() {
    let check = ScriptedCheck::new("queue");
    let health = Health::builder()
        .check(check.clone().every(Duration::MAX))
        .build()
        .unwrap();
    for _ in 0..5 {
        assert!(health.report().await.healthy);
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(check.runs(), 1);
}

#[tokio::test]
async fn what_the_bare_verdict_says_follows_the_code() {
    let settings = Settings::default()
        .token("t0ken")
        .anonymous(health_core::Anonymous::Status);
    let failing = check_fn("queue", || async {
        Err(ServiceUnavailable::new("refused").into())
    });
    let endpoint = endpoint(Health::builder().settings(settings).check(failing));
    for path in ["/ht/", "/ht/live/", "/ht/ready/", "/ht/startup/"] {
        let (status, body) = ask(&endpoint, &format!("{path}?format=json")).await;
        assert_eq!(
            body == r#"{"status": "working"}"#,
            status == 200,
            "{path}: {status} {body}"
        );
        assert!(body.starts_with(r#"{"status": "#), "{path}: {body}");
    }
}

#[tokio::test]
async fn an_expiry_is_told_once_and_so_is_its_end() {
    let clock = ManualClock::default();
    let received = Received::default();
    let check = ScriptedCheck::new("queue").every(Duration::from_secs(2 * 3600));
    let health = Health::builder()
        .check(check)
        .clock(clock.clone())
        .listener(listener(&received))
        .build()
        .unwrap();
    health.report().await;
    clock.advance(Duration::from_secs(7 * 3600));
    for _ in 0..3 {
        assert!(!health.report().await.healthy);
    }
    let up = Status::Working;
    let down = Status::Unavailable;
    let expected = [
        ("queue".to_owned(), None, up),
        ("queue".to_owned(), Some(up), down),
    ];
    assert_eq!(*received.lock().unwrap(), expected);
}

/// While a machine is suspended, its clock stops and its date advances. A verdict from before is
/// old.
#[tokio::test]
async fn a_verdict_from_before_the_machine_slept_is_old() {
    let clock = ManualClock::default();
    let check = ScriptedCheck::new("queue");
    let timed = check.clone().every(Duration::from_secs(2 * 3600));
    let health = Health::builder()
        .check(timed)
        .clock(clock.clone())
        .build()
        .unwrap();
    health.report().await;
    health.report().await;
    assert_eq!(check.runs(), 1);
    check.script([Step::Fail("gone")]);
    clock.suspend(Duration::from_secs(8 * 3600));
    assert!(!health.report().await.healthy, "it was asked again");
    assert_eq!(check.runs(), 2);
    health.report().await;
    assert_eq!(check.runs(), 2, "once");
}

/// Returns a format, and the counter of how often it is rendered.
fn counted() -> (Arc<AtomicUsize>, impl health_core::Renderer) {
    let renders = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&renders);
    let renderer = render_fn("count", "text/count", move |report| {
        counter.fetch_add(1, Ordering::SeqCst);
        let mut text = String::new();
        health_core::Text.render(report, &mut text).unwrap();
        text
    });
    (renders, renderer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_report_is_rendered_for_all_who_wait_for_it() {
    let (renders, renderer) = counted();
    let settings = Settings::default().budget(Duration::from_millis(100));
    let builder = Health::builder()
        .settings(settings)
        .check(hung("hung"))
        .renderer(renderer);
    let endpoint = endpoint(builder.check(check_fn("queue", || async { Ok(()) }).ttl(LONG)));
    let answers = join_all((0..100).map(|_| ask(&endpoint, "/ht/?format=count"))).await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0])
            && answers[0].1.contains("no result yet"),
        "{:?}",
        answers[0]
    );
    // Each worker may render it at the same time.
    assert!(
        (1..=3).contains(&renders.load(Ordering::SeqCst)),
        "rendered {renders:?} times for 100 readers"
    );
    let began = Instant::now();
    ask(&endpoint, "/ht/?format=count").await;
    assert!(
        began.elapsed() >= Duration::from_millis(90),
        "who comes later waits for its own budget"
    );
}

#[tokio::test]
async fn readers_who_exclude_the_same_checks_share_a_report() {
    let (renders, renderer) = counted();
    let builder = Health::builder().renderer(renderer);
    let endpoint = endpoint(["a", "b", "c"].into_iter().fold(builder, |builder, name| {
        builder.check(check_fn(name, || async { Ok(()) }).ttl(LONG))
    }));
    for query in [
        "exclude=a&exclude=b",
        "exclude=b&exclude=a",
        "exclude=b&exclude=a&exclude=a",
    ] {
        let (status, body) = ask(&endpoint, &format!("/ht/?format=count&{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        assert_eq!(body.lines().count(), 1, "{query}: {body}");
        assert_eq!(renders.load(Ordering::SeqCst), 1, "{query}: {body}");
    }
    let plain = ask(&endpoint, "/ht/?format=count").await;
    for number in 0..40 {
        assert_eq!(
            ask(
                &endpoint,
                &format!("/ht/?format=count&exclude=none{number}")
            )
            .await,
            plain
        );
    }
    assert_eq!(
        renders.load(Ordering::SeqCst),
        2,
        "what matches nothing is the plain answer"
    );
}

/// Two readers render at the same time, and wait for each other. Under a lock, the second one could
/// not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_renderer_runs_under_a_lock() {
    let both = Arc::new(Barrier::new(2));
    let meet = Arc::clone(&both);
    let renderer = render_fn("slow", "text/slow", move |_| {
        meet.wait();
        "both".to_owned()
    });
    let endpoint = endpoint(
        Health::builder()
            .renderer(renderer)
            .check(check_fn("a", || async { Ok(()) }).ttl(LONG)),
    );
    endpoint.health().report().await;
    let read = || {
        let endpoint = endpoint.clone();
        tokio::spawn(async move { ask(&endpoint, "/ht/?format=slow").await })
    };
    let both = tokio::time::timeout(Duration::from_secs(10), join_all([read(), read()]))
        .await
        .unwrap();
    assert!(both.into_iter().all(|answer| answer.unwrap().1 == "both"));
}

#[tokio::test]
async fn readers_of_one_check_share_a_report_and_see_that_the_service_drains() {
    let (renders, renderer) = counted();
    let builder = Health::builder().renderer(renderer).check(
        ScriptedCheck::new("b")
            .groups(["live"])
            .scoped(Scope::Process),
    );
    let endpoint = endpoint(builder.check(check_fn("a", || async { Ok(()) }).ttl(LONG)));
    for _ in 0..3 {
        let (status, body) = ask(&endpoint, "/ht/?format=count&only=a").await;
        assert_eq!(status, 200);
        assert_eq!(body.as_str(), "a                        ... working\n");
    }
    assert_eq!(renders.load(Ordering::SeqCst), 1);
    for path in [
        "/ht/?only=nobody",
        "/ht/?only=",
        "/ht/?only=a&only=nobody",
        "/ht/live/?only=a",
    ] {
        assert_eq!(status(&endpoint, path).await, 404, "{path}");
    }
    let (status, body) = ask(&endpoint, "/ht/live/?only=a").await;
    assert_eq!(status, 404);
    assert_eq!(body.as_str(), "Not Found: the checks here are b");
    assert_eq!(
        ask(&endpoint, "/ht/startup/?format=count&only=nobody")
            .await
            .0,
        200
    );
    endpoint.health().drain();
    let (status, body) = ask(&endpoint, "/ht/?format=count&only=a").await;
    assert_eq!(status, 500, "{body}");
    assert_eq!(body.lines().count(), 2, "{body}");
}

#[test]
fn a_check_that_can_not_fail_its_group_is_refused() {
    struct Age;
    impl HealthCheck for Age {
        async fn check_status(&self, _: &health_core::Findings) -> health_core::Result {
            Ok(())
        }

        fn only_warns(&self) -> bool {
            true
        }

        fn scope(&self) -> Scope {
            Scope::Process
        }
    }
    let build = |settings: GroupSettings, check: health_core::Configured<Age>| {
        let builder = Health::builder().group("live", settings);
        builder.check(check).build().map(drop)
    };
    let named = || Age.groups(["live"]);
    let error = build(GroupSettings::default(), named()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "check \"Age\": it only warns, and warnings do not fail \"live\": set warnings_as_errors for that group, or take the check out of it"
    );
    build(GroupSettings::default().warnings_as_errors(true), named()).unwrap();
    build(GroupSettings::default(), named().non_critical()).unwrap();
    build(GroupSettings::default(), Age.named("anywhere")).unwrap();
}
