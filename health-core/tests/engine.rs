//! Tests of the engine as a reader sees it, with paused time. A test that runs in real time says
//! why.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use health_core::{
    BoxCheck, CheckExt, ErrorType, Findings, GroupSettings, Health, HealthBuilder, HealthCheck,
    Report, Result, Scope, Selection, ServiceUnavailable, ServiceWarning, Settings, Status, Unit,
    UnknownError, check_blocking, check_fn, check_fn_with,
};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Returns the rows as a table of texts.
fn rows(report: &Report) -> Vec<(&str, String)> {
    report
        .checks
        .iter()
        .map(|check| (check.identifier.as_str(), check.pretty_status()))
        .collect()
}

fn build(builder: HealthBuilder) -> Health {
    builder.build().expect("the test's health is valid")
}

async fn group(health: &Health, name: &str) -> Report {
    health
        .read(&Selection::default().group(name))
        .await
        .expect("the group is there")
}

/// Returns a check that passes, and the counter of its runs.
fn counted(name: &'static str, takes: Duration) -> (Arc<AtomicU32>, impl HealthCheck) {
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let check = check_fn(name, move || {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(takes).await;
            Ok(())
        }
    });
    (runs, check)
}

/// Returns a check that follows a script, one entry per run.
fn scripted(name: &'static str, script: &'static [bool]) -> impl HealthCheck {
    let run = AtomicU32::new(0);
    check_fn(name, move || {
        let works = script[(run.fetch_add(1, Ordering::SeqCst) as usize).min(script.len() - 1)];
        async move {
            if works {
                Ok(())
            } else {
                Err(ServiceUnavailable::new("down").into())
            }
        }
    })
}

fn failing(name: &'static str) -> impl HealthCheck {
    check_fn(name, || async {
        Err(ServiceUnavailable::new("down").into())
    })
}

fn working(name: &'static str) -> impl HealthCheck {
    check_fn(name, || async { Ok(()) })
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_as_long_as_its_slowest_check() {
    let mut builder = Health::builder();
    for name in ["a", "b", "c", "d"] {
        builder = builder.check(counted(name, SECOND).1);
    }
    let began = Instant::now();
    let report = build(builder).report().await;
    assert_eq!(report.checks.len(), 4);
    assert!(report.healthy);
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(report.checks[0].duration, Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_returns_is_answered_after_its_timeout() {
    let hang = check_fn_with("hang", |findings: Findings| async move {
        findings.observe("connections", 3, Unit::Count);
        findings.add_error(ServiceWarning::new("slow login"));
        pending::<Result>().await
    });
    let health = build(
        Health::builder()
            .check(hang.timeout(2 * SECOND))
            .check(working("other")),
    );
    let began = Instant::now();
    let report = health.report().await;
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!(
        rows(&report),
        [
            (
                "hang",
                "warning: slow login\nunavailable: timed out after 2 s".into()
            ),
            ("other", "working".into())
        ]
    );
    assert_eq!(
        report.checks[0].observations[0].name, "connections",
        "what was reported before is in the row"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_no_longer_than_its_budget_and_the_run_goes_on() {
    let (runs, slow) = counted("slow", 3 * SECOND);
    let settings = Settings::default().budget(SECOND).ttl(Duration::ZERO);
    let health = build(
        Health::builder()
            .settings(settings)
            .check(slow.timeout(10 * SECOND)),
    );

    let first = health.report().await;
    assert_eq!(
        rows(&first),
        [("slow", "unavailable: no result yet".into())]
    );
    assert_eq!(first.checks[0].status, Status::Unknown);
    assert!(!first.healthy);

    sleep(Duration::from_millis(2500)).await; // the first run has ended; the next one starts with the next read
    let second = health.report().await;
    assert_eq!(
        rows(&second),
        [("slow", "working".into())],
        "the last verdict stands in"
    );
    assert!(second.checks[0].stale && second.healthy);

    sleep(31 * SECOND).await; // that run ended long ago, and its verdict is older than max_stale
    let third = health.report().await;
    assert_eq!(
        rows(&third),
        [("slow", "unavailable: no answer within 1 s".into())]
    );
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_stays_in_its_row_and_its_message_goes_nowhere() {
    let health = build(
        Health::builder()
            .check(check_fn("boom", || async { panic!("password is hunter2") }))
            .check(check_fn("drops", || async {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        panic!("while being cancelled");
                    }
                }
                let _bomb = Bomb;
                pending::<Result>().await
            }))
            .check(working("fine")),
    );
    let report = health.read(&Selection::default()).await.unwrap();
    let rows = rows(&report);
    assert!(
        rows[0].1.starts_with("unknown error: see log (ref "),
        "{rows:?}"
    );
    assert!(
        rows[1].1.starts_with("unknown error: see log (ref "),
        "{rows:?}"
    );
    assert_eq!(rows[2].1, "working");
    assert!(!format!("{report:?}").contains("hunter2"));
    let again = health.read(&Selection::default()).await.unwrap();
    assert_eq!(
        again.checks[0].pretty_status(),
        rows[0].1,
        "the reference is the same on every poll"
    );
}

#[tokio::test(start_paused = true)]
async fn one_run_at_a_time_whoever_asks_and_one_per_ttl() {
    let (runs, check) = counted("counted", SECOND);
    let health = build(Health::builder().check(check));
    let readers: Vec<_> = (0..10_000)
        .map(|_| {
            let health = health.clone();
            tokio::spawn(async move { health.report().await.healthy })
        })
        .collect();
    for reader in readers {
        assert!(reader.await.unwrap());
    }
    assert_eq!(
        runs.load(Ordering::SeqCst),
        1,
        "10,000 readers of a cold cell"
    );
    sleep(Duration::from_millis(900)).await;
    health.report().await;
    assert_eq!(
        runs.load(Ordering::SeqCst),
        1,
        "fresh for a second from the end of the run"
    );
    sleep(Duration::from_millis(200)).await;
    health.report().await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_leaves_neither_cancels_nor_repeats_the_run() {
    let (runs, check) = counted("counted", SECOND);
    let health = build(Health::builder().check(check));
    let hurried = tokio::time::timeout(Duration::from_millis(10), health.report()).await;
    assert!(hurried.is_err());
    assert!(health.report().await.healthy);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_runs_on_each_read() {
    let (runs, check) = counted("counted", Duration::ZERO);
    let health = build(Health::builder().check(check.ttl(Duration::ZERO)));
    for _ in 0..3 {
        health.report().await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_may_and_liveness_does_not_wait() {
    let settings = Settings::default().max_concurrency(1);
    let live = working("heartbeat").scoped(Scope::Process).groups(["live"]);
    let slow = counted("slow", SECOND).1;
    let slower = counted("slower", SECOND).1;
    let health = build(
        Health::builder()
            .settings(settings)
            .check(slow)
            .check(slower)
            .check(live),
    );
    let began = Instant::now();
    let all = tokio::spawn({
        let health = health.clone();
        async move { health.report().await.healthy }
    });
    tokio::task::yield_now().await;
    assert!(group(&health, "live").await.healthy);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(all.await.unwrap());
    assert_eq!(
        began.elapsed(),
        2 * SECOND,
        "one after the other, and neither has timed out in the queue"
    );
}

#[tokio::test(start_paused = true)]
async fn checks_that_share_a_task_share_nothing_else() {
    let health = (0..100).fold(Health::builder(), |builder, number| match number {
        3 => builder.check(check_fn("check-3", pending)),
        4 => builder.check(check_fn("check-4", || async { panic!("gone") })),
        number => builder.check(check_fn(format!("check-{number}"), || async { Ok(()) })),
    });
    let report = build(health).report().await;
    assert_eq!(report.checks.len(), 100);
    let failed = report
        .checks
        .iter()
        .filter(|check| check.status != Status::Working);
    let failed: Vec<_> = failed
        .map(|check| (check.identifier.as_str(), check.errors[0].message_type))
        .collect();
    assert_eq!(
        failed,
        [
            ("check-3", ErrorType::Unavailable),
            ("check-4", ErrorType::UnknownError)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_background_check_is_only_read() {
    let (runs, check) = counted("beat", Duration::from_millis(100));
    let health = build(Health::builder().check(check.every(10 * SECOND)));
    assert!(
        health.report().await.healthy,
        "the first read waits for the first run"
    );
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        let report = health.report().await;
        assert!(report.healthy && !report.checks[0].stale);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "5 s of reads");
    for _ in 0..60 {
        sleep(SECOND).await;
        assert!(health.report().await.healthy);
    }
    // With an interval of 10 s, a run of 0.1 s and a jitter of up to a second, the check continues
    // in the background, at no other interval.
    let runs = runs.load(Ordering::SeqCst);
    assert!((6..=7).contains(&runs), "{runs} runs in 65 s");
}

#[test]
fn a_dead_scheduler_does_not_stay_green() {
    // In real time, because each runtime has its own clock.
    // This one runs nothing unless it is driven.
    let own = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let tick = Duration::from_millis(300);
    let health = build(
        Health::builder()
            .runtime(own.handle().clone())
            .check(working("beat").every(tick).timeout(tick)),
    );
    assert!(own.block_on(health.report()).healthy);
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert!(
        other.block_on(health.report()).healthy,
        "the last verdict is good for three intervals"
    );
    let report = other.block_on(async {
        sleep(3 * tick + SECOND).await;
        health.report().await
    });
    let text = report.checks[0].pretty_status();
    assert!(
        text.starts_with("unavailable: last result is ") && text.ends_with(" s old"),
        "{text}"
    );
    assert!(!report.healthy);
}

#[tokio::test(start_paused = true)]
async fn background_tasks_end_with_the_last_clone() {
    let (runs, check) = counted("counted", Duration::ZERO);
    let health = build(Health::builder().check(check.every(SECOND)));
    let clone = health.clone();
    health.start();
    drop(health);
    sleep(10 * SECOND).await;
    let meanwhile = runs.load(Ordering::SeqCst);
    assert!((8..=11).contains(&meanwhile), "{meanwhile} runs in 10 s");
    drop(clone);
    sleep(10 * SECOND).await;
    assert!(runs.load(Ordering::SeqCst) <= meanwhile + 1);
}

#[tokio::test(start_paused = true)]
async fn rise_and_fall_dampen_the_verdict_and_show_the_raw_one() {
    use Status::{Unavailable as U, Working as W};
    let flapping = scripted("flapping", &[true, false, false, true, true]);
    let health = build(Health::builder().check(flapping.ttl(Duration::ZERO).thresholds(2, 2)));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let report = health.report().await;
        seen.push((
            report.checks[0].status,
            report.checks[0].raw_status,
            report.healthy,
        ));
    }
    assert_eq!(
        seen,
        [
            (W, W, true),
            (W, U, true),
            (U, U, false),
            (U, W, false),
            (W, W, true)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_check_names_the_root_of_its_failure() {
    let health = build(
        Health::builder()
            .check(failing("dns"))
            .check(failing("database").depends_on(["dns"]))
            .check(failing("orders").depends_on(["database"]).groups(["ready"]))
            .check(working("static").depends_on(["dns"])),
    );
    let report = health.report().await;
    assert_eq!(
        rows(&report),
        [
            ("database", "unavailable: blocked by dns".into()),
            ("dns", "unavailable: down".into()),
            ("orders", "unavailable: blocked by dns".into()),
            ("static", "working".into()),
        ]
    );
    assert_eq!(report.checks[2].blocked_by.as_deref(), Some("dns"));

    let only = health
        .read(&Selection::default().only("orders"))
        .await
        .unwrap();
    assert_eq!(
        rows(&only),
        [("orders", "unavailable: blocked by dns".into())],
        "dependencies run along, unseen"
    );
}

#[tokio::test(start_paused = true)]
async fn warnings_count_as_the_setting_says_and_never_for_probes() {
    let full = || {
        check_fn("disk", || async {
            Err(ServiceWarning::new("91% used").into())
        })
    };
    let strict = build(Health::builder().check(full()));
    assert!(!strict.report().await.healthy);
    assert!(group(&strict, "ready").await.healthy);
    let lenient = build(
        Health::builder()
            .settings(Settings::default().warnings_as_errors(false))
            .check(full()),
    );
    let report = lenient.report().await;
    assert_eq!(rows(&report), [("disk", "warning: 91% used".into())]);
    assert!(report.healthy);
    let ready = GroupSettings::default().warnings_as_errors(true);
    let probed = build(Health::builder().group("ready", ready).check(full()));
    assert!(!group(&probed, "ready").await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_non_critical_failure_is_shown_and_leaves_the_service_healthy() {
    let health = build(Health::builder().check(failing("mail").non_critical()));
    let report = health.report().await;
    assert_eq!(rows(&report), [("mail", "unavailable: down".into())]);
    assert!(report.healthy && report.status == Status::Working);
    assert!(
        group(&health, "ready").await.checks.is_empty(),
        "ready is for critical checks"
    );
}

#[tokio::test(start_paused = true)]
async fn ready_takes_what_names_no_group_and_declared_groups_what_names_them() {
    let health = build(
        Health::builder()
            .group("batch", GroupSettings::default())
            .check(working("cache"))
            .check(working("queue").groups(["batch"]))
            .check(working("orders").groups(["batch", "ready"])),
    );
    let names = |report: Report| {
        report
            .checks
            .into_iter()
            .map(|check| check.identifier)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(group(&health, "ready").await), ["cache", "orders"]);
    assert_eq!(names(group(&health, "batch").await), ["orders", "queue"]);
    assert_eq!(names(group(&health, "live").await), [""; 0]);
}

struct Measuring;

impl HealthCheck for Measuring {
    async fn check_status(&self, _: &Findings) -> Result {
        Err(ServiceWarning::new("it will expire").into())
    }

    fn measures(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_measures_is_only_in_the_groups_that_it_names() {
    let named = |name: &'static str, group: &'static str| {
        BoxCheck::new(Measuring).named(name).groups([group])
    };
    let health = build(
        Health::builder()
            .group("batch", GroupSettings::default())
            .check(Measuring)
            .check(named("in ready", "ready"))
            .check(named("in batch", "batch")),
    );
    for (name, member) in [
        ("ready", Some("in ready")),
        ("startup", None),
        ("batch", Some("in batch")),
    ] {
        let report = group(&health, name).await;
        let rows = report
            .checks
            .iter()
            .map(|row| row.identifier.as_str())
            .filter(|row| *row != "Startup");
        assert_eq!(rows.collect::<Vec<_>>(), Vec::from_iter(member), "{name}");
    }
    assert_eq!(
        health.report().await.checks.len(),
        3,
        "people see all of them"
    );
}

#[tokio::test(start_paused = true)]
async fn draining_fails_ready_and_the_whole_and_nothing_else() {
    let live = working("heartbeat").scoped(Scope::Process).groups(["live"]);
    let health = build(Health::builder().check(working("cache")).check(live));
    assert!(health.report().await.healthy);
    health.drain();
    let report = health.report().await;
    assert_eq!(
        rows(&report)[0],
        ("Draining", "unavailable: shutting down".into())
    );
    assert!(!report.healthy && !group(&health, "ready").await.healthy);
    assert!(group(&health, "live").await.healthy && group(&health, "startup").await.healthy);
}

#[tokio::test(start_paused = true)]
async fn a_warning_does_not_hinder_startup_and_a_narrowed_read_does_not_end_it() {
    let warns = check_fn("disk", || async {
        Err(ServiceWarning::new("91% used").into())
    })
    .scoped(Scope::Instance);
    let down = failing("memory").scoped(Scope::Instance);
    let health = build(Health::builder().check(warns).check(down));
    let narrowed = health
        .read(&Selection::default().group("startup").skip("memory"))
        .await
        .unwrap();
    assert!(narrowed.healthy);
    let whole = group(&health, "startup").await;
    assert_eq!(
        rows(&whole)[0],
        ("Startup", "unavailable: waiting for memory".into())
    );
}

#[tokio::test(start_paused = true)]
async fn what_has_answered_is_told_whatever_hangs_before_it() {
    let hang = check_fn("a", pending::<Result>);
    let settings = Settings::default().budget(SECOND).max_stale(Duration::ZERO);
    let health = build(
        Health::builder()
            .settings(settings)
            .check(hang)
            .check(working("b")),
    );
    let report = health.report().await;
    assert_eq!(rows(&report)[1], ("b", "working".into()));
    assert!(!report.checks[1].stale);
}

#[tokio::test(start_paused = true)]
async fn liveness_waits_for_nothing_that_its_members_depend_on() {
    let live = working("heartbeat")
        .scoped(Scope::Process)
        .groups(["live"])
        .depends_on(["database"]);
    let health = build(
        Health::builder()
            .check(live)
            .check(check_fn("database", pending::<Result>)),
    );
    let began = Instant::now();
    assert!(group(&health, "live").await.healthy);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn an_error_that_panics_when_it_is_shown_stays_in_its_row() {
    #[derive(Debug)]
    struct Rude;
    impl std::fmt::Display for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no words for this")
        }
    }
    impl std::error::Error for Rude {}
    let rude = check_fn("rude", || async {
        Err(ServiceUnavailable::new("down").with_source(Rude).into())
    });
    let health = build(Health::builder().check(rude).check(working("other")));
    let report = health.report().await;
    assert_eq!(rows(&report)[0], ("other", "working".into()));
    assert!(
        rows(&report)[1]
            .1
            .starts_with("unknown error: see log (ref "),
        "{:?}",
        rows(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn startup_turns_true_for_good_and_an_outage_elsewhere_does_not_hinder_it() {
    let health = build(
        Health::builder().check(failing("elsewhere")).check(
            scripted("warm", &[false, true, false])
                .scoped(Scope::Instance)
                .ttl(Duration::ZERO),
        ),
    );
    let first = group(&health, "startup").await;
    assert_eq!(
        rows(&first)[0],
        ("Startup", "unavailable: waiting for warm".into())
    );
    assert!(!first.healthy);
    assert!(group(&health, "startup").await.healthy);
    assert!(!health.report().await.healthy, "the third run fails");
    let third = group(&health, "startup").await;
    assert_eq!(rows(&third), [("Startup", "working".into())]);
    assert!(third.healthy);
}

#[test]
fn a_blocking_check_that_is_stuck_is_never_doubled() {
    // In real time, because the test's clock does not affect a thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let started = Arc::new(AtomicU32::new(0));
    let (release, stuck) = std::sync::mpsc::channel::<()>();
    let stuck = std::sync::Mutex::new(stuck);
    let check = check_blocking("nfs", {
        let started = Arc::clone(&started);
        move || {
            started.fetch_add(1, Ordering::SeqCst);
            stuck
                .lock()
                .unwrap()
                .recv()
                .map_err(UnknownError::caused_by)?;
            Ok(())
        }
    });
    let settings = Settings::default()
        .timeout(Duration::from_millis(50))
        .ttl(Duration::ZERO);
    let health = build(
        Health::builder()
            .settings(settings)
            .check(check)
            .check(working("other")),
    );
    runtime.block_on(async {
        assert_eq!(
            health.report().await.checks[0].pretty_status(),
            "unavailable: timed out after 0.05 s"
        );
        let second = health.report().await;
        let text = second.checks[0].pretty_status();
        assert!(
            text.starts_with("unavailable: still running since 20") && text.ends_with('Z'),
            "{text}"
        );
        assert_eq!(second.checks[1].status, Status::Working);
        assert_eq!(started.load(Ordering::SeqCst), 1);
        release.send(()).unwrap();
        release.send(()).unwrap();
        let deadline = std::time::Instant::now() + 5 * SECOND;
        while !health.report().await.healthy {
            assert!(
                std::time::Instant::now() < deadline,
                "free again once the thread has ended"
            );
        }
    });
}

#[test]
fn built_outside_of_a_runtime_it_runs_on_one_of_its_own() {
    let (runs, check) = counted("counted", Duration::from_millis(1));
    let health = build(Health::builder().check(check.ttl(Duration::ZERO)));
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        assert!(runtime.block_on(health.report()).healthy);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[test]
fn a_home_runtime_that_has_ended_is_replaced() {
    let own = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (runs, check) = counted("counted", Duration::from_millis(1));
    let health = {
        let _inside = own.enter();
        build(Health::builder().check(check.ttl(Duration::ZERO)))
    };
    assert!(own.block_on(health.report()).healthy);
    drop(own);
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert!(other.block_on(health.report()).healthy);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[test]
fn what_can_not_be_is_refused_when_it_is_built() {
    let refused = |builder: HealthBuilder| builder.build().unwrap_err().to_string();
    let one = || Health::builder().check(working("a"));
    assert_eq!(
        refused(one().check(working("b")).check(working("a"))),
        r#"checks 1 and 3 are both "a": add .named("...") to one of them"#
    );
    let error = one()
        .check(working("b").groups(["batsh"]))
        .build()
        .unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        error.to_string(),
        "a main function shows the message"
    );
    assert_eq!(
        refused(one().check(working(" "))),
        r#"check " ": a name needs a visible character and no line break"#
    );
    assert!(refused(one().check(working("Draining"))).contains("the engine's own"));
    assert!(
        refused(one().check(working("b").timeout(Duration::ZERO))).contains("longer than zero")
    );
    assert!(refused(one().check(working("b").every(Duration::ZERO))).contains("longer than zero"));
    assert!(refused(one().check(working("b").thresholds(0, 1))).contains("at least 1"));
    assert!(
        refused(one().check(working("b").groups(["batsh"])))
            .ends_with("; there are: live, ready, startup")
    );
    assert!(refused(one().group("batch", GroupSettings::default())).contains("no check names it"));
    assert!(
        refused(one().check(working("b").depends_on(["c"])))
            .ends_with("no such check; there are: a, b")
    );
    let cycle = Health::builder()
        .check(working("a").depends_on(["b"]))
        .check(working("b").depends_on(["a"]));
    assert_eq!(
        refused(cycle),
        r#"check "a": it depends on itself: a -> b -> a"#
    );
    let live = || one().check(working("disk").scoped(Scope::Instance).groups(["live"]));
    assert!(refused(live()).starts_with(r#"check "disk": its scope is instance"#));
    build(live().group("live", GroupSettings::default().allow_in_live("disk")));
    assert!(
        refused(one().group("live", GroupSettings::default().allow_in_live("disc")))
            .contains("allows \"disc\"")
    );
    assert!(
        refused(one().settings(Settings::default().token("ready"))).contains("name of a group")
    );
    assert!(
        refused(one().settings(Settings::default().unhealthy_status(200))).contains("400 to 599")
    );
}

#[tokio::test]
async fn a_selection_of_what_there_is_not_is_an_error() {
    let health = build(
        Health::builder()
            .check(working("cache"))
            .check(working("disk")),
    );
    let unknown = health
        .read(&Selection::default().only("cash"))
        .await
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        r#"no check is named "cash"; there are: cache, disk"#
    );
    let unknown = health
        .read(&Selection::default().group("redy"))
        .await
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        r#"no group is named "redy"; there are: live, ready, startup"#
    );
    let some = health
        .read(&Selection::default().skip("cache"))
        .await
        .unwrap();
    assert_eq!(rows(&some), [("disk", "working".into())]);
}
