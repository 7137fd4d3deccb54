use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{ReportedCheck, Source};

/// A loop that regularly reports that it is alive.
///
/// Without a beat for the interval, the check is `unavailable: last heartbeat 42 s ago`. A beat
/// takes no lock, and costs little more than reading the clock. Before the first beat the check is
/// unknown. This never fails `live`, and fails other groups once an interval has passed since the
/// health was built.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use health_core::{CheckExt, Health, Heartbeat};
///
/// let consumer = Heartbeat::new("consumer", Duration::from_secs(30));
/// let health = Health::builder().check(consumer.check().groups(["live", "ready"])).build()?;
///
/// let guard = consumer.guard();
/// let task = tokio::spawn(async move {
///     for _message in 0..3 {
///         guard.beat();
///     }
///     guard.finish(); // without this, the row says: the task has ended
/// });
/// task.await.unwrap();
/// assert!(health.group_report("live").await.unwrap().healthy);
/// # Ok::<(), health_core::BuildError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Heartbeat {
    name: Cow<'static, str>,
    source: Arc<Source>,
}

impl Heartbeat {
    /// Creates a heartbeat with this identifier. `interval` is the longest time between two beats.
    pub fn new(name: impl Into<Cow<'static, str>>, interval: Duration) -> Self {
        Self {
            name: name.into(),
            source: Arc::new(Source::new("heartbeat", Some(interval))),
        }
    }

    /// Returns the check for the builder.
    pub fn check(&self) -> ReportedCheck {
        ReportedCheck::new(self.name.clone(), &self.source)
    }

    /// Reports that the loop is alive.
    pub fn beat(&self) {
        self.source.beat();
    }

    /// Returns a guard for the task of the loop. A task that returns or panics drops its guard,
    /// which makes the row `unavailable: the task has ended`. A new guard, for the task that
    /// replaces it, clears that.
    pub fn guard(&self) -> HeartbeatGuard {
        self.source.task_ended(false);
        HeartbeatGuard {
            source: Arc::clone(&self.source),
            is_finished: false,
        }
    }
}

/// The guard of a task: see [`Heartbeat::guard`]. When dropped, it reports that the task has ended.
#[derive(Debug)]
#[must_use = "a guard that is dropped means that the task has ended"]
pub struct HeartbeatGuard {
    source: Arc<Source>,
    is_finished: bool,
}

impl HeartbeatGuard {
    /// Reports that the loop is alive.
    pub fn beat(&self) {
        self.source.beat();
    }

    /// Drops the guard without a report, because the task ends as intended.
    pub fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for HeartbeatGuard {
    fn drop(&mut self) {
        if !self.is_finished {
            self.source.task_ended(true);
        }
    }
}
