//! Rules that are right alone, beside each other: holds and dependencies, thresholds, blocked
//! runtimes, subscriptions and cached reports.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{
    CheckExt as _, Endpoint, GroupSettings, Health, HealthCheck, Heartbeat, Hold, Renderer, Report,
    ServiceUnavailable, ServiceWarning, Settings, Status, check_fn, render_fn,
};
use health_testkit::ManualClock;
use http::Request;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A server, of which a test sets the status.
#[derive(Debug, Clone)]
struct Server(Arc<Mutex<Status>>);

impl Server {
    fn up() -> Self {
        Self(Arc::new(Mutex::new(Status::Working)))
    }

    fn set(&self, status: Status) {
        *self.0.lock().unwrap() = status;
    }

    fn check(&self, name: &'static str) -> impl HealthCheck + use<> {
        let status = Arc::clone(&self.0);
        check_fn(name, move || {
            let status = *status.lock().unwrap();
            async move {
                match status {
                    Status::Working => Ok(()),
                    Status::Warning => Err(ServiceWarning::new("slow").into()),
                    _ => Err(ServiceUnavailable::new("refused").into()),
                }
            }
        })
    }
}

async fn ready(health: &Health) -> Arc<Report> {
    health.group_report("ready").await.unwrap()
}

/// Returns what the report of all checks says about `ready`.
async fn ready_of_all(health: &Health) -> bool {
    let report = health.report().await;
    let mut groups = report.groups.iter();
    groups.find(|group| group.group == "ready").unwrap().healthy
}

/// Reads `ready` in each second until it is unhealthy.
async fn until_not_ready(health: &Health) {
    for _ in 0..300 {
        if !ready(health).await.healthy {
            return;
        }
        sleep(SECOND).await;
    }
    panic!("it stays ready");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_fails_does_not_become_healthy_because_more_fails() {
    let dns = Server::up();
    let orders = Server::up();
    let health = Health::builder()
        .check(dns.check("dns"))
        .check(orders.check("orders").depends_on(["dns"]))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    orders.set(Status::Unavailable);
    until_not_ready(&health).await;
    dns.set(Status::Unavailable);
    for _ in 0..300 {
        sleep(SECOND).await;
        let report = ready(&health).await;
        assert!(!report.healthy, "{:?}", report.checks);
        assert!(!ready_of_all(&health).await);
    }
    assert_eq!(
        ready(&health).await.checks[1].pretty_status(),
        "unavailable: blocked by dns"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_reached_its_database_gets_no_traffic_whatever_else_fails() {
    let dns = Server::up();
    let orders = Server::up();
    orders.set(Status::Unavailable);
    let health = Health::builder()
        .check(dns.check("dns"))
        .check(orders.check("orders").depends_on(["dns"]))
        .build()
        .unwrap();
    assert!(!ready(&health).await.healthy);
    dns.set(Status::Unavailable);
    for _ in 0..10 {
        sleep(2 * SECOND).await;
        assert!(!ready(&health).await.healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_held_with_the_server_that_its_worker_needs() {
    let queue = Server::up();
    let clock = ManualClock::default();
    let worker = Heartbeat::new("worker", 10 * SECOND);
    let health = Health::builder()
        .check(queue.check("queue").hold(Hold::FOREVER))
        .check(worker.check().depends_on(["queue"]).groups(["ready"]))
        .clock(clock.clone())
        .build()
        .unwrap();
    worker.beat();
    assert!(ready(&health).await.healthy);
    clock.advance(5 * SECOND);
    queue.set(Status::Unavailable);
    assert!(ready(&health).await.healthy);
    clock.advance(6 * SECOND);
    let report = ready(&health).await;
    assert!(report.healthy, "{:?}", report.checks);
    assert!(report.checks[1].held, "{:?}", report.checks[1]);
    queue.set(Status::Working);
    clock.advance(2 * SECOND);
    assert!(!ready(&health).await.healthy, "now it is its own failure");
}

#[tokio::test(start_paused = true)]
async fn with_rise_one_lucky_run_begins_no_hold() {
    let orders = Server::up();
    orders.set(Status::Unavailable);
    let health = Health::builder()
        .check(orders.check("orders").thresholds(3, 1))
        .build()
        .unwrap();
    assert!(!ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    orders.set(Status::Working);
    assert!(!ready(&health).await.healthy, "one run of three");
    sleep(2 * SECOND).await;
    orders.set(Status::Unavailable);
    for _ in 0..5 {
        sleep(2 * SECOND).await;
        let report = ready(&health).await;
        assert!(!report.healthy, "{:?}", report.checks);
        assert!(!report.checks[0].held);
    }
}

#[tokio::test(start_paused = true)]
async fn the_reports_of_a_group_agree_about_a_warning_beside_a_held_dependency() {
    let dns = Server::up();
    let orders = Server::up();
    let strict = GroupSettings::default().warnings_as_errors(true);
    let health = Health::builder()
        .group("ready", strict)
        .check(dns.check("dns"))
        .check(orders.check("orders").hold(Hold::NONE).depends_on(["dns"]))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    sleep(2 * SECOND).await;
    dns.set(Status::Unavailable);
    orders.set(Status::Warning);
    let own = ready(&health).await.healthy;
    assert_eq!(ready_of_all(&health).await, own);
}

/// Releases a blocked worker when the test ends, also if it fails.
#[derive(Default)]
struct Release(Arc<AtomicBool>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hold_ends_although_its_run_never_begins() {
    let stuck = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let clock = ManualClock::default();
    let orders = Server::up();
    let settings = Settings::default()
        .max_stale(SECOND)
        .probe_budget(Duration::from_millis(500));
    let health = Health::builder()
        .settings(settings)
        .group("ready", GroupSettings::default().hold(10 * SECOND))
        .check(orders.check("orders"))
        .runtime(stuck.handle().clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let reader = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    reader.block_on(async {
        assert!(ready(&health).await.healthy);
        // From now on nothing runs: the only worker is blocked, as by a deadlock.
        let released = Release::default();
        let is_released = Arc::clone(&released.0);
        stuck.spawn(async move {
            while !is_released.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        sleep(Duration::from_millis(50)).await;
        clock.advance(2 * SECOND);
        let report = ready(&health).await;
        assert!(report.healthy, "held: {:?}", report.checks);
        clock.advance(16 * SECOND);
        let report = ready(&health).await;
        assert!(!report.healthy, "{:?}", report.checks);
        assert!(!ready_of_all(&health).await);
    });
}

#[tokio::test(start_paused = true)]
async fn a_subscription_hears_the_end_of_a_hold_when_it_ends() {
    let orders = Server::up();
    let health = Health::builder()
        .group("ready", GroupSettings::default().hold(10 * SECOND))
        .check(orders.check("orders").every(20 * SECOND))
        .build()
        .unwrap();
    let mut ready = health.subscribe("ready").unwrap();
    assert!(ready.changed().await.unwrap().healthy);
    orders.set(Status::Unavailable);
    let began = tokio::time::Instant::now();
    assert!(!ready.changed().await.unwrap().healthy);
    // The run that begins the hold, and the next one, which began after its end.
    let limit = 45 * SECOND;
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cached_report_of_one_group_does_not_show_what_others_were() {
    let clock = ManualClock::default();
    let worker = Heartbeat::new("worker", 30 * SECOND);
    let loops = Heartbeat::new("loop", Duration::from_secs(3600));
    let health = Health::builder()
        .check(worker.check().groups(["ready"]))
        .check(loops.check().groups(["live"]))
        .clock(clock.clone())
        .build()
        .unwrap();
    worker.beat();
    loops.beat();
    let endpoint = Endpoint::new("/ht/", health.clone());
    let scrape = async || {
        let request = Request::get("/ht/live/?format=report").body(()).unwrap();
        let answer = endpoint.respond(&request).await;
        let report: Report = serde_json::from_slice(answer.body()).unwrap();
        let mut groups = report.groups.into_iter();
        groups.find(|group| group.group == "ready").unwrap().healthy
    };
    assert!(scrape().await);
    clock.advance(31 * SECOND);
    assert!(!ready(&health).await.healthy);
    assert!(!scrape().await);
}

/// A format that counts how often it is rendered.
fn counting(renders: &Arc<AtomicUsize>) -> impl Renderer + use<> {
    let renders = Arc::clone(renders);
    render_fn("json", "application/json", move |report| {
        renders.fetch_add(1, Ordering::Relaxed);
        report.healthy.to_string()
    })
}

#[tokio::test(start_paused = true)]
async fn a_run_outdates_the_reports_that_contain_its_check_and_no_other() {
    let renders = Arc::new(AtomicUsize::new(0));
    let orders = Server::up();
    let health = Health::builder()
        .renderer(counting(&renders))
        .check(orders.check("orders").every(SECOND))
        .build()
        .unwrap();
    let [livez, readyz] = Endpoint::probes(&health);
    let rendered_by = async |endpoint: &Endpoint, path: &str| {
        let before = renders.load(Ordering::Relaxed);
        let request = Request::get(path).body(()).unwrap();
        assert_eq!(endpoint.respond(&request).await.status(), 200);
        renders.load(Ordering::Relaxed) - before
    };
    rendered_by(&livez, "/livez?format=json").await;
    rendered_by(&readyz, "/readyz?format=json").await;
    for _ in 0..5 {
        sleep(2 * SECOND).await; // at least one more run
        assert_eq!(rendered_by(&livez, "/livez?format=json").await, 0);
        assert_eq!(rendered_by(&readyz, "/readyz?format=json").await, 1);
    }
}
