use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Runner;
use super::journal::Record;
use crate::engine::group::{Change, shutting_down};
use crate::registry::DRAINING;
use crate::{GroupTransition, Status, StatusListener, Transition};

/// The listeners of a `Health`.
pub(crate) struct Listeners(pub(crate) Vec<Box<dyn StatusListener>>);

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}

impl Runner {
    /// Logs the result of a run, and notifies the listeners if it is a transition.
    pub(super) fn notify(&self, check: &str, record: &Record) {
        record.log(check);
        for (number, change) in &record.holds {
            self.log_hold(check, *number, *change);
        }
        if !record.holds.is_empty() {
            self.wake.notify_waiters(); // a hold that ends turns its group, although no status changes
        }
        if !record.is_transition() {
            return;
        }
        self.notify_listeners(&Transition {
            check: check.to_owned(),
            from: record.before,
            to: record.effective.status,
            errors: record.effective.errors.clone(),
            at: record.effective.finished_at,
        });
    }

    /// Logs the start or the end of a hold.
    fn log_hold(&self, check: &str, number: usize, change: Change) {
        let group = self
            .plans
            .iter()
            .find(|plan| plan.hold == Some(number))
            .and_then(|plan| plan.name.as_deref());
        let group = group.unwrap_or_default();
        match change {
            Change::Started => {
                tracing::warn!(target: "health_check", check, group, "a failing check is held: it does not fail the group yet");
            }
            Change::Over => {
                tracing::warn!(target: "health_check", check, group, "the hold of a failing check is over: it fails the group");
            }
            Change::Recovered => {
                tracing::info!(target: "health_check", check, group, "the hold of a check has ended: the check works again");
            }
        }
    }

    /// Logs background verdicts that have expired, and notifies the listeners.
    pub(crate) fn notify_expired(&self, expired: &[Transition]) {
        for transition in expired {
            let check = &transition.check;
            let from = transition.from.map_or("none", Status::as_str);
            let errors = transition
                .errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            tracing::warn!(target: "health_check", check, status = transition.to.as_str(), from, errors, "health check expired");
            if transition.from != Some(transition.to) {
                self.notify_listeners(transition);
            }
        }
    }

    /// Logs the start or the end of a drain, and notifies the listeners.
    pub(crate) fn notify_drain(&self, drains: bool) {
        if drains {
            tracing::warn!(target: "health_check", "the service drains: ready fails");
        } else {
            tracing::info!(target: "health_check", "the service does not drain any more");
        }
        let (from, to) = if drains {
            (Status::Working, Status::Unavailable)
        } else {
            (Status::Unavailable, Status::Working)
        };
        let errors = if drains {
            vec![(&shutting_down()).into()]
        } else {
            Vec::new()
        };
        self.notify_listeners(&Transition {
            check: DRAINING.into(),
            from: Some(from),
            to,
            errors,
            at: self.clock.time(),
        });
    }

    /// Notifies the listeners of a group's verdict.
    pub(super) fn notify_group(&self, transition: &GroupTransition) {
        for listener in &self.listeners.0 {
            if catch_unwind(AssertUnwindSafe(|| {
                listener.on_group_transition(transition);
            }))
            .is_err()
            {
                tracing::error!(group = transition.group, "a listener panicked");
            }
        }
    }

    fn notify_listeners(&self, transition: &Transition) {
        self.wake.notify_waiters();
        for listener in &self.listeners.0 {
            if catch_unwind(AssertUnwindSafe(|| listener.on_transition(transition))).is_err() {
                tracing::error!(check = transition.check, "a listener panicked");
            }
        }
    }
}
