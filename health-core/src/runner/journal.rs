use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::group::Change;
use crate::{Status, Verdict};

/// The interval at which the log repeats a failure that lasts, and a cause.
const REPEAT: Duration = Duration::from_secs(300);

/// The maximum number of causes of a check that are logged within `REPEAT`, because causes may vary
/// with each run.
const MOST: usize = 8;

const TOO_MANY: &str = "this check's causes vary: more of them are not written for five minutes";

/// The log entries of a check so far, so that polls do not repeat them.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    last: Option<Instant>,
    references: HashMap<String, Instant>,
}

/// The log entries of a run, which are written after the cell is unlocked.
pub(crate) struct Record {
    pub(super) before: Option<Status>,
    pub(super) effective: Arc<Verdict>,
    is_due: bool,
    causes: Vec<(String, String)>,
    /// The holds that have started or ended, by their numbers.
    pub(super) holds: Vec<(usize, Change)>,
}

impl Journal {
    /// Decides what to log. A change of the effective status is logged at once, including the first
    /// verdict. A failure that lasts is repeated every five minutes. A cause is logged if its
    /// reference is new to the log, even if the verdict of its run has no effect yet.
    pub(crate) fn record(
        &mut self,
        before: Option<Status>,
        effective: &Arc<Verdict>,
        last: &Verdict,
    ) -> Record {
        let now = last.finished;
        let is_due = before != Some(effective.status)
            || effective.status != Status::Working
                && self.last.is_none_or(|last| now >= last + REPEAT);
        if is_due {
            self.last = Some(now);
        }
        self.references.retain(|_, logged| now < *logged + REPEAT);
        let mut causes = Vec::new();
        for (reference, cause) in &last.causes {
            if self.references.contains_key(reference) {
                continue;
            }
            match self.references.len().cmp(&MOST) {
                Ordering::Less => causes.push((reference.clone(), cause.clone())),
                Ordering::Equal => causes.push((reference.clone(), TOO_MANY.to_owned())),
                Ordering::Greater => continue,
            }
            self.references.insert(reference.clone(), now);
        }
        Record {
            before,
            effective: Arc::clone(effective),
            is_due,
            causes,
            holds: Vec::new(),
        }
    }
}

impl Record {
    /// Returns `true` if the effective status has changed. The first verdict is a change, too.
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
            tracing::info!(target: "health_check", check, status, from, "health check passed");
        } else {
            let errors = self
                .effective
                .errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            tracing::warn!(target: "health_check", check, status, from, errors, "health check failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: &str, after: Duration) -> Verdict {
        let mut verdict = Verdict::of(Status::Unavailable);
        verdict.causes = vec![(cause.to_owned(), format!("because of {cause}"))];
        verdict.finished += after;
        verdict
    }

    fn causes(journal: &mut Journal, last: &Verdict) -> Vec<String> {
        let effective = Arc::new(Verdict::of(Status::Working)); // the thresholds still hold back the failure
        let record = journal.record(Some(Status::Working), &effective, last);
        assert!(!record.is_transition());
        record.causes.into_iter().map(|(_, cause)| cause).collect()
    }

    #[test]
    fn the_cause_of_a_failure_that_has_no_effect_yet_is_written_once() {
        let mut journal = Journal::default();
        assert_eq!(
            causes(&mut journal, &failed("a", Duration::ZERO)),
            ["because of a"]
        );
        assert_eq!(
            causes(&mut journal, &failed("a", Duration::from_secs(1))),
            [""; 0]
        );
        assert_eq!(
            causes(&mut journal, &failed("a", REPEAT + Duration::from_secs(1))),
            ["because of a"]
        );
    }

    #[test]
    fn causes_that_vary_do_not_flood_the_log() {
        let mut journal = Journal::default();
        let runs = (0..100).map(|run| failed(&format!("cause {run}"), Duration::from_secs(run)));
        let written: Vec<_> = runs.flat_map(|last| causes(&mut journal, &last)).collect();
        assert_eq!(written.len(), MOST + 1);
        assert_eq!(written[0].as_str(), "because of cause 0");
        assert_eq!(written[MOST].as_str(), TOO_MANY);
        assert_eq!(
            causes(&mut journal, &failed("later", 2 * REPEAT)),
            ["because of later"]
        );
    }
}
