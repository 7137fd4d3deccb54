use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::Response;

use crate::builder::HealthBuilder;
use crate::registry::DRAINING;
use crate::render::Renderers;
use crate::report::CheckInfo;
use crate::runner::{Good, Plan, Runner, Tasks};
use crate::selection::{Selection, UnknownName};
use crate::{Clock, Report, Settings};

/// The health of a service: its checks, how they run and how they are shown. Built once, cheap to clone, handed to an
/// adapter or to the command line.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use health_core::{check_fn, Health, ServiceUnavailable};
///
/// let health = Health::builder()
///     .check(check_fn("cache", || async { Ok(()) }))
///     .check(check_fn("queue", || async { Err(ServiceUnavailable::new("connection refused").into()) }))
///     .build()?;
///
/// let report = health.report().await;
/// assert!(!report.healthy);
/// assert_eq!(report.checks[1].pretty_status(), "unavailable: connection refused");
/// # Ok::<(), health_core::BuildError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    runner: Arc<Runner>,
    settings: Settings,
    renderers: Renderers,
    notice: Option<String>,
    built_at: SystemTime,
    drained_at: OnceLock<SystemTime>,
    /// The last report of each plan, with what was rendered of it.
    snapshots: Vec<ArcSwapOption<Snapshot>>,
    tasks: Mutex<Option<Tasks>>,
}

impl Health {
    /// Starts to put a service's health together.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::default()
    }

    pub(crate) fn new(runner: Runner, settings: Settings, renderers: Renderers, notice: Option<String>) -> Self {
        let snapshots = runner.plans().iter().map(|_| ArcSwapOption::empty()).collect();
        let (built_at, drained_at) = (runner.clock.time(), OnceLock::new());
        let (runner, tasks) = (Arc::new(runner), Mutex::default());
        Self(Arc::new(Inner { runner, settings, renderers, notice, built_at, drained_at, snapshots, tasks }))
    }

    /// Reads all checks, within [`Settings::budget`].
    pub async fn report(&self) -> Arc<Report> {
        Arc::clone(&self.snapshot(0, None).await.report)
    }

    /// Reads the checks of a selection and waits for each of them to end, however long its timeout.
    ///
    /// # Errors
    /// Where it names a check or a group that there is not.
    pub async fn read(&self, selection: &Selection) -> Result<Report, UnknownName> {
        let plan = selection.plan(&self.0.runner)?;
        self.start();
        let patience = self.0.runner.patience(&plan);
        let mut report = self.0.runner.read(&plan, patience).await.report;
        self.complete(&mut report);
        Ok(report)
    }

    /// Starts the background runs of checks that have an interval. The first read does this, too; calling it again
    /// does nothing, unless they have ended with the runtime that they were on.
    pub fn start(&self) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.as_ref().is_none_or(Tasks::have_ended) {
            *tasks = self.0.runner.refresh_in_background();
        }
    }

    /// Says that the process is about to end: `ready` and the whole fail from now on, so that no new work is sent
    /// here. `live` and `startup` stay as they are.
    pub fn drain(&self) {
        self.0.drained_at.get_or_init(|| self.clock().time());
        self.0.runner.drain();
    }

    /// Ends all runs of checks for good, and waits until what they had begun elsewhere is undone (see
    /// [`cleanup`](crate::cleanup())), no longer than `limit`. For the end of a process: reads see the last verdicts from
    /// then on. Handed the last clone, it also closes the connections that checks have kept.
    ///
    /// Returns whether everything was done in time.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let health = health_core::Health::builder().build()?;
    /// assert!(health.shutdown(std::time::Duration::from_secs(2)).await);
    /// # Ok::<(), health_core::BuildError>(())
    /// # }).unwrap();
    /// ```
    pub async fn shutdown(self, limit: Duration) -> bool {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = async {
            if let Some(tasks) = tasks {
                tasks.end().await;
            }
            self.0.runner.end_runs().await;
            drop(self); // and with the last clone the checks
            crate::cleanup::finished().await;
        };
        tokio::time::timeout(limit, ended).await.is_ok()
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.0.runner.is_draining()
    }

    /// The settings it was built with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The formats it can be shown in.
    pub fn renderers(&self) -> &Renderers {
        &self.0.renderers
    }

    /// The identifiers of its checks, sorted.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.0.runner.identifiers()
    }

    /// What is known of its checks without running them, sorted by identifier.
    pub fn checks(&self) -> impl Iterator<Item = CheckInfo> {
        self.0.runner.checks()
    }

    /// The names of its groups: `live`, `ready`, `startup`, and those that were declared.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.plans().iter().filter_map(|plan| plan.name.as_deref())
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.runner.clock
    }

    pub(crate) fn plans(&self) -> &[Plan] {
        self.0.runner.plans()
    }

    /// The report of a plan: the last one while it is true, else a new one.
    pub(crate) async fn snapshot(&self, place: usize, budget: Option<Duration>) -> Arc<Snapshot> {
        if let Some(snapshot) = self.kept(place, Arc::clone) {
            return snapshot;
        }
        self.start();
        let plan = &self.plans()[place];
        let budget = plan.budget.min(budget.unwrap_or(Duration::MAX));
        let mut reading = self.0.runner.read(plan, budget).await;
        self.complete(&mut reading.report);
        if let Some(snapshot) = self.kept(place, Arc::clone) {
            return snapshot; // another reader of the same run was faster, and may have rendered it
        }
        let snapshot = Arc::new(Snapshot::new(reading.report, reading.good, &self.0.renderers));
        if snapshot.good.is_some() {
            self.0.snapshots[place].store(Some(Arc::clone(&snapshot)));
        }
        snapshot
    }

    /// The report of a plan without some of its checks: of the same cells, for this reader alone.
    pub(crate) async fn snapshot_without(
        &self,
        exclude: &[String],
        place: usize,
        budget: Option<Duration>,
    ) -> Arc<Snapshot> {
        if exclude.is_empty() {
            return self.snapshot(place, budget).await;
        }
        self.start();
        let (runner, plan) = (&self.0.runner, &self.plans()[place]);
        let exclude: BTreeSet<&str> = exclude.iter().map(String::as_str).collect();
        let members: BTreeSet<&str> = plan.members.iter().map(|&member| runner.name_of(member)).collect();
        let some = runner.narrow(plan, |name| !exclude.contains(name));
        let mut report = runner.read(&some, plan.budget.min(budget.unwrap_or(Duration::MAX))).await.report;
        self.complete(&mut report);
        report.unmatched = exclude.difference(&members).map(|&name| name.to_owned()).collect();
        Arc::new(Snapshot::new(report, None, &self.0.renderers))
    }

    /// Adds what the runner does not know.
    fn complete(&self, report: &mut Report) {
        report.notice.clone_from(&self.0.notice);
        report.instance.clone_from(&self.0.settings.instance);
        report.version.clone_from(&self.0.settings.version);
        report.built_at = self.0.built_at;
        if let Some(draining) = report.checks.iter_mut().find(|row| row.identifier == DRAINING) {
            draining.since = self.0.drained_at.get().copied();
        }
    }

    /// Reads the last report of a plan, while it is true. Without a clone: counting its owners would be the one thing that
    /// the threads of a busy service wait for.
    pub(crate) fn kept<T>(&self, place: usize, read: impl FnOnce(&Arc<Snapshot>) -> T) -> Option<T> {
        let kept = self.0.snapshots[place].load();
        let snapshot = kept.as_ref()?;
        self.0.runner.is_good(snapshot.good.as_ref()?).then(|| read(snapshot))
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("checks", &self.identifiers().collect::<Vec<_>>())
            .field("groups", &self.groups().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A report and the answers that were made of it, so that a cached one costs a look-up.
pub(crate) struct Snapshot {
    pub(crate) report: Arc<Report>,
    good: Option<Good>,
    answers: Box<[OnceLock<Arc<Response<Bytes>>>]>,
    /// Those that tell how long ago things were, with the second that they were made in.
    aged: Box<[Mutex<Option<Aged>>]>,
}

/// When an answer was made, and the answer.
type Aged = (SystemTime, Arc<Response<Bytes>>);

/// How a report is shown to a reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// The position of the format.
    pub(crate) renderer: usize,
    /// Whether the reader may see the verdict only.
    pub(crate) bare: bool,
    /// Whether the reader wants to know more.
    pub(crate) verbose: bool,
}

impl Snapshot {
    fn new(report: Report, good: Option<Good>, renderers: &Renderers) -> Self {
        let places = 4 * renderers.len();
        Self {
            report: Arc::new(report),
            good,
            answers: (0..places).map(|_| OnceLock::new()).collect(),
            aged: (0..places).map(|_| Mutex::default()).collect(),
        }
    }

    /// The answer to a reader of a view, made once.
    pub(crate) fn answer(&self, view: View, make: impl FnOnce(&Report) -> Response<Bytes>) -> &Arc<Response<Bytes>> {
        let answer = &self.answers[view.place()];
        answer.get_or_init(|| Arc::new(if view.bare { make(&self.report.without_rows()) } else { make(&self.report) }))
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
        let mut report = if view.bare { self.report.without_rows() } else { Report::clone(&self.report) };
        report.generated_at = now;
        let answer = Arc::new(make(&report)); // outside of the lock
        *lock() = Some((now, Arc::clone(&answer)));
        answer
    }
}

/// What tells how long ago things were is true for this long.
const SECOND: Duration = Duration::from_secs(1);

impl View {
    fn place(self) -> usize {
        4 * self.renderer + 2 * usize::from(self.verbose) + usize::from(self.bare)
    }
}
