//! Tests of what a check costs the other side, of its cleanup there, and of the kinds of its
//! failures.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use health_core::{
    CheckExt, FailureKind, Findings, Health, HealthCheck, Result, ServiceUnavailable, Settings,
    check_fn, check_fn_with,
};

/// A check that is costly for the other side, and counts its runs.
#[derive(Clone, Default)]
struct Costly(Arc<AtomicUsize>);

impl HealthCheck for Costly {
    async fn check_status(&self, _: &Findings) -> Result {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(Duration::from_secs(30))
    }
}

#[tokio::test(start_paused = true)]
async fn a_kinds_own_ttl_gives_way_to_a_longer_setting_and_to_its_option_only() {
    for (settings, option, runs) in [(1, None, 2), (0, None, 2), (40, None, 1), (1, Some(1), 31)] {
        let check = Costly::default();
        let configured = match option {
            Some(ttl) => check.clone().ttl(Duration::from_secs(ttl)),
            None => check.clone().into_check(),
        };
        let settings = Settings::default().ttl(Duration::from_secs(settings));
        let health = Health::builder()
            .settings(settings)
            .check(configured)
            .build()
            .unwrap();
        for _ in 0..=30 {
            health.report().await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(check.0.load(Ordering::SeqCst), runs, "{option:?}");
    }
}

#[tokio::test]
async fn a_run_is_told_how_long_a_connection_may_be_kept() {
    let limits = Arc::new(std::sync::Mutex::new(Vec::new()));
    let check = |name: &'static str| {
        let limits = Arc::clone(&limits);
        check_fn_with(name, move |findings: Findings| {
            limits.lock().unwrap().push((name, findings.reconnect()));
            async { Ok(()) }
        })
    };
    let settings = Settings::default().reconnect(Duration::from_secs(10));
    let own = check("own").reconnect(Duration::ZERO);
    Health::builder()
        .settings(settings)
        .check(check("common"))
        .check(own)
        .build()
        .unwrap()
        .report()
        .await;
    let mut limits = limits.lock().unwrap().clone();
    limits.sort_unstable();
    assert_eq!(
        limits,
        [("common", Duration::from_secs(10)), ("own", Duration::ZERO)]
    );
    assert_eq!(Settings::default().reconnect, Duration::from_secs(30));
}

/// Undoes something when dropped, which takes a while.
struct Left(Arc<AtomicBool>);

impl Drop for Left {
    fn drop(&mut self) {
        let undone = Arc::clone(&self.0);
        health_core::cleanup(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            undone.store(true, Ordering::SeqCst);
        });
    }
}

#[tokio::test]
async fn a_shutdown_drops_what_runs_and_waits_until_it_is_undone() {
    let undone = Arc::new(AtomicBool::new(false));
    let runs = Arc::new(AtomicUsize::new(0));
    let check = {
        let undone = Arc::clone(&undone);
        let runs = Arc::clone(&runs);
        check_fn("endless", move || {
            let left = Left(Arc::clone(&undone));
            runs.fetch_add(1, Ordering::SeqCst);
            async move {
                std::future::pending::<()>().await;
                drop(left);
                Ok(())
            }
        })
    };
    let settings = Settings::default().budget(Duration::from_millis(20));
    let health = Health::builder()
        .settings(settings)
        .check(check)
        .build()
        .unwrap();
    assert!(!health.report().await.healthy);
    let other = health.clone();
    assert!(health.shutdown(Duration::from_secs(5)).await);
    assert!(undone.load(Ordering::SeqCst));
    assert!(
        !other.report().await.healthy,
        "a read is answered, and starts nothing that stays"
    );
    assert!(other.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_failure_has_its_kind_in_the_report() {
    let kinds = [
        ("a refused", FailureKind::Refused),
        ("b blocked", FailureKind::Blocked),
        ("c timed out", FailureKind::TimedOut),
    ];
    let refused = check_fn("a refused", || async {
        Err(ServiceUnavailable::new("connection refused")
            .with_kind(FailureKind::Refused)
            .into())
    });
    let blocked = check_fn("b blocked", || async {
        Err(ServiceUnavailable::new("x").into())
    })
    .depends_on(["a refused"]);
    let endless =
        check_fn("c timed out", std::future::pending::<Result>).timeout(Duration::from_millis(20));
    let health = Health::builder()
        .check(refused)
        .check(blocked)
        .check(endless)
        .build()
        .unwrap();
    let report = health.report().await;
    for (row, (name, kind)) in report.checks.iter().zip(kinds) {
        assert_eq!(row.identifier.as_str(), name);
        assert_eq!(row.errors[0].kind, kind);
    }
}
