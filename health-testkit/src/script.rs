use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use health_core::{
    Findings, HealthCheck, Result, ServiceReturnedUnexpectedResult, ServiceUnavailable,
    ServiceWarning, UnknownError,
};

/// The behaviour of a scripted check in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The check passes.
    Work,
    /// `warning: ...`
    Warn(&'static str),
    /// `unavailable: ...`
    Fail(&'static str),
    /// `unexpected result: ...`
    Unexpected(&'static str),
    /// `unknown error: ...`
    Unknown(&'static str),
    /// The run never ends.
    Hang,
    /// The run panics.
    Panic,
}

/// A check that a test controls. Clones are the same check, so the test can keep one.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use health_core::{CheckExt, Health};
/// use health_testkit::{ScriptedCheck, Step, assert_healthy, assert_row};
///
/// let queue = ScriptedCheck::new("queue");
/// let health = Health::builder().check(queue.clone().ttl(Duration::ZERO)).build().unwrap();
/// assert_healthy(&health).await;
///
/// queue.script([Step::Fail("connection refused"), Step::Work]);
/// assert_row(&health, "queue", "unavailable: connection refused").await;
/// assert_row(&health, "queue", "working").await;
/// assert_eq!(queue.runs(), 3);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct ScriptedCheck {
    identifier: Arc<str>,
    steps: Arc<Mutex<VecDeque<Step>>>,
    runs: Arc<AtomicUsize>,
}

impl ScriptedCheck {
    /// Creates a check that passes.
    pub fn new(identifier: &str) -> Self {
        Self {
            identifier: identifier.into(),
            steps: Arc::default(),
            runs: Arc::default(),
        }
    }

    /// Sets the steps of the next runs, one step per run. The last step is repeated.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        *self.steps.lock().unwrap_or_else(PoisonError::into_inner) = steps.into_iter().collect();
    }

    /// Returns the number of runs that were started.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }

    fn next(&self) -> Step {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let step = if steps.len() > 1 {
            steps.pop_front()
        } else {
            steps.front().cloned()
        };
        step.unwrap_or(Step::Work)
    }
}

impl HealthCheck for ScriptedCheck {
    fn identifier(&self) -> Cow<'static, str> {
        Cow::Owned(self.identifier.to_string())
    }

    async fn check_status(&self, _: &Findings) -> Result {
        self.runs.fetch_add(1, Ordering::Relaxed);
        match self.next() {
            Step::Work => Ok(()),
            Step::Warn(message) => Err(ServiceWarning::new(message).into()),
            Step::Fail(message) => Err(ServiceUnavailable::new(message).into()),
            Step::Unexpected(message) => Err(ServiceReturnedUnexpectedResult::new(message).into()),
            Step::Unknown(message) => Err(UnknownError::new(message).into()),
            Step::Hang => pending().await,
            #[expect(clippy::panic, reason = "it was asked to")]
            Step::Panic => panic!("the script says so"),
        }
    }
}
