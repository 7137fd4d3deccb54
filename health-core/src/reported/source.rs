use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::clock::SystemClock;
use crate::{
    Clock, FailureKind, HealthCheckException, Result, ServiceUnavailable, ServiceWarning, Status,
};

/// The reports of the application for one check, which the engine reads. Not for use outside of
/// this crate.
///
/// The time of the last report is an atomic number, so that a heartbeat takes no lock. A report
/// that differs from the last one is rare. It takes the lock, and is passed to the cells of the
/// check.
pub struct Source {
    /// The longest time between two reports; `None` if reports do not expire.
    pub(crate) max_age: Option<Duration>,
    /// `true` for a gate, which must not be in `live`.
    pub(crate) is_gate: bool,
    /// The name of a report in messages: `heartbeat` or `report`.
    pub(crate) noun: &'static str,
    created: Instant,
    /// The time of the last report, in nanoseconds since `created`.
    last: AtomicU64,
    /// `true` if the next report has to notify the cells: it is the first one, or the last one has
    /// expired.
    is_awaited: AtomicBool,
    state: Mutex<State>,
    clock: OnceLock<Arc<dyn Clock>>,
}

#[derive(Default)]
struct State {
    report: Option<Report>,
    /// The number of guards that were dropped by a task that returned or panicked.
    ended: usize,
    sinks: Vec<Weak<dyn Sink>>,
    /// The number of changes, by which a cell ignores one that comes late.
    version: u64,
}

/// A status with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) status: Status,
    pub(crate) message: String,
    pub(crate) kind: FailureKind,
}

impl Report {
    pub(super) fn working() -> Self {
        Self {
            status: Status::Working,
            message: String::new(),
            kind: FailureKind::Other,
        }
    }

    pub(super) fn warning(message: impl Into<String>) -> Self {
        Self {
            status: Status::Warning,
            message: message.into(),
            kind: FailureKind::Other,
        }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self {
            status: Status::Unavailable,
            message: message.into(),
            kind: FailureKind::Other,
        }
    }

    pub(crate) fn error(&self) -> Option<HealthCheckException> {
        match self.status {
            Status::Working => None,
            Status::Warning => Some(
                ServiceWarning::new(self.message.clone())
                    .with_kind(self.kind)
                    .into(),
            ),
            _ => Some(
                ServiceUnavailable::new(self.message.clone())
                    .with_kind(self.kind)
                    .into(),
            ),
        }
    }
}

/// The cell of a check, which takes its reports.
pub(crate) trait Sink: fmt::Debug + Send + Sync {
    /// Takes the report of a source, unless it has taken a later version.
    fn take(&self, version: u64, report: Report);
}

impl Source {
    pub(super) fn new(noun: &'static str, max_age: Option<Duration>) -> Self {
        Self {
            max_age,
            is_gate: false,
            noun,
            created: SystemClock.now(),
            last: AtomicU64::new(0),
            is_awaited: AtomicBool::new(true),
            state: Mutex::default(),
            clock: OnceLock::new(),
        }
    }

    pub(super) fn gate() -> Self {
        Self {
            is_gate: true,
            ..Self::new("report", None)
        }
    }

    /// Reports that all is well, without a lock unless the report is awaited.
    pub(super) fn beat(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
        if self.is_awaited.load(Ordering::Relaxed) {
            self.report(Report::working());
        }
    }

    /// Takes a report. Notifies the cells if it differs from the last one, or is awaited.
    pub(super) fn report(&self, report: Report) {
        self.last.store(self.now(), Ordering::Relaxed);
        let mut state = self.state();
        let is_awaited = self.is_awaited.swap(false, Ordering::Relaxed);
        if !is_awaited && state.report.as_ref() == Some(&report) {
            return;
        }
        state.report = Some(report);
        Self::publish(state);
    }

    /// Counts a task that has ended, or one that has replaced it.
    pub(super) fn task_ended(&self, ended: bool) {
        let mut state = self.state();
        let before = state.ended;
        state.ended = if ended {
            before + 1
        } else {
            before.saturating_sub(1)
        };
        if (before == 0) != (state.ended == 0) {
            Self::publish(state);
        }
    }

    /// Returns `true` if a watched task has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended > 0
    }

    fn publish(mut state: MutexGuard<'_, State>) {
        let Some(report) = present(&state) else {
            return;
        };
        state.version += 1;
        let version = state.version;
        state.sinks.retain(|sink| sink.strong_count() > 0);
        let sinks = state.sinks.clone();
        drop(state); // a sink calls listeners, which may make reports, too
        for sink in sinks.iter().filter_map(Weak::upgrade) {
            sink.take(version, report.clone());
        }
    }

    /// Connects a cell, which gets the present report at once, if there is one.
    pub(crate) fn connect(&self, sink: &Arc<dyn Sink>, clock: &Arc<dyn Clock>) {
        let mut state = self.state();
        let _ = self.clock.set(Arc::clone(clock)); // of several healths, the clock of the first one is used
        state.sinks.push(Arc::downgrade(sink));
        let version = state.version;
        let report = present(&state);
        drop(state);
        if let Some(report) = report {
            sink.take(version, report);
        }
    }

    /// Returns the present report.
    pub(crate) fn present(&self) -> Option<Report> {
        present(&self.state())
    }

    pub(super) fn result(&self) -> Result {
        match self.present() {
            None => Err(ServiceUnavailable::new("no result yet").into()),
            Some(report) => report.error().map_or(Ok(()), Err),
        }
    }

    /// Returns the time of the last report.
    fn last(&self) -> Instant {
        self.created + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }

    /// Returns the age of the last report if that is too old. From then on the next report notifies
    /// the cells.
    pub(crate) fn too_old(&self, now: Instant) -> Option<Duration> {
        let is_old = |age: Duration| self.max_age.is_some_and(|max_age| age >= max_age);
        let age = || now.saturating_duration_since(self.last());
        if !is_old(age()) || self.has_ended() {
            return None; // the end of a task is the better message than the age of its last beat
        }
        self.is_awaited.store(true, Ordering::Relaxed);
        Some(age()).filter(|age| is_old(*age)) // a report may have come in between
    }

    /// Returns the time at which the last report becomes too old.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let max_age = self.max_age?;
        if self.has_ended() {
            None
        } else {
            self.last().checked_add(max_age)
        }
    }

    fn now(&self) -> u64 {
        let now = self
            .clock
            .get()
            .map_or_else(|| SystemClock.now(), |clock| clock.now());
        let age = now.saturating_duration_since(self.created);
        // In 64 bits, which are enough for 584 years: `as_nanos` is slower.
        age.as_secs()
            .wrapping_mul(1_000_000_000)
            .wrapping_add(u64::from(age.subsec_nanos()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn present(state: &State) -> Option<Report> {
    if state.ended > 0 {
        Some(Report::failed("the task has ended"))
    } else {
        state.report.clone()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("report", &self.present())
            .finish_non_exhaustive()
    }
}
