use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::flight::Flight;
use super::journal::{Entries, Journal};
use super::verdict::Verdict;
use crate::check::{BoxCheck, HealthCheck as _, Refresh};
use crate::registry::Entry;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::{CheckReport, History, PastRun, Scope, Settings, Status};

/// A check that remembers its last verdict.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) identifier: String,
    pub(crate) check: BoxCheck,
    pub(crate) critical: bool,
    pub(crate) scope: Scope,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) in_live: bool,
    pub(crate) timeout: Duration,
    pub(crate) refresh: Refresh,
    pub(crate) depends_on: Vec<usize>,
    labels: BTreeMap<String, String>,
    rise: u32,
    fall: u32,
    history: History,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    flight: Option<Arc<Flight>>,
    /// The best status that any run ended with.
    best: Option<Status>,
    journal: Journal,
}

/// What a cell remembers: the last verdict, and the one that counts.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) last: Arc<Verdict>,
    /// The last verdict of the effective status.
    pub(crate) effective: Arc<Verdict>,
    /// When the effective status became what it is.
    pub(crate) since: SystemTime,
    /// How many runs in a row were better, or worse, than the effective status.
    streak: u32,
}

/// What a cell answers to a read.
pub(crate) enum Answer {
    /// A verdict that is good enough.
    Held(Held),
    /// A run that was under way.
    Joined(Arc<Flight>),
    /// A run that the reader has to launch.
    Started(Arc<Flight>),
}

impl Cell {
    pub(crate) fn new(entry: Entry, depends_on: Vec<usize>, settings: &Settings) -> Self {
        let Entry { identifier, check, options } = entry;
        let groups: BTreeSet<String> = options.groups.iter().map(ToString::to_string).collect();
        Self {
            critical: options.critical.unwrap_or_else(|| check.critical_service()),
            scope: options.scope.unwrap_or_else(|| check.scope()),
            in_live: groups.contains("live"),
            groups,
            timeout: options.timeout.or_else(|| check.default_timeout()).unwrap_or(settings.timeout),
            refresh: options.refresh.unwrap_or(Refresh::Ttl(settings.ttl)),
            depends_on,
            labels: options.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            rise: options.thresholds.0,
            fall: options.thresholds.1,
            history: History::default(),
            state: Mutex::default(),
            identifier,
            check,
        }
    }

    /// Answers a read: by a verdict that is still good, else by the run under way, else by a new one.
    pub(crate) fn ask(&self, now: Instant) -> Answer {
        let state = self.lock();
        match &state.held {
            Some(held) if self.is_good(held, now) => Answer::Held(held.clone()),
            _ => Self::board(state),
        }
    }

    /// Answers by a run, however good the last verdict is.
    pub(crate) fn ask_anew(&self) -> Answer {
        Self::board(self.lock())
    }

    fn board(mut state: MutexGuard<'_, State>) -> Answer {
        if let Some(flight) = &state.flight {
            return Answer::Joined(Arc::clone(flight));
        }
        Answer::Started(Arc::clone(state.flight.insert(Arc::default())))
    }

    fn is_good(&self, held: &Held, now: Instant) -> bool {
        match self.refresh {
            Refresh::Ttl(ttl) => held.last.finished.checked_add(ttl).is_none_or(|end| now < end),
            Refresh::Every(_) => true, // it may have expired, and then the row says so: a read starts no run
        }
    }

    /// Until when a verdict may be read without asking again; `None` for ever.
    pub(crate) fn good_until(&self, held: &Held) -> Option<Instant> {
        held.last.finished.checked_add(match self.refresh {
            Refresh::Ttl(ttl) => ttl,
            Refresh::Every(interval) => self.expiry(interval),
        })
    }

    /// The age past which a background verdict is no verdict any more, as nothing seems to refresh it.
    fn expiry(&self, interval: Duration) -> Duration {
        let late = interval.saturating_add(jitter(interval)).saturating_add(self.timeout);
        interval.saturating_mul(3).max(late)
    }

    /// How old the verdict is, if that is too old.
    pub(crate) fn expired(&self, held: &Held, now: Instant) -> Option<Duration> {
        let Refresh::Every(interval) = self.refresh else { return None };
        let age = now.saturating_duration_since(held.last.finished);
        (age >= self.expiry(interval)).then_some(age)
    }

    pub(crate) fn held(&self) -> Option<Held> {
        self.lock().held.clone()
    }

    /// Looks at what it holds, without a copy.
    pub(crate) fn look<T>(&self, look: impl FnOnce(Option<&Held>) -> T) -> T {
        look(self.lock().held.as_ref())
    }

    /// The best status that any of its runs ended with; `None` before the first end.
    pub(crate) fn best(&self) -> Option<Status> {
        self.lock().best
    }

    /// Takes the verdict of the run that was under way, and says what there is to tell of it.
    pub(crate) fn settle(&self, verdict: Verdict) -> (Held, Entries) {
        let verdict = Arc::new(verdict);
        let mut state = self.lock();
        let (held, before) = match state.held.take() {
            None => (Held::first(verdict), None),
            Some(held) => {
                let before = held.effective.status;
                (held.next(verdict, self.rise, self.fall), Some(before))
            }
        };
        state.flight = None;
        self.history.push(PastRun::new(held.last.status, held.last.duration, held.last.finished_at));
        state.best = Some(state.best.map_or(held.last.status, |best| best.min(held.last.status)));
        state.held = Some(held.clone());
        let entries = state.journal.note(before, &held.effective, held.last.status);
        (held, entries)
    }

    /// Forgets a run that will not end.
    pub(crate) fn abandon(&self, flight: &Arc<Flight>) {
        let mut state = self.lock();
        if state.flight.as_ref().is_some_and(|own| Arc::ptr_eq(own, flight)) {
            state.flight = None;
        }
    }

    /// The row of a verdict; without one, a row that still has to be filled.
    pub(crate) fn row(&self, held: Option<&Held>) -> CheckReport {
        let mut row = CheckReport::new(self.identifier.clone());
        row.critical = self.critical;
        row.scope = self.scope;
        row.groups.clone_from(&self.groups);
        row.labels.clone_from(&self.labels);
        row.history = self.history.clone();
        if let Some(held) = held {
            row.status = held.effective.status;
            row.raw_status = held.last.status;
            row.errors.clone_from(&held.effective.errors);
            row.observations.clone_from(&held.last.observations);
            row.duration = Some(held.last.duration);
            row.last_run = Some(held.last.finished_at);
            row.since = Some(held.since);
        }
        row
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The most that a background run is put off, so that the replicas of a service don't run in step.
pub(crate) fn jitter(interval: Duration) -> Duration {
    interval / 10
}

impl Held {
    /// The first verdict takes effect at once.
    fn first(verdict: Arc<Verdict>) -> Self {
        Self { since: verdict.finished_at, effective: Arc::clone(&verdict), last: verdict, streak: 0 }
    }

    fn next(self, verdict: Arc<Verdict>, rise: u32, fall: u32) -> Self {
        let effective = self.effective.status;
        if verdict.status == effective {
            return Self { effective: Arc::clone(&verdict), last: verdict, since: self.since, streak: 0 };
        }
        let is_worse = verdict.status > effective;
        let goes_on = self.streak > 0 && (self.last.status > effective) == is_worse;
        let streak = if goes_on { self.streak.saturating_add(1) } else { 1 };
        if streak >= if is_worse { fall } else { rise } {
            return Self::first(verdict);
        }
        Self { last: verdict, streak, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: Status) -> Arc<Verdict> {
        Arc::new(Verdict::of(status))
    }

    /// The effective status after each run, for checks that rise after 2 and fall after 3.
    fn effective(runs: &[Status]) -> Vec<Status> {
        let mut held: Option<Held> = None;
        let mut step = |status: &Status| {
            let next = held.take().map_or_else(|| Held::first(verdict(*status)), |h| h.next(verdict(*status), 2, 3));
            held.insert(next).effective.status
        };
        runs.iter().map(&mut step).collect()
    }

    #[test]
    fn rise_and_fall_count_runs_in_a_row() {
        use Status::{Unavailable as U, Warning as W, Working as K};
        assert_eq!(effective(&[U, K, K]), [U, U, K], "the first verdict takes effect at once; two runs to rise");
        assert_eq!(effective(&[K, U, U, U]), [K, K, K, U], "three runs to fall");
        assert_eq!(effective(&[K, U, U, K, U, U, U]), [K, K, K, K, K, K, U], "a good run starts the count anew");
        assert_eq!(effective(&[K, W, U, W]), [K, K, K, W], "worse is worse, whichever");
        assert_eq!(effective(&[W, U, K, U, K, K]), [W, W, W, W, W, K], "better and worse are counted apart");
    }
}
