use std::time::SystemTime;

use crate::report::ErrorReport;
use crate::{HealthBuilder, Status};

/// A check has changed its effective status; the first verdict is a change, too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transition {
    /// The check.
    pub check: String,
    /// What it was; `None` before the first verdict.
    pub from: Option<Status>,
    /// What it is.
    pub to: Status,
    /// What is wrong; empty when it works.
    pub errors: Vec<ErrorReport>,
    /// When the run ended that changed it.
    pub at: SystemTime,
}

/// Somebody who is told when a check changes its effective status, and of nothing else: not of each run.
///
/// It is called by the run itself, before its readers have the verdict, so it must not block: what takes long belongs
/// into a channel. Its panics are caught and logged.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::mpsc;
/// use health_core::{check_fn, Health, ServiceUnavailable, Status, Transition};
///
/// let (sender, pager) = mpsc::channel();
/// let health = Health::builder()
///     .check(check_fn("queue", || async { Err(ServiceUnavailable::new("connection refused").into()) }))
///     .listener(move |transition: &Transition| drop(sender.send(transition.clone())))
///     .build()?;
///
/// health.report().await;
/// let transition = pager.recv().unwrap();
/// assert_eq!((transition.from, transition.to), (None, Status::Unavailable));
/// assert_eq!(transition.errors[0].to_string(), "unavailable: connection refused");
/// # Ok::<(), health_core::BuildError>(())
/// # }).unwrap();
/// ```
pub trait StatusListener: Send + Sync + 'static {
    /// A check has changed.
    fn on_transition(&self, transition: &Transition);
}

impl<F: Fn(&Transition) + Send + Sync + 'static> StatusListener for F {
    fn on_transition(&self, transition: &Transition) {
        self(transition);
    }
}

impl HealthBuilder {
    /// Adds somebody who is told when a check changes its effective status.
    pub fn listener(mut self, listener: impl StatusListener) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }
}
