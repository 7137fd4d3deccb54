//! The engine: runs checks, remembers their verdicts and builds reports.
//!
//! Each check has a [`cell`] that remembers its last verdict. A read visits the cells of a
//! [`plan`]: a cell returns its verdict while that is fresh, and otherwise the [`run`] that brings
//! a new one. A check has at most one run at a time, shared by all of its readers. Runs are
//! detached from readers, and a reader waits no longer than its budget.

mod awake;
mod background;
mod cell;
mod journal;
mod notify;
mod plan;
mod reports;
mod run;
mod shutdown;
mod turn;
mod verdict;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use awake::Awake;
pub(crate) use cell::{Cell, Moment, State};
use cell::{Event, JoinedRun};
pub(crate) use notify::Listeners;
pub(crate) use plan::{Kind, Plan, build_plans};
pub(crate) use run::Run;
use run::RunJob;
use shutdown::Shutdown;
pub use verdict::run;
pub(crate) use verdict::seconds;

use crate::check::HealthCheck as _;
use crate::drain::Life;
use crate::engine::group::{Scene, earlier};
use crate::engine::home::{self, Home};
use crate::interceptor::Interceptors;
use crate::registry::BuildFault;
use crate::report::{CheckInfo, ClockOf};
use crate::reported::Sink;
use crate::sync::AtomicU64;
use crate::{CheckReport, Clock, Report, Settings, Transition};

/// The number of checks up to which each run is spawned as a task of its own. For more checks, one
/// task begins sixteen runs, which halves the cost of a thousand checks.
const TASKS: usize = 64;

/// Runs checks, with timeouts, caching and isolation.
#[derive(Debug)]
pub(crate) struct Runner {
    cells: Vec<Cell>,
    plans: Vec<Plan>,
    permits: Semaphore,
    max_permits: usize,
    max_stale: Duration,
    /// Counts the changes that outdate reports: verdicts, drains, suspends of the machine.
    epoch: AtomicU64,
    /// The same for each plan, of which a verdict outdates only those that read its check.
    epochs: Box<[AtomicU64]>,
    /// The drain, and the end of the service.
    pub(crate) life: Life,
    /// `true` once a read of `startup` has shown that the service has started, for good.
    started_up: AtomicBool,
    awake: Awake,
    /// The runtime on which runs and background tasks live.
    pub(crate) home: Home,
    /// `true` once the runs in the background have been started.
    has_begun: AtomicBool,
    shutdown: Shutdown,
    pub(crate) clock: Arc<dyn Clock>,
    listeners: Listeners,
    interceptors: Interceptors,
    /// The time at which the health was built.
    built: Instant,
    /// Takes the reports of the application.
    sinks: OnceLock<Vec<Arc<dyn Sink>>>,
    /// The number of reports that have been begun.
    reports: std::sync::atomic::AtomicU64,
    /// The last report of each plan.
    last_reports: Vec<turn::LastReports>,
    /// Wakes the subscriptions after a transition, a drain or an expiry.
    wake: Arc<tokio::sync::Notify>,
}

/// A report, and the time for which it may be cached.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) report: Report,
    /// The number of the report, which grows with each one that is begun.
    pub(crate) number: u64,
    /// `None` if the report is partial or contains an expired verdict.
    pub(crate) freshness: Option<Freshness>,
    /// The transitions of background verdicts that have expired, which are reported afterwards.
    pub(crate) expired: Vec<Transition>,
}

/// The condition under which a cached report is fresh: the epoch is the same, and the time is not
/// over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freshness {
    /// The plan whose epoch counts; `None` for a report with the verdicts of all groups.
    plan: Option<usize>,
    epoch: u64,
    until: Option<Instant>,
}

impl Runner {
    pub(crate) fn new(
        cells: Vec<Cell>,
        plans: Vec<Plan>,
        settings: &Settings,
        home: Home,
        clock: Arc<dyn Clock>,
        listeners: Listeners,
        interceptors: Interceptors,
    ) -> Self {
        Self {
            epochs: plans.iter().map(|_| AtomicU64::new(0)).collect(),
            reports: std::sync::atomic::AtomicU64::new(0),
            last_reports: plans.iter().map(|_| turn::LastReports::default()).collect(),
            built: clock.now(),
            sinks: OnceLock::new(),
            cells,
            plans,
            permits: Semaphore::new(settings.max_concurrency.min(Semaphore::MAX_PERMITS)),
            max_permits: settings.max_concurrency,
            max_stale: settings.max_stale,
            epoch: AtomicU64::new(0),
            life: Life::default(),
            started_up: AtomicBool::new(false),
            awake: Awake::new(&*clock),
            home,
            has_begun: AtomicBool::new(false),
            shutdown: Shutdown::default(),
            clock,
            listeners,
            interceptors,
            wake: Arc::default(),
        }
    }

    pub(crate) fn plans(&self) -> &[Plan] {
        &self.plans
    }

    pub(crate) fn plan(&self, group: Option<&str>) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name.as_deref() == group)
    }

    /// Returns a plan with only those members of another plan that `keep` accepts.
    pub(crate) fn narrow(&self, plan: &Plan, keep: impl Fn(&str) -> bool) -> Plan {
        plan.narrowed(&self.cells, keep)
    }

    pub(crate) fn name_of(&self, cell: usize) -> &str {
        &self.cells[cell].identifier
    }

    pub(crate) fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|cell| cell.identifier.as_str())
    }

    /// Returns the time within which all checks of a plan have ended by their timeouts, plus one
    /// second.
    pub(crate) fn max_wait(&self, plan: &Plan) -> Duration {
        let timeouts = plan
            .closure
            .iter()
            .map(|&cell| self.cells[cell].limits.longest());
        let rounds = plan.closure.len().div_ceil(self.max_permits.max(1));
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        timeouts
            .max()
            .unwrap_or_default()
            .saturating_mul(rounds)
            .saturating_add(Duration::from_secs(1))
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = CheckInfo> {
        (0..self.cells.len()).map(|position| self.info(position))
    }

    fn info(&self, position: usize) -> CheckInfo {
        let cell = &self.cells[position];
        CheckInfo {
            identifier: cell.identifier.clone(),
            critical: cell.critical,
            scope: cell.scope,
            groups: self.groups_of(position),
            timeout: cell.limits.timeout,
            ttl: cell.interval(),
            hold: cell.shortest_hold(),
            clock: ClockOf(Arc::clone(&self.clock)),
        }
    }

    /// Hands each check what was decided about it. Returns what they refuse.
    pub(crate) fn attach(&self) -> Vec<BuildFault> {
        let checks = self.cells.iter().zip(self.checks());
        let refused = checks.filter_map(|(cell, info)| {
            let message = cell.check.attach(&info).err()?;
            Some(BuildFault::check(&info.identifier, message))
        });
        refused.collect()
    }

    /// Ends what checks have elsewhere: see [`HealthCheck::stop`](crate::HealthCheck::stop).
    pub(crate) async fn stop_checks(&self) {
        let all = self.cells.iter().map(|cell| cell.check.stop());
        futures::future::join_all(all).await;
    }

    /// Returns the groups that contain a check, whether the check names them or not.
    fn groups_of(&self, cell: usize) -> Vec<String> {
        let with = self
            .plans
            .iter()
            .filter(|plan| plan.members.contains(&cell));
        with.filter_map(|plan| plan.name.clone()).collect()
    }

    pub(crate) fn is_fresh(&self, freshness: &Freshness) -> bool {
        let now = self.clock.now();
        self.check_suspend(now);
        freshness.epoch == self.epoch(freshness.plan)
            && freshness.until.is_none_or(|until| now < until)
    }

    /// Invalidates all reports if the machine was suspended.
    fn check_suspend(&self, now: Instant) {
        if self.awake.has_slept(now, self.clock.time(), self.max_stale) {
            self.cells.iter().for_each(Cell::mark_old);
            self.changed();
        }
    }

    pub(crate) fn wake(&self) -> Arc<tokio::sync::Notify> {
        Arc::clone(&self.wake)
    }

    /// Returns the time for which a report stays fresh; `None` means forever. Returns `pause` for a
    /// report that is not fresh.
    pub(crate) fn freshness_left(
        &self,
        freshness: Option<&Freshness>,
        pause: Duration,
    ) -> Option<Duration> {
        let Some(freshness) = freshness else {
            return Some(pause);
        };
        freshness.until.map(
            |until| match until.saturating_duration_since(self.clock.now()) {
                Duration::ZERO => pause,
                left => left,
            },
        )
    }

    /// Runs the members of a plan, even if their verdicts are fresh, and reads the checks that they
    /// depend on. Waits no longer than `max_wait`.
    pub(crate) async fn run_now(self: &Arc<Self>, plan: &Plan, max_wait: Duration) -> Waited {
        let began = self.clock.now();
        let mut awaited = self.read(plan, began);
        for (cell, awaited) in &mut awaited.0 {
            if plan.members.contains(cell) && self.cells[*cell].source().is_none() {
                *awaited = self.join_or_start(*cell);
            }
        }
        self.wait(&mut awaited, max_wait).await;
        Waited { began, awaited }
    }

    /// Invalidates all cached reports.
    pub(crate) fn changed(&self) {
        for epoch in &self.epochs {
            epoch.fetch_add(1, Ordering::Release);
        }
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Invalidates the cached reports of the plans that read a check.
    pub(super) fn check_changed(&self, cell: usize) {
        let readers = self.plans.iter().zip(&self.epochs);
        for (_, epoch) in readers.filter(|(plan, _)| plan.reads(cell)) {
            epoch.fetch_add(1, Ordering::Release);
        }
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Tells everybody what a run has changed.
    fn publish(&self, cell: usize, event: &Event) {
        match event {
            Event::Same => {}
            Event::Moved => {
                self.check_changed(cell);
                self.wake.notify_waiters();
            }
            Event::New(record) => {
                self.check_changed(cell);
                self.notify(&self.cells[cell].identifier, record);
            }
        }
    }

    fn epoch(&self, plan: Option<usize>) -> u64 {
        plan.map_or(&self.epoch, |plan| &self.epochs[plan])
            .load(Ordering::Acquire)
    }

    /// Reads the cells of a plan, and waits for those that have to run, no longer than the budget.
    pub(crate) async fn wait_for(self: &Arc<Self>, plan: &Plan, budget: Duration) -> Waited {
        let began = self.clock.now();
        self.check_suspend(began);
        let mut awaited = Awaited::default();
        if plan.kind != Kind::Startup || !self.started_up.load(Ordering::Relaxed) {
            awaited = self.read(plan, began);
            self.wait(&mut awaited, budget).await;
        }
        Waited { began, awaited }
    }

    /// Builds the report after a wait.
    pub(crate) fn reading(
        self: &Arc<Self>,
        plan: &Plan,
        waited: &Waited,
        budget: Duration,
        with_groups: bool,
    ) -> Reading {
        let number = self.reports.fetch_add(1, Ordering::SeqCst);
        let outdated_by = (!with_groups).then_some(plan.index);
        let epoch = self.epoch(outdated_by); // before the cells, so that later changes outdate the report
        let scene = self.scene();
        let rows = scene.rows(plan, waited.awaited.unfinished(), budget);
        let expired = self.expired(rows.expired);
        if rows.has_started {
            self.started_up.store(true, Ordering::Relaxed);
        }
        let mut report = Report::new(rows.all);
        let mut until = rows.until;
        report.group.clone_from(&plan.name);
        report.generated_at = self.clock.time();
        report.duration = self.clock.now().saturating_duration_since(waited.began);
        if with_groups && plan.is_whole {
            // A reader that leaves checks out must not see their names.
            let (groups, true_until) = scene.groups(&self.plans);
            report.groups = groups;
            until = earlier(until, true_until);
        }
        Reading {
            report,
            number,
            freshness: rows.is_cacheable.then_some(Freshness {
                plan: outdated_by,
                epoch,
                until,
            }),
            expired,
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            cells: &self.cells,
            at: Moment {
                now: self.life.stopped().unwrap_or_else(|| self.clock.now()),
                max_stale: self.max_stale,
                built: self.built,
            },
            time: self.clock.time(),
            service: self.life.service(),
        }
    }

    /// Returns a transition for each background verdict that has expired and was not reported yet.
    fn expired(&self, expired: Vec<(usize, CheckReport)>) -> Vec<Transition> {
        let transition = |(cell, row): (usize, CheckReport)| {
            let from = self.cells[cell].expire(row.last_run)?;
            Some(Transition {
                check: row.identifier,
                from: Some(from),
                to: row.status,
                errors: row.errors,
                at: self.clock.time(),
            })
        };
        expired.into_iter().filter_map(transition).collect()
    }

    /// Reads every cell that the plan needs, and launches the runs that are missing.
    fn read(self: &Arc<Self>, plan: &Plan, now: Instant) -> Awaited {
        if self.home.is_closed() {
            return Awaited(plan.closure.iter().map(|&cell| (cell, None)).collect());
        }
        let mut awaited = Vec::with_capacity(plan.closure.len());
        let together = if plan.closure.len() <= TASKS { 1 } else { 16 };
        for cells in plan.closure.chunks(together) {
            let mut new = Vec::new();
            for &cell in cells {
                let joined = self.cells[cell].run_needed(now);
                if let Some(JoinedRun { run, is_new: true }) = &joined {
                    new.push(RunJob::new(self, cell, Arc::clone(run)));
                }
                awaited.push((cell, joined.map(|run| run.run)));
            }
            launch(new);
        }
        Awaited(awaited)
    }

    /// Joins the run of a cell that is under way, or launches one. Returns `None` once the service
    /// has shut down.
    fn join_or_start(self: &Arc<Self>, cell: usize) -> Option<Arc<Run>> {
        if self.home.is_closed() {
            return None;
        }
        let JoinedRun { run, is_new } = self.cells[cell].join_or_start(self.clock.now());
        if is_new {
            launch(vec![RunJob::new(self, cell, Arc::clone(&run))]);
        }
        Some(run)
    }

    /// Lets nothing begin any more, aborts the runs that are under way, and waits until all that
    /// lives in the background has ended.
    pub(crate) async fn end(&self) {
        self.home.close();
        self.shutdown.request();
        self.home.empty().await;
    }

    /// Waits until all runs have ended or the budget is used up.
    async fn wait(&self, awaited: &mut Awaited, budget: Duration) {
        let all = awaited.wait();
        // The timer needs a runtime: that of the caller, or that of the runs if the caller is
        // outside of any.
        let Some(runtime) = Handle::try_current().ok().or_else(|| self.home.runtime()) else {
            return;
        };
        let timeout = {
            let _inside = runtime.enter();
            tokio::time::timeout(budget, all)
        };
        let _ = timeout.await; // the rows show which runs have not finished
    }
}

/// Spawns runs. Several of them begin in one task, because that costs less.
fn launch(jobs: Vec<RunJob>) {
    let (apart, mut jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(RunJob::is_apart);
    apart.into_iter().for_each(home::spawn);
    match jobs.len() {
        0 => {}
        1 => jobs.drain(..).for_each(home::spawn),
        _ => home::spawn_together(jobs),
    }
}

/// The result of a wait: the time at which it began, and the runs that have not ended.
pub(crate) struct Waited {
    began: Instant,
    awaited: Awaited,
}

impl Waited {
    /// Returns `true` if the budget ended before a run did.
    pub(crate) fn is_partial(&self) -> bool {
        self.awaited.0.iter().any(|(_, awaited)| awaited.is_some())
    }
}

/// The cells of a plan's closure in order, each with the run that its reader waits for.
#[derive(Default)]
struct Awaited(Vec<(usize, Option<Arc<Run>>)>);

impl Awaited {
    /// Returns the cells, each with the run that has not brought its verdict yet.
    fn unfinished(&self) -> impl ExactSizeIterator<Item = (usize, Option<&Run>)> {
        self.0.iter().map(|(cell, run)| {
            let run = run.as_deref().filter(|run| !run.has_ended());
            (*cell, run)
        })
    }

    /// Waits until all runs have ended.
    async fn wait(&mut self) {
        for (_, awaited) in &mut self.0 {
            if let Some(run) = awaited {
                run.finished().await;
                *awaited = None;
            }
        }
    }
}
