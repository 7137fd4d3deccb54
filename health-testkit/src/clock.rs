use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use health_core::Clock;

/// A clock that only moves when a test advances it. Clones share their time.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use health_core::{CheckExt, Health};
/// use health_testkit::{ManualClock, ScriptedCheck};
///
/// let (clock, queue) = (ManualClock::default(), ScriptedCheck::new("queue"));
/// let check = queue.clone().ttl(Duration::from_secs(60));
/// let health = Health::builder().check(check).clock(clock.clone()).build().unwrap();
///
/// health.report().await;
/// clock.advance(Duration::from_secs(59));
/// health.report().await;
/// assert_eq!(queue.runs(), 1);
/// clock.advance(Duration::from_secs(1));
/// health.report().await;
/// assert_eq!(queue.runs(), 2);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    start: (Instant, SystemTime),
    passed: Arc<Mutex<Duration>>,
    /// The time by which the date is ahead.
    slept: Arc<Mutex<Duration>>,
}

impl Default for ManualClock {
    /// Starts at 2026-01-01 00:00:00 UTC.
    fn default() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(490_896 * 3600))
    }
}

impl ManualClock {
    /// Creates a clock that starts at this time.
    pub fn starting_at(time: SystemTime) -> Self {
        Self {
            start: (Instant::now(), time),
            passed: Arc::default(),
            slept: Arc::default(),
        }
    }

    /// Advances the clock by this duration.
    pub fn advance(&self, duration: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }

    /// Simulates a suspended machine: advances the date, but not the clock that measures ages.
    pub fn suspend(&self, duration: Duration) {
        *self.slept.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start.0 + self.passed()
    }

    fn time(&self) -> SystemTime {
        self.start.1 + self.passed() + *self.slept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
