//! Tests the checks that the application reports: heartbeats, tasks, statuses and gates.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{
    CheckExt as _, Endpoint, Gate, GroupSettings, Health, HealthBuilder, Heartbeat, Report,
    Reported, Status, Transition, check_fn, watch_task,
};
use http::Request;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(30);

fn build(builder: HealthBuilder) -> Health {
    builder.build().unwrap()
}

async fn of(health: &Health, group: &str) -> Arc<Report> {
    health.group_report(group).await.unwrap()
}

async fn says(health: &Health) -> String {
    health.report().await.checks[0].pretty_status()
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_hangs_is_seen_after_its_interval_and_its_return_at_once() {
    let consumer = Heartbeat::new("consumer", INTERVAL);
    let health = build(Health::builder().check(consumer.check().groups(["live", "ready"])));
    consumer.beat();
    assert_eq!(says(&health).await, "working");
    sleep(29 * SECOND).await;
    assert!(of(&health, "live").await.healthy && of(&health, "ready").await.healthy);
    sleep(13 * SECOND).await;
    assert_eq!(says(&health).await, "unavailable: last heartbeat 42 s ago");
    assert!(!of(&health, "live").await.healthy && !of(&health, "ready").await.healthy);
    sleep(SECOND).await;
    assert_eq!(says(&health).await, "unavailable: last heartbeat 43 s ago");
    consumer.beat();
    assert_eq!(says(&health).await, "working", "in the next read");
    sleep(INTERVAL).await;
    assert_eq!(says(&health).await, "unavailable: last heartbeat 30 s ago");
}

#[tokio::test(start_paused = true)]
async fn a_cached_answer_ends_at_the_next_deadline_of_a_heartbeat() {
    let consumer = Heartbeat::new("consumer", INTERVAL);
    let health = build(Health::builder().check(consumer.check()));
    let endpoint = Endpoint::new("/ht/", health);
    let ask = || async {
        endpoint
            .respond(&Request::get("/ht/?format=json").body(()).unwrap())
            .await
            .status()
            .as_u16()
    };
    consumer.beat();
    assert_eq!(ask().await, 200);
    sleep(Duration::from_millis(29_999)).await;
    assert_eq!(ask().await, 200);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(ask().await, 500, "nobody has beaten");
    consumer.beat();
    assert_eq!(ask().await, 200);
}

#[tokio::test(start_paused = true)]
async fn before_its_first_beat_a_heartbeat_has_the_time_of_an_interval() {
    let consumer = Heartbeat::new("consumer", INTERVAL);
    let health = build(Health::builder().check(consumer.check().groups(["live", "ready"])));
    let row = health.report().await.checks[0].clone();
    assert_eq!(row.status, Status::Unknown);
    assert_eq!(row.pretty_status().as_str(), "unavailable: no result yet");
    assert!(of(&health, "live").await.healthy && of(&health, "ready").await.healthy);
    assert!(!of(&health, "startup").await.healthy, "it has not started");
    sleep(INTERVAL).await;
    assert!(
        of(&health, "live").await.healthy,
        "in live it never counts before its first beat"
    );
    assert!(!of(&health, "ready").await.healthy && !health.report().await.healthy);
    consumer.beat();
    assert!(of(&health, "ready").await.healthy && of(&health, "startup").await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_returns_or_panics_is_seen_at_once_and_one_that_finishes_is_not() {
    let consumer = Heartbeat::new("consumer", INTERVAL);
    let health = build(Health::builder().check(consumer.check()));
    let spawn = |end: &'static str| {
        let guard = consumer.guard();
        tokio::spawn(async move {
            guard.beat();
            match end {
                "panics" => panic!("in the consumer"),
                "finishes" => guard.finish(),
                _ => {}
            }
        })
    };
    spawn("finishes").await.unwrap();
    assert_eq!(says(&health).await, "working");
    for end in ["returns", "panics"] {
        let _ = spawn(end).await;
        assert_eq!(
            says(&health).await,
            "unavailable: the task has ended",
            "{end}"
        );
        consumer.beat();
        assert_eq!(
            says(&health).await,
            "unavailable: the task has ended",
            "another one's beat is no help"
        );
        sleep(2 * INTERVAL).await;
        assert_eq!(
            says(&health).await,
            "unavailable: the task has ended",
            "and no age says more"
        );
        let guard = consumer.guard();
        guard.beat();
        assert_eq!(says(&health).await, "working", "it was started again");
        guard.finish();
    }
    let one = consumer.guard();
    let other = consumer.guard();
    drop((one, other));
    let guard = consumer.guard();
    assert_eq!(
        says(&health).await,
        "unavailable: the task has ended",
        "one of two was started again"
    );
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_watched_task_works_until_it_ends_however_it_does() {
    for end in ["returns", "panics", "is dropped", "is never polled"] {
        let task = async move {
            sleep(SECOND).await;
            assert_ne!(end, "panics");
        };
        let (check, task) = watch_task("consumer", task);
        let health = build(Health::builder().check(check));
        if end == "is never polled" {
            drop(task);
        } else {
            let task = tokio::spawn(task);
            tokio::task::yield_now().await;
            assert_eq!(says(&health).await, "working", "{end}");
            if end == "is dropped" {
                task.abort();
            }
            let _ = task.await;
        }
        assert_eq!(
            says(&health).await,
            "unavailable: the task has ended",
            "{end}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_end_while_the_service_drains_do_not_fail_live() {
    let consumer = Heartbeat::new("consumer", INTERVAL);
    let health = build(Health::builder().check(consumer.check().groups(["live", "ready"])));
    let guard = consumer.guard();
    guard.beat();
    assert!(of(&health, "live").await.healthy);
    health.drain();
    drop(guard);
    assert!(of(&health, "live").await.healthy && !of(&health, "ready").await.healthy);
    assert!(health.undrain());
    assert!(!of(&health, "live").await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_what_was_reported_last_until_it_expires() {
    let billing = Reported::new("billing").expires_after(300 * SECOND);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let seen = Arc::clone(&seen);
        move |transition: &Transition| seen.lock().unwrap().push(transition.to)
    };
    let health = build(Health::builder().check(billing.check()).listener(listener));
    assert_eq!(says(&health).await, "unavailable: no result yet");
    billing.working();
    billing.working();
    assert_eq!(says(&health).await, "working");
    billing.warning("slow");
    assert_eq!(says(&health).await, "warning: slow");
    billing.failed("the partner is away");
    assert_eq!(says(&health).await, "unavailable: the partner is away");
    billing.failed("the partner is still away");
    assert_eq!(
        says(&health).await,
        "unavailable: the partner is still away"
    );
    billing.working();
    sleep(310 * SECOND).await;
    assert_eq!(says(&health).await, "unavailable: last report 310 s ago");
    billing.working();
    assert_eq!(says(&health).await, "working");
    let seen: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|status| status.as_str())
        .collect();
    assert_eq!(
        seen,
        [
            "working",
            "warning",
            "unavailable",
            "working",
            "unavailable",
            "working"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_closes_and_opens() {
    let gate = Gate::closed("warm-up", "loading the model");
    let health = build(Health::builder().check(gate.check()));
    assert_eq!(says(&health).await, "unavailable: loading the model");
    assert!(!of(&health, "ready").await.healthy && !of(&health, "startup").await.healthy);
    gate.open();
    gate.open();
    assert!(of(&health, "ready").await.healthy && of(&health, "startup").await.healthy);
    gate.close("loading another model");
    assert_eq!(says(&health).await, "unavailable: loading another model");
    assert!(
        of(&health, "startup").await.healthy,
        "it has started for good"
    );
    gate.open();
    assert!(of(&health, "ready").await.healthy);
}

#[test]
fn options_that_a_reported_check_can_not_have_are_refused() {
    let beat = || Heartbeat::new("consumer", INTERVAL).check();
    let refused = |builder: HealthBuilder| builder.build().unwrap_err().to_string();
    for builder in [
        Health::builder().check(beat().ttl(SECOND)),
        Health::builder().check(beat().every(SECOND)),
        Health::builder().check(beat().thresholds(2, 2)),
        Health::builder().check(beat().timeout(SECOND)),
    ] {
        assert!(
            refused(builder).contains("\"consumer\": the application reports it: leave ttl, every")
        );
    }
    let zero = Heartbeat::new("consumer", Duration::ZERO);
    assert!(refused(Health::builder().check(zero.check())).contains("longer than zero"));
    let gate = Gate::closed("warm-up", "loading").check().groups(["live"]);
    let allowed = GroupSettings::default().allow_in_live("warm-up");
    assert!(
        refused(Health::builder().check(gate).group("live", allowed))
            .contains("\"warm-up\": a closed gate in \"live\"")
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_wakes_a_subscription_and_reaches_two_healths() {
    let gate = Gate::closed("warm-up", "loading");
    let one = build(Health::builder().check(gate.check()));
    let other = build(Health::builder().check(gate.check()));
    let mut ready = one.subscribe("ready").unwrap();
    assert!(!ready.changed().await.unwrap().healthy);
    let began = tokio::time::Instant::now();
    gate.open();
    assert!(ready.changed().await.unwrap().healthy);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(of(&other, "ready").await.healthy);
    drop(one);
    gate.close("again");
    assert!(!of(&other, "ready").await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_report_and_a_run_on_demand_runs_nothing() {
    let gate = Gate::closed("gate", "loading");
    let mirror = Reported::new("mirror");
    let listener = {
        let mirror = mirror.clone();
        move |transition: &Transition| {
            if transition.check == "gate" && transition.to == Status::Working {
                mirror.working();
            }
        }
    };
    let health = build(
        Health::builder()
            .check(gate.check())
            .check(mirror.check())
            .listener(listener),
    );
    gate.open();
    let report = health.report().await;
    assert!(report.healthy, "{:?}", report.checks);
    assert_eq!(
        health.run_check("gate").await.unwrap().pretty_status(),
        "working"
    );
}

#[test]
fn beats_from_many_threads_are_seen() {
    let consumer = Heartbeat::new("consumer", Duration::from_millis(200));
    let idle = check_fn("idle", || async { Ok(()) });
    let health = build(Health::builder().check(consumer.check()).check(idle));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100_000 {
                    consumer.beat();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                runtime.block_on(health.report());
            }
        });
    });
    assert_eq!(runtime.block_on(says(&health)), "working");
    let late = async {
        sleep(Duration::from_millis(250)).await;
        says(&health).await
    };
    assert!(
        runtime
            .block_on(late)
            .starts_with("unavailable: last heartbeat")
    );
}
