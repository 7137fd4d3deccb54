use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Status, serde_time};

/// The number of runs in a history.
const CAPACITY: usize = 20;

/// The last runs of a check, at most 20, the newest last. A clone is cheap, and later runs do not change it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use health_core::{History, PastRun, Status};
///
/// let run = PastRun::new(Status::Working, Duration::from_millis(12), SystemTime::UNIX_EPOCH);
/// let history: History = [run; 30].into_iter().collect();
/// assert_eq!(history.runs().len(), 20);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<PastRun>", into = "Vec<PastRun>")]
pub struct History(Arc<Vec<PastRun>>);

/// A finished run of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PastRun {
    /// The status that the run ended with, whatever the check's thresholds.
    pub status: Status,
    /// The duration of the run.
    #[serde(with = "serde_time::seconds")]
    pub duration: Duration,
    /// The time at which the run ended.
    #[serde(with = "serde_time::rfc3339")]
    pub at: SystemTime,
}

impl PastRun {
    /// Creates a run, for histories that are written by hand.
    pub fn new(status: Status, duration: Duration, at: SystemTime) -> Self {
        Self { status, duration, at }
    }
}

impl History {
    /// Returns the runs, the newest last.
    pub fn runs(&self) -> &[PastRun] {
        &self.0
    }

    /// Adds a run, in place of the oldest one if the history is full.
    pub(crate) fn push(&mut self, run: PastRun) {
        let runs = Arc::make_mut(&mut self.0);
        if runs.len() == CAPACITY {
            runs.rotate_left(1);
            runs.pop();
        }
        runs.push(run);
    }
}

impl FromIterator<PastRun> for History {
    fn from_iter<I: IntoIterator<Item = PastRun>>(runs: I) -> Self {
        let mut history = Self::default();
        runs.into_iter().for_each(|run| history.push(run));
        history
    }
}

impl From<Vec<PastRun>> for History {
    fn from(runs: Vec<PastRun>) -> Self {
        runs.into_iter().collect()
    }
}

impl From<History> for Vec<PastRun> {
    fn from(history: History) -> Self {
        history.0.to_vec()
    }
}
