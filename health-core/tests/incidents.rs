//! Outages that health endpoints have caused, or have not reported. Each test sets up the
//! situation, and shows that the endpoint reports the truth in time and makes nothing worse.
//!
//! An exhausted pool beside a healthy database is in `health-checks/tests/sqlite.rs`, a blocked
//! runtime in `health-checks/tests/runtime.rs`.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use health_core::{
    CheckExt, Endpoint, Health, HealthBuilder, HealthCheck, Hold, Scope, ServiceUnavailable,
    Settings, check_fn,
};
use health_testkit::{ManualClock, ScriptedCheck, Step};
use http::Request;
use tokio::time::{Instant, sleep};

const PROBE: Duration = Duration::from_secs(1);

fn endpoint(builder: HealthBuilder) -> Endpoint {
    Endpoint::new("/ht/", builder.build().unwrap())
}

/// Returns the status code and the lines of the text format.
async fn ask(endpoint: &Endpoint, path: &str) -> (u16, Vec<String>) {
    let request = Request::get(format!("{path}?format=text"))
        .body(())
        .unwrap();
    let answer = endpoint.respond(&request).await;
    let text = std::str::from_utf8(answer.body()).unwrap();
    (
        answer.status().as_u16(),
        text.lines().map(str::to_owned).collect(),
    )
}

/// Does the same, and fails if the response takes longer than a prober waits.
async fn probe(endpoint: &Endpoint, path: &str) -> (u16, Vec<String>) {
    let began = Instant::now();
    let answer = ask(endpoint, path).await;
    assert!(
        began.elapsed() < PROBE,
        "a prober waits for {PROBE:?}, the answer took {:?}",
        began.elapsed()
    );
    answer
}

fn line(identifier: &str, says: &str) -> String {
    format!("{identifier:<24} ... {says}")
}

/// Returns a slow check, and the counter of its runs.
fn slow(name: &'static str, takes: Duration) -> (Arc<AtomicUsize>, impl HealthCheck) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let check = check_fn(name, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            sleep(takes).await;
            Ok(())
        }
    });
    (runs, check)
}

#[tokio::test(start_paused = true)]
async fn a_hung_dependency_is_named_and_holds_up_nobody() {
    let hung = ScriptedCheck::new("orders");
    hung.script([Step::Hang]);
    let endpoint = endpoint(
        Health::builder()
            .check(hung.clone())
            .check(ScriptedCheck::new("cache")),
    );
    let expected = vec![
        line("cache", "working"),
        line("orders", "unavailable: no result yet"),
    ];
    assert_eq!(probe(&endpoint, "/ht/ready/").await, (500, expected));
    assert_eq!(
        probe(&endpoint, "/ht/live/").await.0,
        200,
        "a restart would not mend it"
    );
    sleep(Duration::from_secs(5)).await;
    let expected = vec![
        line("cache", "working"),
        line("orders", "unavailable: timed out after 5 s"),
    ];
    assert_eq!(probe(&endpoint, "/ht/ready/").await, (500, expected));
    assert_eq!(
        hung.runs(),
        1,
        "whoever asks while it hangs joins the run that hangs"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_slow_dependencies_take_as_long_as_one() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let builder = names.iter().fold(Health::builder(), |builder, name| {
        builder.check(slow(name, Duration::from_millis(700)).1)
    });
    let (status, rows) = probe(&endpoint(builder), "/ht/ready/").await;
    assert_eq!(status, 200);
    assert_eq!(rows.len(), 10);
    assert!(
        rows.iter().all(|row| row.ends_with("... working")),
        "{rows:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_requests_is_one_probe_a_ttl() {
    let (runs, check) = slow("orders", Duration::from_millis(100));
    let endpoint = endpoint(Health::builder().check(check));
    for second in 1..=5 {
        let answers = join_all((0..2_000).map(|_| ask(&endpoint, "/ht/"))).await;
        assert!(answers.iter().all(|(status, _)| *status == 200));
        assert_eq!(runs.load(Ordering::Relaxed), second);
        sleep(Duration::from_millis(1_001)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_strangers_runs_nothing() {
    let check = ScriptedCheck::new("orders");
    let settings = Settings::default().token("s3cret");
    let endpoint = endpoint(Health::builder().settings(settings).check(check.clone()));
    let answers = join_all((0..2_000).map(|_| ask(&endpoint, "/ht/guess/"))).await;
    assert!(
        answers
            .iter()
            .all(|(status, rows)| *status == 404 && *rows == ["Not Found"])
    );
    assert_eq!(check.runs(), 0);
}

#[test]
fn a_dead_scheduler_does_not_stay_green() {
    let scheduler = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = ManualClock::default();
    let endpoint = scheduler.block_on(async {
        let orders = ScriptedCheck::new("orders").every(Duration::from_secs(10));
        let endpoint = endpoint(Health::builder().check(orders).clock(clock.clone()));
        assert_eq!(ask(&endpoint, "/ht/").await.0, 200);
        endpoint
    });
    // The runtime that runs the background task is never polled again; another one still reads.
    let reader = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    clock.advance(Duration::from_secs(29));
    assert_eq!(
        reader.block_on(ask(&endpoint, "/ht/")).0,
        200,
        "three intervals are not over"
    );
    clock.advance(Duration::from_secs(13));
    let expected = vec![line("orders", "unavailable: last result is 42 s old")];
    assert_eq!(reader.block_on(ask(&endpoint, "/ht/")), (500, expected));
}

#[test]
fn a_dependency_in_liveness_is_refused() {
    for (scope, says) in [(Scope::External, "external"), (Scope::Instance, "instance")] {
        let check = ScriptedCheck::new("orders").scoped(scope).groups(["live"]);
        let error = Health::builder()
            .check(check)
            .build()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"orders\"") && error.contains(says) && error.contains("allow_in_live"),
            "{error}"
        );
    }
    let check = ScriptedCheck::new("deadlock")
        .scoped(Scope::Process)
        .groups(["live"]);
    assert!(Health::builder().check(check).build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_disconnects_neither_cancels_nor_repeats_the_probe() {
    let (runs, check) = slow("orders", Duration::from_millis(500));
    let endpoint = endpoint(Health::builder().check(check));
    for _ in 0..100 {
        let request = Request::get("/ht/").body(()).unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(1), endpoint.respond(&request))
                .await
                .is_err()
        );
    }
    assert_eq!(
        probe(&endpoint, "/ht/").await,
        (200, vec![line("orders", "working")])
    );
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_flaps_does_not_throw_the_service_out() {
    let orders = ScriptedCheck::new("orders");
    orders.script([
        Step::Work,
        Step::Fail("reset"),
        Step::Work,
        Step::Fail("reset"),
        Step::Fail("gone"),
    ]);
    let check = orders
        .clone()
        .ttl(Duration::ZERO)
        .thresholds(2, 3)
        .hold(Hold::NONE);
    let endpoint = endpoint(Health::builder().check(check));
    for run in 1..=5 {
        assert_eq!(ask(&endpoint, "/ht/ready/").await.0, 200, "run {run}");
    }
    assert_eq!(
        ask(&endpoint, "/ht/ready/").await,
        (500, vec![line("orders", "unavailable: gone")]),
        "three in a row"
    );
    orders.script([Step::Work]);
    assert_eq!(
        ask(&endpoint, "/ht/ready/").await.0,
        500,
        "one good run is no recovery"
    );
    assert_eq!(ask(&endpoint, "/ht/ready/").await.0, 200);
}

#[tokio::test]
async fn a_panic_stays_in_its_row() {
    let orders = ScriptedCheck::new("orders");
    orders.script([Step::Panic]);
    let endpoint = endpoint(
        Health::builder()
            .check(orders)
            .check(ScriptedCheck::new("cache")),
    );
    let (status, rows) = probe(&endpoint, "/ht/").await;
    assert_eq!(status, 500);
    assert_eq!(rows[0].as_str(), line("cache", "working").as_str());
    assert!(
        rows[1].starts_with(&line("orders", "unknown error: see log (ref ")),
        "{rows:?}"
    );
    assert!(
        !rows[1].contains("script"),
        "the payload goes to the panic hook and nowhere else: {rows:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_status_is_not_healthy() {
    let endpoint = endpoint(Health::builder().check(slow("orders", Duration::from_secs(3)).1));
    let unknown = vec![line("orders", "unavailable: no result yet")];
    assert_eq!(probe(&endpoint, "/ht/ready/").await, (500, unknown));
    assert_eq!(probe(&endpoint, "/ht/startup/").await.0, 500);
}

#[tokio::test]
async fn draining_is_told_to_balancers_and_not_to_the_kubelet() {
    let endpoint = endpoint(Health::builder().check(ScriptedCheck::new("cache")));
    assert_eq!(ask(&endpoint, "/ht/startup/").await.0, 200);
    endpoint.health().drain();
    let expected = vec![
        line("Draining", "unavailable: shutting down"),
        line("cache", "working"),
    ];
    assert_eq!(
        probe(&endpoint, "/ht/ready/").await,
        (500, expected.clone())
    );
    assert_eq!(probe(&endpoint, "/ht/").await, (500, expected));
    assert_eq!(
        probe(&endpoint, "/ht/live/").await.0,
        200,
        "or it would be killed before its requests are over"
    );
    assert_eq!(probe(&endpoint, "/ht/startup/").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_check_slower_than_the_prober_is_shown_by_its_last_verdict() {
    let (runs, check) = slow("orders", Duration::from_millis(1_500));
    let endpoint = endpoint(Health::builder().check(check));
    assert_eq!(
        probe(&endpoint, "/ht/ready/").await.0,
        500,
        "there is no verdict yet"
    );
    for _ in 0..20 {
        sleep(PROBE).await;
        assert_eq!(
            probe(&endpoint, "/ht/ready/").await,
            (200, vec![line("orders", "working")])
        );
    }
    // 20 s of reads, with runs of 1.5 s: a run is neither started twice nor aborted.
    let runs = runs.load(Ordering::Relaxed);
    assert!((10..=15).contains(&runs), "{runs} runs, one after another");
}

#[tokio::test(start_paused = true)]
async fn the_matrix_of_faults_under_load() {
    let steps = [
        ("1 works", Step::Work, "working"),
        ("2 warns", Step::Warn("nearly full"), "warning: nearly full"),
        ("3 fails", Step::Fail("refused"), "unavailable: refused"),
        ("4 is wrong", Step::Unexpected("9"), "unexpected result: 9"),
        ("5 is lost", Step::Unknown("how"), "unknown error: how"),
        ("6 hangs", Step::Hang, "unavailable: timed out after 0.2 s"),
        ("7 panics", Step::Panic, "unknown error: see log (ref "),
    ];
    let scripted = steps.clone().map(|(name, step, _)| {
        let check = ScriptedCheck::new(name);
        check.script([step]);
        check
    });
    let builder = scripted.iter().fold(Health::builder(), |builder, check| {
        builder.check(check.clone().timeout(Duration::from_millis(200)))
    });
    let blocked = ScriptedCheck::new("8 is blocked").depends_on(["3 fails"]);
    let endpoint = endpoint(
        builder
            .check(blocked)
            .check(failing("9 follows").depends_on(["3 fails"])),
    );
    for _ in 0..10 {
        let answers = join_all((0..300).map(|_| probe(&endpoint, "/ht/"))).await;
        for (status, rows) in answers {
            assert_eq!(status, 500);
            assert_eq!(rows.len(), 9);
            for ((name, _, says), row) in steps.iter().zip(&rows) {
                assert!(row.starts_with(&line(name, says)), "{row}");
            }
            assert_eq!(rows[7], line("8 is blocked", "working"));
            assert_eq!(
                rows[8],
                line("9 follows", "unavailable: blocked by 3 fails")
            );
        }
        sleep(Duration::from_millis(1_001)).await;
    }
    for check in scripted {
        // Ten rounds, each a little longer than the ttl.
        assert!(
            (10..=11).contains(&check.runs()),
            "{check:?}: {} runs in 10 s",
            check.runs()
        );
    }
}

fn failing(name: &'static str) -> impl HealthCheck {
    check_fn(name, || async {
        Err(ServiceUnavailable::new("it can't work either").into())
    })
}
