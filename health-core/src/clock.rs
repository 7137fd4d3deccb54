use std::fmt;
use std::time::{Instant, SystemTime};

/// Where the engine reads what time it is: the age of a verdict, the duration of a run, the dates of a report.
///
/// *Default*: the system's. Tests of your own set one by hand (`health_testkit::ManualClock`), so that a verdict of an
/// hour ago takes no hour. Waiting is not its business: timeouts, budgets and intervals are Tokio's, whose
/// `tokio::time::pause` the default clock follows. What a blocking check says of a call that is stuck has the system's
/// date.
pub trait Clock: Send + Sync + 'static {
    /// A time that never goes back: ages and durations are measured with it.
    fn now(&self) -> Instant;

    /// The date and time: what people are shown.
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
