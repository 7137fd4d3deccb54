//! Checks that wrap others, and show verdicts that are not of their own runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use health_core::{
    CheckExt as _, CheckInfo, CheckReport, Clock, Evidence, Findings, GroupSettings, Health,
    HealthCheck, HealthCheckException, Hold, Report, ServiceUnavailable, Shown, Status, Verdict,
    check_fn, run,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A check that shows the verdict that a test has set, and asks to be run again each second.
#[derive(Clone, Default)]
struct Relay(Arc<Inner>);

#[derive(Default)]
struct Inner {
    shown: Mutex<Option<(Arc<Verdict>, Evidence, &'static str)>>,
    runs: AtomicUsize,
    clock: Mutex<Option<Arc<dyn Clock>>>,
    has_stopped: AtomicBool,
}

impl Relay {
    fn now(&self) -> Instant {
        self.0.clock.lock().unwrap().as_ref().unwrap().now()
    }

    /// Sets a verdict that has just been found.
    fn find(&self, status: Status, evidence: Evidence, origin: &'static str) {
        let time = self.0.clock.lock().unwrap().as_ref().unwrap().time();
        let mut verdict = Verdict::new(status, self.now(), time);
        if status > Status::Working {
            let error: HealthCheckException = ServiceUnavailable::new("refused").into();
            verdict.errors = vec![(&error).into()];
        }
        *self.0.shown.lock().unwrap() = Some((Arc::new(verdict), evidence, origin));
    }

    /// Shows the last verdict with other evidence.
    fn turn(&self, evidence: Evidence) {
        self.0.shown.lock().unwrap().as_mut().unwrap().1 = evidence;
    }

    fn runs(&self) -> usize {
        self.0.runs.load(Ordering::SeqCst)
    }
}

impl HealthCheck for Relay {
    async fn check_status(&self, findings: &Findings) -> health_core::Result {
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        if self.0.shown.lock().unwrap().is_none() {
            self.find(Status::Working, Evidence::Own, "");
        }
        let (verdict, evidence, origin) = self.0.shown.lock().unwrap().clone().unwrap();
        let shown = Shown::new(verdict, self.now() + SECOND).evidence(evidence);
        findings.show(shown.origin(origin));
        Ok(())
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "orders".into()
    }

    fn refreshes(&self) -> bool {
        true
    }

    fn attach(&self, info: &CheckInfo) -> Result<(), String> {
        *self.0.clock.lock().unwrap() = Some(info.clock());
        Ok(())
    }

    async fn stop(&self) {
        self.0.has_stopped.store(true, Ordering::SeqCst);
    }
}

async fn ready(health: &Health) -> Arc<Report> {
    health.group_report("ready").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_runs_in_the_background_at_the_time_that_it_has_set() {
    let relay = Relay::default();
    let health = Health::builder()
        .check(relay.clone().ttl(60 * SECOND))
        .build()
        .unwrap();
    health.start();
    sleep(10 * SECOND + SECOND / 2).await;
    assert_eq!(relay.runs(), 11, "each second, although nobody has read it");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_is_shown_again_is_no_run() {
    let relay = Relay::default();
    let health = Health::builder()
        .check(relay.clone().thresholds(1, 3))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    relay.find(Status::Unavailable, Evidence::Own, "");
    sleep(10 * SECOND).await;
    let report = health.report().await;
    let row = &report.checks[0];
    assert!(relay.runs() > 9);
    assert_eq!(row.status, Status::Working, "one failure of three");
    assert_eq!(row.raw_status, Status::Unavailable);
    assert_eq!(row.history.runs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_origin_and_the_evidence_of_a_verdict_are_those_that_were_shown_last() {
    let relay = Relay::default();
    let health = Health::builder()
        .check(relay.clone())
        .group("batch", GroupSettings::default())
        .check(check_fn("other", || async { Ok(()) }).groups(["batch"]))
        .build()
        .unwrap();
    assert!(ready(&health).await.healthy);
    relay.find(Status::Unavailable, Evidence::Elsewhere, "seen by web-7");
    sleep(2 * SECOND).await;
    let row = |report: Arc<Report>| report.checks[0].clone();
    let elsewhere = row(ready(&health).await);
    assert_eq!(elsewhere.origin.as_deref(), Some("seen by web-7"));
    assert_eq!(elsewhere.evidence, Evidence::Elsewhere);
    assert!(elsewhere.held && !elsewhere.fails_report, "rule 6");
    assert!(row(health.report().await).fails_report);

    let mut subscription = health.subscribe("ready").unwrap();
    assert!(subscription.changed().await.unwrap().healthy);
    relay.turn(Evidence::Alone);
    let report = subscription.changed().await.unwrap();
    assert!(!report.healthy, "the same verdict from here alone");
    assert_eq!(report.checks[0].evidence, Evidence::Alone);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_has_counted_here_alone_is_not_held_before_the_check_works_again() {
    let relay = Relay::default();
    let health = Health::builder().check(relay.clone()).build().unwrap();
    assert!(ready(&health).await.healthy);
    relay.find(Status::Unavailable, Evidence::Alone, "");
    sleep(2 * SECOND).await;
    assert!(!ready(&health).await.healthy);
    relay.find(Status::Unavailable, Evidence::Own, ""); // now the others fail, too
    sleep(2 * SECOND).await;
    assert!(!ready(&health).await.healthy, "more failures heal nothing");
    relay.find(Status::Working, Evidence::Own, "");
    sleep(2 * SECOND).await;
    assert!(ready(&health).await.healthy);
    relay.find(Status::Unavailable, Evidence::Own, "");
    sleep(2 * SECOND).await;
    let report = ready(&health).await;
    assert!(
        report.healthy && report.checks[0].held,
        "a new failure is held"
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_verdict_does_not_expire_while_it_is_shown() {
    let relay = Relay::default();
    let health = Health::builder().check(relay.clone()).build().unwrap();
    assert!(ready(&health).await.healthy);
    sleep(600 * SECOND).await;
    let report = ready(&health).await;
    assert!(
        report.healthy,
        "a verdict of ten minutes ago, shown each second"
    );
    assert_eq!(report.checks[0].history.runs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrapped_check_runs_as_the_engine_runs_it() {
    struct Twice<C>(C);
    impl<C: HealthCheck> HealthCheck for Twice<C> {
        async fn check_status(&self, findings: &Findings) -> health_core::Result {
            let first = run(&self.0, SECOND).await;
            let second = run(&self.0, SECOND).await;
            assert_eq!(first.errors, second.errors);
            let next = second.finished + SECOND;
            findings.show(Shown::new(second, next).origin("twice"));
            Ok(())
        }

        fn identifier(&self) -> std::borrow::Cow<'_, str> {
            self.0.identifier()
        }
    }
    let frozen = check_fn("frozen", || async {
        std::future::pending::<()>().await;
        Ok(())
    });
    let panics = check_fn("panics", || async { panic!("a bug") });
    let health = Health::builder()
        .check(Twice(frozen))
        .check(Twice(panics))
        .build()
        .unwrap();
    let report = health.report().await;
    let lines: Vec<String> = report.checks.iter().map(CheckReport::line).collect();
    assert_eq!(lines[0], "unavailable: timed out after 1 s");
    assert!(
        lines[1].starts_with("unknown error: see log (ref"),
        "{lines:?}"
    );
    assert_eq!(report.checks[0].origin.as_deref(), Some("twice"));
}

#[tokio::test(start_paused = true)]
async fn what_it_shows_is_fresh_until_the_next_run_in_place_of_a_ttl() {
    struct Lazy(Arc<AtomicUsize>);
    impl HealthCheck for Lazy {
        async fn check_status(&self, findings: &Findings) -> health_core::Result {
            self.0.fetch_add(1, Ordering::SeqCst);
            let verdict = run(&check_fn("inner", || async { Ok(()) }), SECOND).await;
            let next = verdict.finished + 60 * SECOND;
            findings.show(Shown::new(verdict, next));
            Ok(())
        }
    }
    let runs = Arc::new(AtomicUsize::new(0));
    let health = Health::builder()
        .check(Lazy(Arc::clone(&runs)))
        .build()
        .unwrap();
    for _ in 0..100 {
        assert!(health.report().await.healthy);
        sleep(SECOND).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_run_takes_precedence_over_what_is_shown() {
    let check = health_core::check_fn_with("orders", |findings: Findings| async move {
        let verdict = run(&check_fn("inner", || async { Ok(()) }), SECOND).await;
        let next = verdict.finished + SECOND;
        findings.show(Shown::new(verdict, next));
        Err(ServiceUnavailable::new("the wrapper fails").into())
    });
    let health = Health::builder().check(check).build().unwrap();
    assert_eq!(
        health.report().await.checks[0].line(),
        "unavailable: the wrapper fails"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_attached_with_what_was_decided_about_it_and_stopped_at_the_end() {
    struct Attached(Arc<Mutex<Option<CheckInfo>>>, Relay);
    impl HealthCheck for Attached {
        async fn check_status(&self, _: &Findings) -> health_core::Result {
            Ok(())
        }

        fn identifier(&self) -> std::borrow::Cow<'_, str> {
            "attached".into()
        }

        fn attach(&self, info: &CheckInfo) -> Result<(), String> {
            *self.0.lock().unwrap() = Some(info.clone());
            if info.ttl < SECOND {
                Err("it needs a ttl of a second".into())
            } else {
                Ok(())
            }
        }

        fn overhead(&self) -> Duration {
            SECOND
        }

        async fn stop(&self) {
            self.1.stop().await;
        }
    }
    let info = Arc::default();
    let relay = Relay::default();
    let check = || Attached(Arc::clone(&info), relay.clone());
    let error = Health::builder()
        .check(check().ttl(SECOND / 2))
        .check(check_fn("", || async { Ok(()) }))
        .build()
        .unwrap_err();
    assert_eq!(error.faults().len(), 2, "all faults at once: {error}");
    assert!(
        error
            .to_string()
            .contains("check \"attached\": it needs a ttl of a second")
    );

    let health = Health::builder()
        .check(
            check()
                .ttl(3 * SECOND)
                .timeout(2 * SECOND)
                .hold(Hold::FOREVER),
        )
        .build()
        .unwrap();
    let attached = info.lock().unwrap().clone().unwrap();
    assert_eq!(
        (attached.ttl, attached.timeout),
        (3 * SECOND, 2 * SECOND),
        "without the overhead"
    );
    assert_eq!(attached.hold, Some(Duration::MAX));
    assert_eq!(attached.groups, ["ready", "startup"]);
    assert!(health.shutdown(SECOND).await);
    assert!(relay.0.has_stopped.load(Ordering::SeqCst));
}
