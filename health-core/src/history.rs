use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::Status;

/// How many runs are remembered.
const MOST: usize = 20;

/// The last runs of a check, 20 at most, for people to look at.
///
/// It is shared with the engine, as a copy in each report would cost more than the report: one that is looked at later
/// shows runs that have ended since.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<VecDeque<PastRun>>>);

/// A run of a check that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PastRun {
    /// What it ended with, whatever the check's thresholds.
    pub status: Status,
    /// How long it took.
    #[serde(serialize_with = "crate::report::seconds")]
    pub duration: Duration,
    /// When it ended.
    #[serde(serialize_with = "crate::report::rfc3339")]
    pub at: SystemTime,
}

impl PastRun {
    /// A run of a history, for tests of renderers.
    pub fn new(status: Status, duration: Duration, at: SystemTime) -> Self {
        Self { status, duration, at }
    }
}

impl History {
    /// The runs, the newest last.
    pub fn runs(&self) -> Vec<PastRun> {
        self.lock().iter().copied().collect()
    }

    pub(crate) fn push(&self, run: PastRun) {
        let mut runs = self.lock();
        if runs.len() == MOST {
            runs.pop_front();
        }
        runs.push_back(run);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<PastRun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<PastRun> for History {
    fn from_iter<I: IntoIterator<Item = PastRun>>(runs: I) -> Self {
        let history = Self::default();
        runs.into_iter().for_each(|run| history.push(run));
        history
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.runs().serialize(serializer)
    }
}
