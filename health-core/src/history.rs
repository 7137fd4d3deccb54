use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Status, serde_time};

/// The number of runs in a history.
const CAPACITY: usize = 20;

/// The last runs of a check, at most 20, the newest last. A clone is cheap, and later runs do not
/// change it.
///
/// ```
/// use health_core::{History, PastRun, Status};
/// use std::time::{Duration, SystemTime};
///
/// let run = PastRun::new(
///     Status::Working,
///     Duration::from_millis(12),
///     SystemTime::UNIX_EPOCH,
/// );
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
        Self {
            status,
            duration,
            at,
        }
    }
}

impl History {
    /// Returns the runs, the newest last.
    pub fn runs(&self) -> &[PastRun] {
        &self.0
    }

    /// Adds a run, in place of the oldest one if the history is full.
    pub(crate) fn push(&mut self, run: PastRun) {
        let surplus = (self.0.len() + 1).saturating_sub(CAPACITY);
        if let Some(runs) = Arc::get_mut(&mut self.0) {
            runs.drain(..surplus);
            runs.push(run);
        } else {
            // A report still has the runs: only those that stay are copied.
            self.0 = Arc::new(self.0[surplus..].iter().copied().chain([run]).collect());
        }
    }
}

/// The slowest run of each minute of the last hour, the newest last. Minutes without a run are left
/// out. A clone is cheap.
///
/// ```
/// use health_core::{Latency, PastRun, Status};
/// use std::time::{Duration, SystemTime};
///
/// let run = |millis| {
///     PastRun::new(
///         Status::Working,
///         Duration::from_millis(millis),
///         SystemTime::UNIX_EPOCH,
///     )
/// };
/// let latency: Latency = [run(12), run(30), run(5)].into_iter().collect();
/// assert_eq!(latency.minutes()[0].duration, Duration::from_millis(30));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<SlowestRun>", into = "Vec<SlowestRun>")]
pub struct Latency(Arc<Vec<SlowestRun>>);

/// The slowest run of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SlowestRun {
    /// The beginning of the minute.
    #[serde(with = "serde_time::rfc3339")]
    pub minute: SystemTime,
    /// The duration of the run.
    #[serde(with = "serde_time::seconds")]
    pub duration: Duration,
}

/// The number of minutes in a latency.
const MINUTES: usize = 60;

const MINUTE: Duration = Duration::from_secs(60);

impl Latency {
    /// Returns the minutes, the newest last.
    pub fn minutes(&self) -> &[SlowestRun] {
        &self.0
    }

    /// Adds a run, and drops minutes that are an hour older.
    pub(crate) fn push(&mut self, run: PastRun) {
        let since = run
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let minute = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() / 60 * 60);
        // If the clock was set back, the run belongs to the last minute.
        let last = self.0.last().filter(|last| last.minute >= minute);
        if last.is_some_and(|last| last.duration >= run.duration) {
            return; // the usual case, without a copy of the list that reports share
        }
        let is_within = last.is_some();
        let minutes = Arc::make_mut(&mut self.0);
        match minutes.last_mut().filter(|_| is_within) {
            Some(last) => last.duration = run.duration,
            None => minutes.push(SlowestRun {
                minute,
                duration: run.duration,
            }),
        }
        let is_old = |old: &SlowestRun| {
            minute
                .duration_since(old.minute)
                .is_ok_and(|age| age >= MINUTE * 60)
        };
        minutes.retain(|old| !is_old(old));
        let surplus = minutes.len().saturating_sub(MINUTES);
        minutes.drain(..surplus);
    }
}

impl FromIterator<PastRun> for Latency {
    fn from_iter<I: IntoIterator<Item = PastRun>>(runs: I) -> Self {
        let mut latency = Self::default();
        runs.into_iter().for_each(|run| latency.push(run));
        latency
    }
}

impl From<Vec<SlowestRun>> for Latency {
    fn from(mut minutes: Vec<SlowestRun>) -> Self {
        let surplus = minutes.len().saturating_sub(MINUTES);
        minutes.drain(..surplus);
        Self(Arc::new(minutes))
    }
}

impl From<Latency> for Vec<SlowestRun> {
    fn from(latency: Latency) -> Self {
        latency.0.to_vec()
    }
}

/// A change of a check's effective status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatusChange {
    /// The status before the change; `None` for the first verdict.
    pub from: Option<Status>,
    /// The status after the change.
    pub to: Status,
    /// The time of the change.
    #[serde(with = "serde_time::rfc3339")]
    pub at: SystemTime,
}

impl StatusChange {
    /// Creates a change, for reports that are built by hand.
    pub fn new(from: Option<Status>, to: Status, at: SystemTime) -> Self {
        Self { from, to, at }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_minutes_is_kept_and_of_each_the_slowest_run() {
        let run = |second: u64, millis: u64| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            PastRun::new(Status::Working, Duration::from_millis(millis), at)
        };
        let latency: Latency = (0..7200).map(|second| run(second, second % 60)).collect();
        assert_eq!(latency.minutes().len(), 60);
        assert!(
            latency
                .minutes()
                .iter()
                .all(|minute| minute.duration == Duration::from_millis(59))
        );
        let gap: Latency = [run(0, 1), run(59, 5), run(3_500, 2), run(3_660, 3)]
            .into_iter()
            .collect();
        let kept: Vec<_> = gap
            .minutes()
            .iter()
            .map(|minute| minute.duration.as_millis())
            .collect();
        assert_eq!(kept, [2, 3], "the first minute is more than an hour old");
        let back: Latency = [run(600, 1), run(10, 7)].into_iter().collect();
        assert_eq!(
            back.minutes().len(),
            1,
            "a clock that goes back begins no older minute"
        );
    }
}
