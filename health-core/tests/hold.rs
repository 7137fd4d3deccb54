//! Tests holds, in incidents in which a dependency of all replicas fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{
    CheckExt as _, Endpoint, FailureKind, GroupSettings, GroupTransition, Health, HealthBuilder,
    HealthCheck, Hold, Report, Scope, ServiceUnavailable, ServiceWarning, Settings, Status,
    StatusListener, Transition, check_fn,
};
use http::Request;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A database that works, warns, fails or hangs.
#[derive(Debug, Clone, Default)]
struct Database(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Up,
    Slow,
    Down,
    Frozen,
}

impl Database {
    fn set(&self, state: State) {
        *self.0.lock().unwrap() = state;
    }

    fn check(&self, name: &'static str) -> impl HealthCheck + use<> {
        let state = Arc::clone(&self.0);
        check_fn(name, move || {
            let state = *state.lock().unwrap();
            async move {
                match state {
                    State::Up => Ok(()),
                    State::Slow => Err(ServiceWarning::new("slow").into()),
                    State::Down => Err(ServiceUnavailable::new("connection refused").into()),
                    State::Frozen => std::future::pending().await,
                }
            }
        })
    }
}

fn replica(database: &Database) -> HealthBuilder {
    Health::builder().check(database.check("orders"))
}

async fn ready(health: &Health) -> Arc<Report> {
    health.group_report("ready").await.unwrap()
}

/// Reads `ready` once a second until it becomes healthy or unhealthy. Returns the seconds that this
/// took, or `None` after the limit.
async fn until(health: &Health, healthy: bool, limit: u64) -> Option<u64> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(limit) {
        if ready(health).await.healthy == healthy {
            return Some(began.elapsed().as_secs());
        }
        sleep(SECOND).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_failover_of_twenty_seconds_removes_no_replica() {
    let database = Database::default();
    let replicas: Vec<Health> = (0..50)
        .map(|_| replica(&database).build().unwrap())
        .collect();
    for health in &replicas {
        assert!(ready(health).await.healthy);
    }
    database.set(State::Down);
    for _ in 0..20 {
        sleep(SECOND).await;
        for health in &replicas {
            let report = ready(health).await;
            assert!(report.healthy);
            let row = &report.checks[0];
            assert_eq!(row.status, Status::Unavailable);
            assert!(row.held);
            assert!(!row.fails_report);
            assert_eq!(
                row.pretty_status(),
                "unavailable: connection refused (held)"
            );
            assert!(row.counts_at.is_some());
            let all = health.report().await;
            assert!(
                !all.healthy && !all.checks[0].held,
                "the report of all checks is red at once"
            );
            let group = all
                .groups
                .iter()
                .find(|group| group.group == "ready")
                .unwrap();
            assert!(group.healthy);
            assert_eq!(&group.held[..], &["orders".to_owned()][..]);
            assert_eq!(&group.holdable[..], &["orders".to_owned()][..]);
        }
    }
    database.set(State::Up);
    sleep(SECOND).await;
    for health in &replicas {
        assert_eq!(ready(health).await.checks[0].pretty_status(), "working");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_stays_away_removes_the_replicas_one_after_the_other() {
    let database = Database::default();
    let mut times = Vec::new();
    for _ in 0..30 {
        database.set(State::Up);
        let health = replica(&database).build().unwrap();
        assert!(ready(&health).await.healthy);
        sleep(2 * SECOND).await;
        database.set(State::Down);
        times.push(
            until(&health, false, 300)
                .await
                .expect("it leaves in the end"),
        );
    }
    let first = *times.iter().min().unwrap();
    let last = *times.iter().max().unwrap();
    assert!(first >= 119 && last <= 183, "from {first} to {last} s");
    assert!(
        last - first > 20,
        "they leave from {first} to {last} s, spread over half of the hold"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_reached_its_database_gets_no_traffic() {
    let database = Database::default();
    database.set(State::Down);
    let health = replica(&database).build().unwrap();
    assert_eq!(until(&health, true, 30).await, None, "it is not ready");
    database.set(State::Up);
    assert!(until(&health, true, 5).await.is_some());
    database.set(State::Down);
    sleep(2 * SECOND).await;
    let report = ready(&health).await;
    assert!(
        report.healthy && report.checks[0].held,
        "it has worked once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_warning_before_is_good_enough_and_a_warning_is_not_held_where_it_does_not_count() {
    let database = Database::default();
    database.set(State::Slow);
    let health = replica(&database).build().unwrap();
    let row = ready(&health).await.checks[0].clone();
    assert_eq!(row.status, Status::Warning);
    assert!(!row.held);
    database.set(State::Down);
    sleep(2 * SECOND).await;
    assert!(ready(&health).await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_flaps_counts_in_the_end() {
    let database = Database::default();
    let health = replica(&database)
        .group("ready", GroupSettings::default().hold(10 * SECOND))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    let mut left = false;
    for second in 0..60 {
        database.set(if second % 4 == 0 {
            State::Up
        } else {
            State::Down
        });
        sleep(Duration::from_millis(1001)).await;
        left |= !ready(&health).await.healthy;
    }
    assert!(left);
}

#[tokio::test(start_paused = true)]
async fn a_check_with_a_long_interval_does_not_count_between_its_runs() {
    let database = Database::default();
    let health = Health::builder()
        .check(database.check("orders").every(60 * SECOND))
        .group("ready", GroupSettings::default().hold(10 * SECOND))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    database.set(State::Down);
    let left = until(&health, false, 300).await.unwrap();
    assert!(
        left >= 115,
        "one failing run, and then another one a minute later: {left} s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_hangs_for_longer_than_the_hold_counts() {
    let database = Database::default();
    let health = Health::builder()
        .check(database.check("orders").timeout(600 * SECOND))
        .settings(Settings::default().max_stale(Duration::ZERO))
        .group("ready", GroupSettings::default().hold(20 * SECOND))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    database.set(State::Frozen);
    let left = until(&health, false, 100).await.unwrap();
    assert!((18..=34).contains(&left), "{left} s");
}

#[tokio::test(start_paused = true)]
async fn thresholds_run_at_the_same_time_as_the_hold() {
    let database = Database::default();
    let health = Health::builder()
        .check(database.check("orders").thresholds(3, 5))
        .group("ready", GroupSettings::default().hold(10 * SECOND))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    database.set(State::Down);
    let left = until(&health, false, 60).await.unwrap();
    assert!((9..=17).contains(&left), "{left} s");
    database.set(State::Up);
    let back = until(&health, true, 60).await.unwrap();
    assert!(
        back >= 2,
        "it needs three runs to rise, and is not held meanwhile: {back} s"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_hold_is_not_for() {
    let database = Database::default();
    let build = |builder: HealthBuilder| builder.build().unwrap();
    let check = || database.check("orders");
    let batch = || GroupSettings::default();
    let healths = [
        build(Health::builder().check(check().scoped(Scope::Instance))),
        build(Health::builder().check(check().hold(Hold::NONE))),
        build(
            Health::builder()
                .check(check())
                .group("ready", batch().hold(Duration::ZERO)),
        ),
    ];
    for health in &healths {
        assert!(ready(health).await.healthy);
    }
    let declared = build(
        Health::builder()
            .check(check().groups(["batch"]).hold(Hold::FOREVER))
            .group("batch", batch()),
    );
    assert!(declared.group_report("batch").await.unwrap().healthy);
    let held = build(Health::builder().check(check()));
    assert!(ready(&held).await.healthy);
    database.set(State::Down);
    sleep(2 * SECOND).await;
    for health in &healths {
        assert!(!ready(health).await.healthy, "it counts at once");
    }
    assert!(
        !declared.group_report("batch").await.unwrap().healthy,
        "the group does not hold"
    );
    held.drain();
    let report = ready(&held).await;
    assert!(
        !report.healthy && report.checks.iter().any(|row| row.held),
        "draining is never held"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_for_ever_never_counts_and_a_check_s_own_hold_has_its_length() {
    let database = Database::default();
    let health = Health::builder()
        .check(database.check("orders").hold(Hold::FOREVER))
        .check(database.check("stock").hold(5 * SECOND))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    database.set(State::Down);
    assert!((4..=9).contains(&until(&health, false, 60).await.unwrap()));
    sleep(3600 * SECOND).await;
    ready(&health).await;
    sleep(2 * SECOND).await;
    let report = ready(&health).await;
    let [orders, stock] = &report.checks[..] else {
        panic!("two rows")
    };
    assert!(orders.held);
    assert_eq!(orders.counts_at, None);
    assert!(!orders.fails_report);
    assert!(!stock.held);
    assert!(stock.fails_report);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_a_held_row_blocks_is_held() {
    let dns = Database::default();
    let orders = Database::default();
    let health = Health::builder()
        .check(dns.check("dns").hold(Hold::FOREVER))
        .check(orders.check("orders").hold(Hold::NONE).depends_on(["dns"]))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    orders.set(State::Down);
    dns.set(State::Down);
    let report = ready(&health).await;
    assert!(report.healthy, "{:?}", report.checks);
    assert_eq!(
        report.checks[1].pretty_status(),
        "unavailable: blocked by dns (held)"
    );
    dns.set(State::Up);
    sleep(2 * SECOND).await;
    assert!(!ready(&health).await.healthy, "now it is its own failure");
}

#[tokio::test(start_paused = true)]
async fn an_expired_background_verdict_is_not_held() {
    let database = Database::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let clock = health_testkit::ManualClock::default();
    let health = Health::builder()
        .check(database.check("orders").every(3600 * SECOND))
        .runtime(runtime.handle().clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let healthy = std::thread::spawn({
        let health = health.clone();
        move || {
            runtime
                .block_on(async { (ready(&health).await.healthy, runtime.handle().clone()) })
                .0
        }
    });
    assert!(healthy.join().unwrap());
    clock.advance(4 * 3600 * SECOND);
    let report = ready(&health).await;
    assert!(
        !report.healthy && !report.checks[0].held,
        "{:?}",
        report.checks[0]
    );
}

#[test]
fn a_hold_of_live_or_startup_is_refused() {
    for group in ["live", "startup"] {
        let builder = Health::builder().group(group, GroupSettings::default().hold(SECOND));
        let error = builder.build().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("group \"{group}\": hold is for ready")),
            "{error}"
        );
    }
}

#[test]
fn a_hold_of_a_check_that_is_never_held_is_refused() {
    let disk = Database::default()
        .check("disk")
        .scoped(Scope::Instance)
        .hold(SECOND);
    let error = Health::builder()
        .check(disk)
        .build()
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "check \"disk\": its scope is instance, and only external checks are held: leave hold out"
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_row_is_no_healthy_one_in_any_format() {
    let database = Database::default();
    let health = replica(&database).build().unwrap();
    let endpoint = health_core::Endpoint::new("/ht/", health);
    let get = async |query: &str| {
        let request = http::Request::get(format!("/ht/ready/?{query}"))
            .body(())
            .unwrap();
        String::from_utf8(endpoint.respond(&request).await.body().to_vec()).unwrap()
    };
    get("").await;
    sleep(2 * SECOND).await;
    database.set(State::Down);
    assert_eq!(
        get("format=json").await,
        r#"{"orders": "unavailable: connection refused (held)"}"#
    );
    assert!(
        get("format=text&verbose")
            .await
            .starts_with("[+]orders held: unavailable: connection refused")
    );
    let metrics = get("format=openmetrics").await;
    assert!(
        metrics.contains("health_check_healthy{check=\"orders\"} 0\n"),
        "an alert on it fires: {metrics}"
    );
    assert!(
        metrics.contains("health_check_overall_healthy 1\n")
            && metrics.contains("health_check_held{check=\"orders\",group=\"ready\"} 1\n")
    );
    assert!(get("format=health").await.contains(r#""status":"warn""#));
    assert!(get("format=html").await.contains("counts from <time"));
}

/// Records the transitions of groups.
#[derive(Clone, Default)]
struct Pager(Arc<Mutex<Vec<GroupTransition>>>);

impl StatusListener for Pager {
    fn on_transition(&self, _: &Transition) {}

    fn on_group_transition(&self, transition: &GroupTransition) {
        self.0.lock().unwrap().push(transition.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn a_transition_of_a_group_names_its_causes() {
    let database = Database::default();
    let pager = Pager::default();
    let health = replica(&database)
        .group("ready", GroupSettings::default().hold(3 * SECOND))
        .listener(pager.clone())
        .build()
        .unwrap();
    ready(&health).await;
    assert!(
        pager.0.lock().unwrap().is_empty(),
        "a good beginning is no news"
    );
    sleep(2 * SECOND).await;
    database.set(State::Down);
    until(&health, false, 60).await.unwrap();
    ready(&health).await;
    database.set(State::Up);
    until(&health, true, 60).await.unwrap();
    health.drain();
    ready(&health).await;
    let turns = pager.0.lock().unwrap().clone();
    let turns: Vec<_> = turns
        .iter()
        .map(|turn| {
            let causes: Vec<_> = turn
                .causes
                .iter()
                .map(|cause| format!("{} {:?}", cause.check, cause.kind))
                .collect();
            (
                turn.group.clone().unwrap_or_default(),
                turn.healthy,
                causes.join(", "),
            )
        })
        .collect();
    let of = |healthy, causes: &str| ("ready".to_owned(), healthy, causes.to_owned());
    assert_eq!(
        turns,
        [
            of(false, "orders Other"),
            of(true, "orders Other"),
            of(false, "Draining Other")
        ]
    );
}

/// A client may wait for less time than the group has. What it reads is not the verdict of the
/// group.
#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_less_turns_no_group() {
    let database = Database::default();
    let pager = Pager::default();
    database.set(State::Frozen);
    let endpoint = Endpoint::new(
        "/ht/",
        replica(&database).listener(pager.clone()).build().unwrap(),
    );
    let request = || Request::get("/ht/ready/?format=openmetrics");
    let hurried = request()
        .header("x-prometheus-scrape-timeout-seconds", "0.6")
        .body(())
        .unwrap();
    let metrics = endpoint.respond(&hurried).await;
    assert!(String::from_utf8_lossy(metrics.body()).contains("health_check_overall_healthy 0"));
    assert!(
        pager.0.lock().unwrap().is_empty(),
        "{:?}",
        pager.0.lock().unwrap()
    );
    endpoint.respond(&request().body(()).unwrap()).await;
    assert_eq!(
        pager.0.lock().unwrap().len(),
        1,
        "the group's own budget has ended without a verdict"
    );
}

/// A certificate or a token that has expired is a failure as any other one. It is not the verdict
/// that has expired.
#[tokio::test(start_paused = true)]
async fn a_failure_of_the_kind_expired_is_held_and_told_once() {
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<Status>>>);
    impl StatusListener for Told {
        fn on_transition(&self, transition: &Transition) {
            self.0.lock().unwrap().push(transition.to);
        }
    }
    let expires = Arc::new(AtomicBool::new(false));
    let told = Told::default();
    let of_check = Arc::clone(&expires);
    let check = check_fn("token", move || {
        let error =
            ServiceUnavailable::new("the token has expired").with_kind(FailureKind::Expired);
        let outcome = if of_check.load(Ordering::SeqCst) {
            Err(error.into())
        } else {
            Ok(())
        };
        async move { outcome }
    });
    let health = Health::builder()
        .check(check)
        .listener(told.clone())
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    expires.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        sleep(2 * SECOND).await;
        let report = ready(&health).await;
        assert!(report.healthy && report.checks[0].held, "{report:?}");
    }
    assert_eq!(
        *told.0.lock().unwrap(),
        [Status::Working, Status::Unavailable]
    );
}
