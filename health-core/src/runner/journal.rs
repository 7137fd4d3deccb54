use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::verdict::Verdict;
use crate::Status;

/// A check that stays failed is repeated this often, and so is a cause.
const REPEAT: Duration = Duration::from_mins(5);

/// No check keeps more references than this in mind.
const MOST: usize = 64;

/// What the log was told of a check, so that nothing is written on every poll.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    last: Option<Instant>,
    references: HashMap<String, Instant>,
}

/// What there is to write, once the cell is unlocked.
pub(crate) struct Entries {
    pub(super) before: Option<Status>,
    pub(super) effective: Arc<Verdict>,
    /// The status of the run itself.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "it is counted only"))]
    pub(super) raw: Status,
    is_due: bool,
    causes: Vec<(String, String)>,
}

impl Journal {
    /// A change of the effective status is due at once, the first verdict included; a failure every five minutes; a
    /// cause when its reference is new to the log.
    pub(crate) fn note(&mut self, before: Option<Status>, effective: &Arc<Verdict>, raw: Status) -> Entries {
        let now = effective.finished;
        let is_due = before != Some(effective.status)
            || effective.status != Status::Working && self.last.is_none_or(|last| now >= last + REPEAT);
        if is_due {
            self.last = Some(now);
        }
        if self.references.len() > MOST {
            self.references.clear();
        }
        let causes = effective.causes.iter().filter(|(reference, _)| {
            let is_new = self.references.get(reference).is_none_or(|told| now >= *told + REPEAT);
            if is_new {
                self.references.insert(reference.clone(), now);
            }
            is_new
        });
        let causes = causes.cloned().collect();
        Entries { before, effective: Arc::clone(effective), raw, is_due, causes }
    }
}

impl Entries {
    /// Whether the effective status has changed, the first verdict included.
    pub(crate) fn is_transition(&self) -> bool {
        self.before != Some(self.effective.status)
    }

    pub(crate) fn log(&self, check: &str) {
        for (reference, cause) in &self.causes {
            tracing::warn!(target: "health_check::cause", check, reference, cause, "cause of a failed check");
        }
        if !self.is_due {
            return;
        }
        let status = self.effective.status.as_str();
        let from = self.before.map_or("none", Status::as_str);
        if self.effective.status == Status::Working {
            tracing::info!(target: "health_check", check, status, from, "health check works");
        } else {
            let errors = self.effective.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            tracing::warn!(target: "health_check", check, status, from, errors, "health check failed");
        }
    }
}
