//! The choice of the verdict that the row shows.

use std::sync::Arc;
use std::time::Instant;

use health_core::{Evidence, Verdict};

use super::{Machine, Reach, Standing};

/// The verdict that the row shows.
#[derive(Debug, Clone)]
pub(in crate::fleet) struct Showing {
    pub(in crate::fleet) verdict: Arc<Verdict>,
    pub(in crate::fleet) evidence: Evidence,
    pub(in crate::fleet) origin: Option<String>,
}

impl Machine {
    /// Returns `true` if the row shows the verdict of the fleet.
    pub(super) fn follows(&self, now: Instant) -> bool {
        let is_alone = matches!(self.standing, Standing::Alone { .. });
        if !self.has_worked || self.peers <= 1 || is_alone || !self.is_recent(now) {
            return false;
        }
        let (Some(seen), Some(own)) = (&self.seen, &self.own) else {
            return false;
        };
        self.reach == Reach::Answers || own.finished <= seen.verdict.finished
    }

    /// Returns the verdict that the row shows; `None` before the first own one.
    pub(in crate::fleet) fn show(&mut self, now: Instant) -> Option<Showing> {
        let own = self.own.clone()?;
        let is_alone = matches!(self.standing, Standing::Alone { .. });
        let seen = self.seen.as_ref().filter(|_| self.follows(now));
        let showing = match seen {
            Some(seen) => {
                let agrees = seen.ok == (self.standing == Standing::Works);
                Showing {
                    verdict: Arc::clone(&seen.verdict),
                    evidence: if agrees {
                        Evidence::Own
                    } else {
                        Evidence::Elsewhere
                    },
                    origin: self.origin(&format!("seen by {}", seen.host)),
                }
            }
            None if is_alone => Showing {
                verdict: own,
                evidence: Evidence::Alone,
                origin: self.origin("failing in this one alone"),
            },
            None => Showing {
                verdict: own,
                evidence: Evidence::Own,
                origin: self.origin("seen by this one"),
            },
        };
        self.shown = Some(showing.verdict.finished);
        Some(showing)
    }

    fn origin(&self, words: &str) -> Option<String> {
        let number = self.peers;
        let plural = if number == 1 { "" } else { "s" };
        let is_known = number > 0 && (self.reach != Reach::Away || words != "seen by this one");
        is_known.then(|| format!("{number} replica{plural}, {words}"))
    }
}
