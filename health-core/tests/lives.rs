//! The life of a service: the runtime that it lives on ends, it drains and comes back, it shuts
//! down.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may, and those without a runtime may block"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use health_core::{
    CheckExt as _, CheckReport, GroupSettings, Health, HealthCheck, Heartbeat, Hold, Report,
    ServiceUnavailable, Settings, check_fn,
};
use health_testkit::ManualClock;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// A check that counts its runs, notes where it runs, and fails if a test wants it to.
#[derive(Clone, Default)]
struct Server {
    is_down: Arc<AtomicBool>,
    runs: Arc<AtomicUsize>,
    places: Arc<Mutex<Vec<tokio::runtime::Id>>>,
}

impl Server {
    fn check(&self, name: &'static str) -> impl HealthCheck + use<> {
        let server = self.clone();
        check_fn(name, move || {
            server.runs.fetch_add(1, Ordering::SeqCst);
            server.places.lock().unwrap().push(Handle::current().id());
            let is_down = server.is_down.load(Ordering::SeqCst);
            async move {
                if is_down {
                    Err(ServiceUnavailable::new("refused").into())
                } else {
                    Ok(())
                }
            }
        })
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    fn is_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

async fn ready(health: &Health) -> Arc<Report> {
    health.group_report("ready").await.unwrap()
}

#[test]
fn a_reader_never_lends_its_runtime() {
    let orders = Server::default();
    let build = || {
        Health::builder()
            .check(orders.check("orders").ttl(Duration::ZERO))
            .build()
            .unwrap()
    };
    let reader = runtime();
    let outside = build();
    assert!(reader.block_on(outside.report()).healthy);
    let given = runtime();
    let inside = given.block_on(async { build() });
    assert!(reader.block_on(inside.report()).healthy);
    drop(given);
    assert!(
        reader.block_on(inside.report()).healthy,
        "on the engine's own"
    );
    let places = orders.places.lock().unwrap();
    assert_eq!(places.len(), 3);
    assert!(!places.contains(&reader.handle().id()));
    assert_ne!(places[1], places[2]);
}

#[test]
fn a_subscription_goes_on_although_its_runtime_ends_while_it_waits() {
    let orders = Server::default();
    let given = runtime();
    let health = given.block_on(async {
        let check = orders.check("orders").hold(Hold::NONE).ttl(SECOND / 10);
        Health::builder().check(check).build().unwrap()
    });
    let mut before = health.subscribe("ready").unwrap();
    let reader = runtime();
    assert!(reader.block_on(before.changed()).unwrap().healthy);
    let waits = reader.spawn(async move { before.changed().await });
    drop(given);
    orders.is_down(true);
    let report = reader.block_on(async { timeout(5 * SECOND, waits).await });
    assert!(!report.unwrap().unwrap().unwrap().healthy);
    // One that begins after the end of the runtime.
    let mut after = health.subscribe("live").unwrap();
    let report = reader.block_on(async { timeout(5 * SECOND, after.changed()).await });
    assert!(report.unwrap().unwrap().healthy);
}

#[test]
fn a_run_and_the_background_go_on_although_their_runtime_ends() {
    let given = runtime();
    let orders = Server::default();
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let slow = check_fn("slow", move || {
        let is_first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                sleep(60 * SECOND).await;
            }
            Ok(())
        }
    });
    let health = given.block_on(async {
        Health::builder()
            .check(orders.check("orders").every(SECOND / 20))
            .check(slow.timeout(60 * SECOND))
            .build()
            .unwrap()
    });
    health.start();
    let reader = runtime();
    let reading = reader.spawn({
        let health = health.clone();
        async move { health.report().await }
    });
    std::thread::sleep(SECOND / 5);
    drop(given);
    let report = reader.block_on(reading).unwrap();
    assert!(report.healthy, "{:?}", report.checks);
    assert_eq!(runs.load(Ordering::SeqCst), 2, "it was begun again, once");
    let before = orders.runs();
    std::thread::sleep(SECOND); // and nobody reads
    assert!(
        orders.runs() > before + 5,
        "{before} runs, then {}",
        orders.runs()
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_after_a_shutdown_from_whichever_clone() {
    let (asked, background) = (Server::default(), Server::default());
    let health = Health::builder()
        .check(asked.check("asked"))
        .check(background.check("background").every(SECOND))
        .group("batch", GroupSettings::default().drains(false))
        .check(check_fn("nightly", || async { Ok(()) }).groups(["batch"]))
        .check(Heartbeat::new("loop", SECOND).check().groups(["live"]))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    assert!(health.clone().shutdown(SECOND).await);
    let (first, second) = (asked.runs(), background.runs());
    for _ in 0..5 {
        sleep(3600 * SECOND).await;
        health.start();
        let report = health.report().await;
        assert!(!report.healthy);
        let lines: Vec<String> = report.checks.iter().map(CheckReport::line).collect();
        assert_eq!(lines[0], "unavailable: shutting down");
        assert_eq!(
            lines[1..3],
            ["working", "working"],
            "neither expired nor late: {lines:?}"
        );
        assert!(!ready(&health).await.healthy);
        assert!(
            !health.group_report("batch").await.unwrap().healthy,
            "whatever its drains says"
        );
        assert!(health.group_report("live").await.unwrap().healthy);
        assert!(
            health
                .group_report("startup")
                .await
                .unwrap()
                .checks
                .iter()
                .all(|row| row.identifier != "Draining")
        );
        let row = health.run_check("asked").await.unwrap();
        assert_eq!(row.line(), "working");
    }
    assert_eq!((asked.runs(), background.runs()), (first, second));
    assert!(!health.undrain(), "it is for ever");
    assert!(!ready(&health).await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_when_the_service_shuts_down_gets_its_answer() {
    let stuck = check_fn("stuck", || async {
        std::future::pending::<()>().await;
        Ok(())
    });
    let health = Health::builder()
        .check(stuck.timeout(3600 * SECOND))
        .build()
        .unwrap();
    let reading = tokio::spawn({
        let health = health.clone();
        async move { health.report().await }
    });
    sleep(SECOND).await;
    let began = tokio::time::Instant::now();
    assert!(health.clone().shutdown(SECOND).await);
    let report = reading.await.unwrap();
    assert!(!report.healthy);
    assert!(began.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_after_the_last_word_of_a_shutdown() {
    let health = Health::builder()
        .check(Server::default().check("orders"))
        .build()
        .unwrap();
    let mut ready = health.subscribe("ready").unwrap();
    assert!(ready.changed().await.unwrap().healthy);
    assert!(health.clone().shutdown(SECOND).await);
    assert!(!ready.changed().await.unwrap().healthy);
    assert!(ready.changed().await.is_none());
    let mut late = health.subscribe("live").unwrap();
    assert!(late.changed().await.unwrap().healthy);
    assert!(late.changed().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_in_a_drain_outlives_it() {
    let settings = Settings::default().drain_delay(5 * SECOND);
    let health = Health::builder().settings(settings).build().unwrap();
    let before = health.stops();
    health.drain();
    let during = health.stops().shared();
    let began = tokio::time::Instant::now();
    before.await;
    assert_eq!(began.elapsed(), 5 * SECOND);
    timeout(3600 * SECOND, during.clone()).await.unwrap_err();
    assert!(health.undrain());
    timeout(3600 * SECOND, during.clone()).await.unwrap_err();
    health.drain();
    let began = tokio::time::Instant::now();
    timeout(3600 * SECOND, during).await.unwrap();
    assert_eq!(began.elapsed(), 5 * SECOND, "the next drain ends it");

    let last = health.stops();
    assert!(health.shutdown(SECOND).await);
    timeout(SECOND, last).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn groups_may_fail_later_than_the_drain_begins() {
    let settings = Settings::default().drain_ready_after(2 * SECOND);
    let health = Health::builder()
        .settings(settings.clone())
        .check(Server::default().check("orders"))
        .build()
        .unwrap();
    let mut subscription = health.subscribe("ready").unwrap();
    assert!(subscription.changed().await.unwrap().healthy);
    health.drain();
    let began = tokio::time::Instant::now();
    assert!(health.is_draining());
    assert!(ready(&health).await.healthy && health.report().await.healthy);
    let report = subscription.changed().await.unwrap();
    assert!(!report.healthy);
    assert_eq!(
        began.elapsed(),
        2 * SECOND,
        "at that time, with nobody reading"
    );
    assert!(!health.report().await.healthy);

    let error = Health::builder()
        .settings(settings.drain_delay(2 * SECOND))
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("drain_ready_after"), "{error}");
}

#[test]
fn drains_and_their_ends_from_several_threads_leave_no_half_of_one() {
    let settings = Settings::default().drain_delay(Duration::ZERO);
    let health = Health::builder().settings(settings).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    health.drain();
                    health.undrain();
                }
            });
        }
    });
    assert!(!health.is_draining());
    health.drain();
    assert!(health.undrain(), "and the next one is whole");
}

#[test]
fn a_clock_that_is_not_that_of_the_runtime_is_the_one_that_counts() {
    let clock = ManualClock::default();
    let settings = Settings::default().drain_ready_after(2 * SECOND);
    let health = Health::builder()
        .settings(settings)
        .clock(clock.clone())
        .build()
        .unwrap();
    let reader = runtime();
    health.drain();
    assert!(reader.block_on(health.report()).healthy);
    clock.advance(2 * SECOND);
    let began = Instant::now();
    assert!(!reader.block_on(health.report()).healthy);
    assert!(began.elapsed() < SECOND);
}
