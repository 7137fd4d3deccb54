//! Tests the probe of a pool with a pool that is a fake: its driver panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use health_checks::pool::{Ping, PoolHealthCheck};
use health_core::{CheckExt as _, Findings, Health, Result};

/// A pool without a free connection.
struct Busy {
    attempts: Arc<AtomicU32>,
}

impl Ping for Busy {
    async fn ping(&self, _: &Findings) -> Result {
        pending().await
    }

    async fn ping_direct(&self) -> Option<Result> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        panic!("a driver")
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_beside_the_pool_is_tried_again_after_half_a_minute() {
    let attempts = Arc::new(AtomicU32::new(0));
    let check = PoolHealthCheck::new(Busy {
        attempts: Arc::clone(&attempts),
    });
    let check = check
        .named("pool")
        .timeout(Duration::from_secs(1))
        .ttl(Duration::ZERO);
    let health = Health::builder().check(check).build().unwrap();
    for (expected, pause) in [(1, 5), (1, 30), (2, 0)] {
        let report = health.report().await;
        assert_eq!(
            report.checks[0].pretty_status(),
            "unavailable: the server does not answer"
        );
        assert_eq!(attempts.load(Ordering::SeqCst), expected);
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
}
