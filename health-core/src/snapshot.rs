//! Reports that several readers share, and the answers that were rendered from them.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;

use crate::Report;
use crate::http::SharedResponse;
use crate::runner::Freshness;

/// Readers whose budgets end within this time see the same partial report.
const TOGETHER: Duration = Duration::from_millis(100);

/// An answer that shows ages is rendered again after this time.
const SECOND: Duration = Duration::from_secs(1);

/// The last reports of a plan.
#[derive(Default)]
pub(crate) struct Slot {
    /// The last complete report, which is fresh for a while.
    pub(crate) kept: ArcSwapOption<Snapshot>,
    /// The last report that was built before all runs had finished.
    partial: Mutex<Option<Partial>>,
}

struct Partial {
    ended: Instant,
    budget: Duration,
    snapshot: Arc<Snapshot>,
}

impl Slot {
    /// Returns the partial report of the readers whose budget has just ended. The first of them
    /// builds it, and the others wait.
    pub(crate) fn partial(
        &self,
        now: Instant,
        budget: Duration,
        make: impl FnOnce() -> Snapshot,
    ) -> Arc<Snapshot> {
        let mut last = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partial) = &*last
            && partial.budget == budget
            && now.saturating_duration_since(partial.ended) < TOGETHER
        {
            return Arc::clone(&partial.snapshot);
        }
        let snapshot = Arc::new(make());
        *last = Some(Partial {
            ended: now,
            budget,
            snapshot: Arc::clone(&snapshot),
        });
        snapshot
    }
}

/// A report and the answers that were rendered from it, so that a cached answer costs only a
/// look-up.
pub(crate) struct Snapshot {
    pub(crate) report: Arc<Report>,
    /// The number of the report.
    pub(crate) number: u64,
    pub(crate) freshness: Option<Freshness>,
    formats: usize,
    answers: Box<[OnceLock<SharedResponse>]>,
    /// The answers that show ages, each with the second in which it was rendered.
    aged: Box<[Mutex<Option<Aged>>]>,
}

/// The time at which an answer was rendered, and the answer.
type Aged = (SystemTime, SharedResponse);

/// One way to show a report. Each view has its own answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// The number of the endpoint's policy.
    pub(crate) policy: usize,
    /// The position of the format.
    pub(crate) renderer: usize,
    pub(crate) detail: Detail,
    /// `true` for the verbose form.
    pub(crate) verbose: bool,
}

/// The part of a report that a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The verdict, without the rows.
    Verdict,
    /// The rows of the group, and no name of another group.
    Group,
    /// Everything.
    Whole,
}

impl Detail {
    const ALL: usize = 3;

    fn of(self, report: &Report) -> Cow<'_, Report> {
        match self {
            Self::Verdict => Cow::Owned(report.without_rows()),
            Self::Group => Cow::Owned(report.without_other_groups()),
            Self::Whole => Cow::Borrowed(report),
        }
    }
}

impl Snapshot {
    /// Creates a snapshot with room for the answers of this number of formats and policies.
    pub(crate) fn new(
        report: Report,
        number: u64,
        freshness: Option<Freshness>,
        formats: usize,
        policies: usize,
    ) -> Self {
        let views = 2 * Detail::ALL * formats * policies;
        Self {
            report: Arc::new(report),
            number,
            freshness,
            formats,
            answers: (0..views).map(|_| OnceLock::new()).collect(),
            aged: (0..views).map(|_| Mutex::default()).collect(),
        }
    }

    fn index(&self, view: View) -> usize {
        let format = view
            .policy
            .saturating_mul(self.formats)
            .saturating_add(view.renderer);
        format
            .saturating_mul(2 * Detail::ALL)
            .saturating_add(2 * (view.detail as usize) + usize::from(view.verbose))
    }

    /// Calls `then` with the answer to a view, which is rendered if it is not cached. No lock is
    /// held meanwhile: two readers at the same time may both render the answer, and neither waits
    /// for a renderer that hangs. The answer of a policy that is newer than the snapshot is not
    /// cached.
    pub(crate) fn answer<T>(
        &self,
        view: View,
        make: impl FnOnce(&Report) -> SharedResponse,
        then: impl FnOnce(&SharedResponse) -> T,
    ) -> T {
        let make = || make(&view.detail.of(&self.report));
        let Some(cached) = self.answers.get(self.index(view)) else {
            return then(&make());
        };
        if let Some(answer) = cached.get() {
            return then(answer);
        }
        let new = make();
        then(cached.get_or_init(|| new))
    }

    /// Returns the answer to a view that shows ages. It is rendered at most once a second, with the
    /// ages at that time.
    pub(crate) fn answer_now(
        &self,
        view: View,
        now: SystemTime,
        make: impl FnOnce(&Report) -> SharedResponse,
    ) -> SharedResponse {
        let is_later = now
            .duration_since(self.report.generated_at)
            .is_ok_and(|age| age >= SECOND);
        let now = if is_later {
            now
        } else {
            self.report.generated_at
        };
        let cached = self.aged.get(self.index(view));
        let lock = || cached.map(|cached| cached.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some((made_at, answer)) = lock().as_deref().and_then(Option::as_ref)
            && now.duration_since(*made_at).is_ok_and(|age| age < SECOND)
        {
            return answer.clone();
        }
        let mut report = view.detail.of(&self.report).into_owned();
        report.generated_at = now;
        let answer = make(&report);
        if let Some(mut cached) = lock() {
            *cached = Some((now, answer.clone()));
        }
        answer
    }
}
