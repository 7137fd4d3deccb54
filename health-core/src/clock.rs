use std::fmt;
use std::time::{Instant, SystemTime};

/// The engine's source of time: for the age of a verdict, the duration of a run and the dates of a
/// report.
///
/// *Default*: the system's clock. Your tests can set a clock by hand
/// (`health_testkit::ManualClock`), so that they need not wait an hour for an old verdict. A clock
/// does not affect waiting: timeouts, budgets and intervals use Tokio's time, and the default clock
/// follows `tokio::time::pause`. The message of a blocking check about a stuck call always has the
/// system's date.
pub trait Clock: Send + Sync + 'static {
    /// Returns a time that never goes back, which ages and durations are measured with.
    fn now(&self) -> Instant;

    /// Returns the date and time that people are shown.
    fn time(&self) -> SystemTime;
}

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn time(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
