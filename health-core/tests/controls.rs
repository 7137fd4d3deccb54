//! Runs on demand, group reports, subscriptions and interceptors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{
    CheckExt as _, ErrorType, FinishedRun, GroupSettings, Health, HealthCheck, Hold, Interceptor,
    Report, RunFuture, RunInfo, ServiceUnavailable, Settings, Status, Subscription, check_fn,
};
use tokio::time::{sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

const SECOND: Duration = Duration::from_secs(1);

/// A switch that makes its check fail, and the number of the runs of that check.
#[derive(Clone, Default)]
struct Switch {
    failing: Arc<Mutex<bool>>,
    runs: Arc<AtomicUsize>,
}

impl Switch {
    fn check(&self, name: &'static str) -> impl HealthCheck + use<> {
        let switch = self.clone();
        check_fn(name, move || {
            switch.runs.fetch_add(1, Ordering::SeqCst);
            let is_failing = *switch.failing.lock().unwrap();
            async move {
                if is_failing {
                    Err(ServiceUnavailable::new("refused").into())
                } else {
                    Ok(())
                }
            }
        })
    }

    fn fail(&self, failing: bool) {
        *self.failing.lock().unwrap() = failing;
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_runs_now_however_fresh_its_verdict_is() {
    let orders = Switch::default();
    let dns = Switch::default();
    let health = Health::builder()
        .check(
            orders
                .check("orders")
                .depends_on(["dns"])
                .every(3600 * SECOND),
        )
        .check(dns.check("dns").ttl(3600 * SECOND))
        .build()
        .unwrap();
    health.report().await;
    orders.fail(true);
    assert!(health.report().await.healthy, "the next run is in an hour");
    let row = health.run_check("orders").await.unwrap();
    assert_eq!(row.identifier.as_str(), "orders");
    assert_eq!(row.pretty_status().as_str(), "unavailable: refused");
    assert_eq!(orders.runs(), 2, "the dependency is still fresh");
    assert_eq!(dns.runs(), 1, "the dependency is still fresh");
    assert!(
        !health.report().await.healthy,
        "every reader sees the new verdict"
    );
    let error = health.run_check("orderz").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no check is named \"orderz\"; there are: dns, orders"
    );
}

#[tokio::test(start_paused = true)]
async fn two_calls_at_once_share_one_run() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let slow = check_fn("slow", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(SECOND).await;
            Ok(())
        }
    });
    let health = Health::builder().check(slow).build().unwrap();
    let (one, other) = tokio::join!(health.run_check("slow"), health.run_check("slow"));
    assert_eq!(one.unwrap().status, Status::Working);
    assert_eq!(other.unwrap().status, Status::Working);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_s_report_is_within_its_budget() {
    let stuck = check_fn("stuck", || async {
        sleep(3600 * SECOND).await;
        Ok(())
    });
    let budget = Duration::from_millis(100);
    let health = Health::builder()
        .group("batch", GroupSettings::default().budget(budget))
        .check(stuck.groups(["batch"]))
        .build()
        .unwrap();
    let report = timeout(2 * budget, health.group_report("batch"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(report.group.as_deref(), Some("batch"));
    assert!(!report.healthy);
    let error = health.group_report("bach").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "no group is named \"bach\"; there are: live, ready, startup, batch"
    );
}

async fn next(subscription: &mut Subscription) -> Arc<Report> {
    timeout(60 * SECOND, subscription.changed())
        .await
        .expect("a change within a minute")
        .expect("a health")
}

#[tokio::test(start_paused = true)]
async fn a_subscription_sees_the_present_verdict_and_each_change() {
    let queue = Switch::default();
    let health = Health::builder()
        .check(queue.check("queue").hold(Hold::NONE))
        .build()
        .unwrap();
    assert!(health.subscribe("raedy").is_err());
    let mut ready = health.subscribe("ready").unwrap();
    assert!(ready.latest().is_none());
    assert!(next(&mut ready).await.healthy);
    timeout(10 * SECOND, ready.changed()).await.unwrap_err(); // nothing changes
    assert!(
        (10..=12).contains(&queue.runs()),
        "{} runs in ten seconds with a ttl of one",
        queue.runs()
    );

    queue.fail(true);
    let report = next(&mut ready).await;
    assert!(!report.healthy);
    assert_eq!(
        report.checks[0].pretty_status().as_str(),
        "unavailable: refused"
    );
    let mut late = health.subscribe("ready").unwrap();
    assert!(
        !next(&mut late).await.healthy,
        "a new subscription begins with the present verdict"
    );
    queue.fail(false);
    assert!(next(&mut ready).await.healthy && next(&mut late).await.healthy);

    let began = tokio::time::Instant::now();
    health.drain();
    assert!(!next(&mut ready).await.healthy);
    assert_eq!(began.elapsed(), Duration::ZERO, "a drain is seen at once");
    assert!(health.undrain());
    assert!(next(&mut ready).await.healthy);

    drop(health);
    assert!(
        timeout(SECOND, ready.changed())
            .await
            .expect("the end is seen at once")
            .is_none()
    );
    assert!(late.latest().is_some(), "the last report stays readable");
}

#[tokio::test(start_paused = true)]
async fn a_background_run_wakes_a_subscription_and_without_one_nothing_is_read() {
    let queue = Switch::default();
    let health = Health::builder()
        .check(queue.check("queue").hold(Hold::NONE).every(10 * SECOND))
        .build()
        .unwrap();
    let mut ready = health.subscribe("ready").unwrap();
    assert!(next(&mut ready).await.healthy);
    queue.fail(true);
    assert!(
        !timeout(12 * SECOND, ready.changed())
            .await
            .unwrap()
            .unwrap()
            .healthy
    );

    let cache = Switch::default();
    let other = Health::builder()
        .check(cache.check("cache"))
        .build()
        .unwrap();
    drop(other.subscribe("ready").unwrap());
    sleep(5 * SECOND).await;
    let runs = cache.runs();
    sleep(60 * SECOND).await;
    assert_eq!(cache.runs(), runs, "its reader has ended");
    assert!(
        next(&mut other.subscribe("ready").unwrap()).await.healthy,
        "and starts again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_never_fresh_is_read_once_a_second() {
    let queue = Switch::default();
    let health = Health::builder()
        .check(queue.check("queue").ttl(Duration::ZERO))
        .build()
        .unwrap();
    let mut ready = health.subscribe("ready").unwrap();
    next(&mut ready).await;
    timeout(10 * SECOND, ready.changed()).await.unwrap_err();
    assert!((9..=12).contains(&queue.runs()), "{}", queue.runs());
}

#[test]
fn a_subscription_survives_the_runtime_that_it_began_on() {
    let queue = Switch::default();
    let health = Health::builder()
        .check(queue.check("queue").hold(Hold::NONE))
        .build()
        .unwrap();
    let mut ready = health.subscribe("ready").unwrap(); // outside of any runtime
    for failing in [false, true] {
        queue.fail(failing);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let report = runtime.block_on(async { timeout(10 * SECOND, ready.changed()).await });
        assert_eq!(report.unwrap().unwrap().healthy, !failing);
    }
}

/// Records the calls of the interceptors.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Noting(&'static str, Notes);

impl Interceptor for Noting {
    fn around<'a>(&'a self, info: RunInfo<'a>, run: RunFuture<'a>) -> RunFuture<'a> {
        Box::pin(async move {
            self.1
                .0
                .lock()
                .unwrap()
                .push(format!("{} begins {}", self.0, info.check));
            let result = run.await;
            self.1
                .0
                .lock()
                .unwrap()
                .push(format!("{} sees {}", self.0, result.is_ok()));
            result
        })
    }

    fn finished(&self, info: RunInfo<'_>, run: FinishedRun<'_>) {
        let errors = run
            .errors
            .iter()
            .map(|error| error.message_type.as_str())
            .collect::<Vec<_>>()
            .join(",");
        let note = format!("{} finished {} {} {errors}", self.0, info.check, run.status);
        self.1.0.lock().unwrap().push(note);
    }
}

#[tokio::test(start_paused = true)]
async fn interceptors_wrap_each_run_in_their_order() {
    let queue = Switch::default();
    let notes = Notes::default();
    let health = Health::builder()
        .check(queue.check("queue"))
        .interceptor(Noting("a", notes.clone()))
        .interceptor(Noting("b", notes.clone()))
        .build()
        .unwrap();
    queue.fail(true);
    health.report().await;
    health.report().await; // without a run
    let expected = [
        "a begins queue",
        "b begins queue",
        "b sees false",
        "a sees false",
        "a finished queue unavailable unavailable",
        "b finished queue unavailable unavailable",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}

/// Records the field `check` of every span, and the spans in which something is logged.
#[derive(Default)]
struct Spans {
    checks: Mutex<Vec<String>>,
    entered: Mutex<Vec<u64>>,
    logged_in: Mutex<Vec<String>>,
}

struct CheckField(Option<String>);

impl Visit for CheckField {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "check" {
            self.0 = Some(format!("{value:?}").trim_matches('"').to_owned());
        }
    }
}

impl Subscriber for &'static Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() || metadata.target() == "driver"
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut field = CheckField(None);
        span.record(&mut field);
        let mut checks = self.checks.lock().unwrap();
        checks.push(field.0.unwrap_or_default());
        span::Id::from_u64(checks.len() as u64)
    }

    fn event(&self, _: &Event<'_>) {
        let name = self
            .entered
            .lock()
            .unwrap()
            .last()
            .map(|id| self.checks.lock().unwrap()[usize::try_from(*id).unwrap() - 1].clone());
        self.logged_in.lock().unwrap().extend(name);
    }

    fn enter(&self, span: &span::Id) {
        self.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, _: &span::Id) {
        self.entered.lock().unwrap().pop();
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
}

#[tokio::test]
async fn what_a_client_logs_during_a_run_is_in_a_span_with_the_name_of_the_check() {
    let spans: &'static Spans = Box::leak(Box::default());
    let _guard = tracing::subscriber::set_default(spans);
    let queue = check_fn("queue", || async {
        tokio::task::yield_now().await;
        tracing::warn!(target: "driver", "slow statement");
        Ok(())
    });
    let health = Health::builder().check(queue).build().unwrap();
    assert!(health.report().await.healthy);
    assert_eq!(*spans.logged_in.lock().unwrap(), ["queue"]);
}

/// An interceptor that panics, or hangs, in `around`.
struct Bad(bool);

impl Interceptor for Bad {
    fn around<'a>(&'a self, _: RunInfo<'a>, run: RunFuture<'a>) -> RunFuture<'a> {
        assert!(self.0, "in the interceptor");
        Box::pin(async move {
            sleep(3600 * SECOND).await;
            run.await
        })
    }

    fn finished(&self, _: RunInfo<'_>, _: FinishedRun<'_>) {
        panic!("in the interceptor, afterwards");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_interceptor_fails_the_row_and_not_the_engine() {
    for (hangs, expected, error) in [
        (
            true,
            "unavailable: timed out after 1 s",
            ErrorType::Unavailable,
        ),
        (false, "unknown error: ", ErrorType::UnknownError),
    ] {
        let notes = Notes::default();
        let health = Health::builder()
            .settings(Settings::default().timeout(SECOND))
            .check(Switch::default().check("queue"))
            .interceptor(Bad(hangs))
            .interceptor(Noting("after", notes.clone()))
            .build()
            .unwrap();
        let row = health.run_check("queue").await.unwrap();
        assert!(
            row.pretty_status().starts_with(expected),
            "{}",
            row.pretty_status()
        );
        assert_eq!(row.errors[0].message_type, error);
        let last = notes.0.lock().unwrap().last().unwrap().clone();
        assert!(
            last.starts_with("after finished queue unavailable"),
            "the others are called all the same: {last}"
        );
    }
}
