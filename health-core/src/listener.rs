use std::time::SystemTime;

use crate::report::ErrorReport;
use crate::{FailureKind, HealthBuilder, Status};

/// A change of the effective status of a check. The first verdict is a change, too.
///
/// A test of a listener creates one by hand:
///
/// ```
/// use health_core::{ErrorReport, ServiceUnavailable, Status, Transition};
///
/// let mut transition = Transition::new("queue", Some(Status::Working), Status::Unavailable);
/// transition.errors.push(ErrorReport::from(
///     &ServiceUnavailable::new("connection refused").into(),
/// ));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The identifier of the check.
    pub check: String,
    /// The status before; `None` before the first verdict.
    pub from: Option<Status>,
    /// The new status.
    pub to: Status,
    /// The errors; empty if the check works.
    pub errors: Vec<ErrorReport>,
    /// The time of the change: the end of the run that caused it.
    pub at: SystemTime,
}

impl Transition {
    /// Creates a transition without errors, at the present time.
    pub fn new(check: impl Into<String>, from: Option<Status>, to: Status) -> Self {
        Self {
            check: check.into(),
            from,
            to,
            errors: Vec::new(),
            at: SystemTime::now(),
        }
    }
}

/// A change of the verdict of a group. The first verdict is a change if it is unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupTransition {
    /// The group; `None` for all checks.
    pub group: Option<String>,
    /// `true` if the group has become healthy.
    pub healthy: bool,
    /// The checks that fail the group, or that failed it before it became healthy.
    pub causes: Vec<Cause>,
    /// The time of the report that shows the change.
    pub at: SystemTime,
}

impl GroupTransition {
    /// Creates a transition without causes, at the present time.
    pub fn new(group: Option<String>, healthy: bool) -> Self {
        Self {
            group,
            healthy,
            causes: Vec::new(),
            at: SystemTime::now(),
        }
    }
}

/// A check that fails a group, and its kind of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cause {
    /// The identifier of the check.
    pub check: String,
    /// The kind of its first error.
    pub kind: FailureKind,
}

/// A listener, which is notified when the effective status of a check changes. An
/// [`Interceptor`](crate::Interceptor) sees every run instead.
///
/// The run calls its listeners before its readers get the verdict, so a listener must not block: it
/// should send slow work to a channel. Panics are caught and logged.
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
    /// Called when the status of a check has changed.
    fn on_transition(&self, transition: &Transition);

    /// Called when a read of a group finds that its verdict has changed. Endpoints and
    /// [subscriptions](crate::Health::subscribe) read groups. *Default*: does nothing.
    fn on_group_transition(&self, transition: &GroupTransition) {
        let _ = transition;
    }
}

impl<F: Fn(&Transition) + Send + Sync + 'static> StatusListener for F {
    fn on_transition(&self, transition: &Transition) {
        self(transition);
    }
}

impl HealthBuilder {
    /// Adds a listener, which is notified when the effective status of a check changes.
    pub fn listener(mut self, listener: impl StatusListener) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }
}
