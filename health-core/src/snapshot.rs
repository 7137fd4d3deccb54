//! Reports that several readers see, and the answers that were made of them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::Response;

use crate::Report;
use crate::render::Renderers;
use crate::runner::Freshness;

/// Readers whose budgets end within this time see the same partial report.
const TOGETHER: Duration = Duration::from_millis(100);

/// An answer that shows ages is made anew after this time.
const SECOND: Duration = Duration::from_secs(1);

/// The last reports of a plan.
#[derive(Default)]
pub(crate) struct Slot {
    /// The last one that is true for a while.
    pub(crate) kept: ArcSwapOption<Snapshot>,
    /// The last one that is not, for want of time.
    partial: Mutex<Option<Partial>>,
}

struct Partial {
    ended: Instant,
    budget: Duration,
    snapshot: Arc<Snapshot>,
}

impl Slot {
    /// The partial report of the readers whose budget has just ended, by whoever is the first of them. They wait for each
    /// other here: rows are built once.
    pub(crate) fn partial(&self, now: Instant, budget: Duration, make: impl FnOnce() -> Snapshot) -> Arc<Snapshot> {
        let mut last = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partial) = &*last
            && partial.budget == budget
            && now.saturating_duration_since(partial.ended) < TOGETHER
        {
            return Arc::clone(&partial.snapshot);
        }
        let snapshot = Arc::new(make());
        *last = Some(Partial { ended: now, budget, snapshot: Arc::clone(&snapshot) });
        snapshot
    }
}

/// A report and the answers that were made of it, so that a cached one costs a look-up.
pub(crate) struct Snapshot {
    pub(crate) report: Arc<Report>,
    pub(crate) freshness: Option<Freshness>,
    answers: Box<[OnceLock<Arc<Response<Bytes>>>]>,
    /// Those that tell how long ago things were, with the second that they were made in.
    aged: Box<[Mutex<Option<Aged>>]>,
}

/// When an answer was made, and the answer.
type Aged = (SystemTime, Arc<Response<Bytes>>);

/// The way that a reader wants to see a report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// The position of the format.
    pub(crate) renderer: usize,
    /// `true` if the reader may see the verdict only.
    pub(crate) redacted: bool,
    /// `true` if the reader wants to know more.
    pub(crate) verbose: bool,
}

impl View {
    fn place(self) -> usize {
        4 * self.renderer + 2 * usize::from(self.verbose) + usize::from(self.redacted)
    }
}

impl Snapshot {
    pub(crate) fn new(report: Report, freshness: Option<Freshness>, renderers: &Renderers) -> Self {
        let permits = 4 * renderers.len();
        Self {
            report: Arc::new(report),
            freshness,
            answers: (0..permits).map(|_| OnceLock::new()).collect(),
            aged: (0..permits).map(|_| Mutex::default()).collect(),
        }
    }

    /// The answer to a reader of a view. It is made outside of any lock: two readers at once may make it twice, and neither waits
    /// for a renderer that hangs.
    pub(crate) fn answer(&self, view: View, make: impl FnOnce(&Report) -> Response<Bytes>) -> &Arc<Response<Bytes>> {
        let answer = &self.answers[view.place()];
        if let Some(answer) = answer.get() {
            return answer;
        }
        let new = Arc::new(if view.redacted { make(&self.report.without_rows()) } else { make(&self.report) });
        answer.get_or_init(|| new)
    }

    /// The same for a view that tells how long ago things were: made once a second, as of then.
    pub(crate) fn answer_now(
        &self,
        view: View,
        now: SystemTime,
        make: impl FnOnce(&Report) -> Response<Bytes>,
    ) -> Arc<Response<Bytes>> {
        let is_later = now.duration_since(self.report.generated_at).is_ok_and(|age| age >= SECOND);
        let now = if is_later { now } else { self.report.generated_at };
        let lock = || self.aged[view.place()].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, answer)) = &*lock()
            && now.duration_since(*made_at).is_ok_and(|age| age < SECOND)
        {
            return Arc::clone(answer);
        }
        let mut report = if view.redacted { self.report.without_rows() } else { Report::clone(&self.report) };
        report.generated_at = now;
        let answer = Arc::new(make(&report));
        *lock() = Some((now, Arc::clone(&answer)));
        answer
    }
}
