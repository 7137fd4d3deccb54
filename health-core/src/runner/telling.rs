use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Runner;
use super::journal::Entries;
use crate::{Listener, Transition};

/// Those who are told of what changes.
pub(crate) struct Listeners(pub(crate) Vec<Box<dyn Listener>>);

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}

impl Runner {
    /// Logs, counts and tells what a run has changed.
    pub(super) fn tell(&self, check: &str, entries: &Entries) {
        entries.log(check);
        count(check, entries);
        if !entries.is_transition() || self.listeners.0.is_empty() {
            return;
        }
        let transition = Transition {
            check: check.to_owned(),
            from: entries.before,
            to: entries.effective.status,
            errors: entries.effective.errors.clone(),
            at: entries.effective.finished_at,
        };
        for listener in &self.listeners.0 {
            if catch_unwind(AssertUnwindSafe(|| listener.transition(&transition))).is_err() {
                tracing::error!(check, "a listener panicked");
            }
        }
    }
}

/// Counts runs by their raw status and transitions by the status that they lead to.
#[cfg(feature = "metrics")]
fn count(check: &str, entries: &Entries) {
    let labels = |status: crate::Status| [("check", check.to_owned()), ("status", status.as_str().to_owned())];
    metrics::counter!("health_check_runs_total", &labels(entries.raw)).increment(1);
    if entries.is_transition() {
        metrics::counter!("health_check_transitions_total", &labels(entries.effective.status)).increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
fn count(_: &str, _: &Entries) {}
