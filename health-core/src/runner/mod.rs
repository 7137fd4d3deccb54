//! The engine: runs checks, remembers their verdicts and puts reports together.
//!
//! A check is a [`cell`] that remembers its last verdict. A read asks the cells of a [`plan`]; each answers by a
//! verdict that is still good, or by a [`flight`]: the one run that is under way, whoever asked for it. Flights are
//! detached from their readers, who wait for them no longer than their budget.

mod awake;
mod background;
mod cell;
mod flight;
mod journal;
mod plan;
mod rows;
mod shutdown;
mod telling;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use awake::Awake;
pub(crate) use background::Tasks;
use cell::{Boarded, Cell};
use flight::{Flight, Pilot};
pub(crate) use plan::{Kind, Plan};
use shutdown::Shutdown;
pub(crate) use telling::Listeners;

use crate::check::HealthCheck as _;
use crate::registry::{BuildError, Registry};
use crate::report::CheckInfo;
use crate::sync::AtomicU64;
use crate::{Clock, GroupSettings, Report, Settings, Transition};

/// Up to this many checks get a task each; beyond, sixteen are begun by one, which halves the cost of a thousand.
const TASKS: usize = 64;

/// Runs checks; owns timeouts, caching and isolation.
#[derive(Debug)]
pub(crate) struct Runner {
    cells: Vec<Cell>,
    plans: Vec<Plan>,
    places: Semaphore,
    places_in_all: usize,
    max_stale: Duration,
    /// Counts whatever may change a report.
    epoch: AtomicU64,
    draining: AtomicBool,
    /// `true` once draining can no longer be taken back.
    terminating: AtomicBool,
    started_up: AtomicBool,
    awake: Awake,
    /// Where runs live: the runtime that the health was built in, until it ends.
    home: Option<Handle>,
    home_is_gone: AtomicBool,
    shutdown: Shutdown,
    pub(crate) clock: Arc<dyn Clock>,
    listeners: Listeners,
}

/// A report, and how long it may be read again.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) report: Report,
    /// `None` for a report that is partial or has expired already.
    pub(crate) good: Option<Good>,
    /// Background verdicts that were found to have expired, to be reported afterwards.
    pub(crate) expired: Vec<Transition>,
}

/// The time in which a report stays true.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Good {
    epoch: u64,
    until: Option<Instant>,
}

impl Runner {
    pub(crate) fn new(
        registry: Registry,
        groups: &std::collections::BTreeMap<String, GroupSettings>,
        settings: &Settings,
        home: Option<Handle>,
        clock: Arc<dyn Clock>,
        listeners: Listeners,
    ) -> Result<Self, BuildError> {
        let (cells, plans) = plan::lay_out(registry, groups, settings)?;
        Ok(Self {
            cells,
            plans,
            places: Semaphore::new(settings.max_concurrency.min(Semaphore::MAX_PERMITS)),
            places_in_all: settings.max_concurrency,
            max_stale: settings.max_stale,
            epoch: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            terminating: AtomicBool::new(false),
            started_up: AtomicBool::new(false),
            awake: Awake::new(&*clock),
            home,
            home_is_gone: AtomicBool::new(false),
            shutdown: Shutdown::default(),
            clock,
            listeners,
        })
    }

    pub(crate) fn plans(&self) -> &[Plan] {
        &self.plans
    }

    pub(crate) fn plan(&self, group: Option<&str>) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name.as_deref() == group)
    }

    /// A plan of some of another one's checks.
    pub(crate) fn narrow(&self, plan: &Plan, keep: impl Fn(&str) -> bool) -> Plan {
        plan.narrowed(&self.cells, keep)
    }

    pub(crate) fn name_of(&self, cell: usize) -> &str {
        &self.cells[cell].identifier
    }

    pub(crate) fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|cell| cell.identifier.as_str())
    }

    /// The time in which all checks of a plan should have ended by their timeouts, and a second more.
    pub(crate) fn patience(&self, plan: &Plan) -> Duration {
        let timeouts = plan.closure.iter().map(|&cell| self.cells[cell].limits.timeout);
        let rounds = plan.closure.len().div_ceil(self.places_in_all.max(1));
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        timeouts.max().unwrap_or_default().saturating_mul(rounds).saturating_add(Duration::from_secs(1))
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = CheckInfo> {
        self.cells.iter().enumerate().map(|(position, cell)| CheckInfo {
            identifier: cell.identifier.clone(),
            critical: cell.critical,
            scope: cell.scope,
            groups: self.groups_of(position),
            timeout: cell.limits.timeout,
        })
    }

    /// The groups that a check is in, whether it names them or not.
    fn groups_of(&self, cell: usize) -> Vec<String> {
        let with = self.plans.iter().filter(|plan| plan.members.contains(&cell));
        with.filter_map(|plan| plan.name.clone()).collect()
    }

    /// Begins to drain, or ends that; `false` where it is too late for that.
    pub(crate) fn drain(&self, drains: bool) -> bool {
        if !drains && self.terminating.load(Ordering::SeqCst) {
            return false;
        }
        if self.draining.swap(drains, Ordering::SeqCst) != drains {
            self.changed();
            self.tell_of_draining(drains);
        }
        true
    }

    /// Drains for good.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        self.terminating.store(true, Ordering::SeqCst);
        self.drain(true);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn is_good(&self, good: &Good) -> bool {
        let now = self.clock.now();
        self.see_sleep(now);
        good.epoch == self.epoch.load(Ordering::Acquire) && good.until.is_none_or(|until| now < until)
    }

    /// Invalidates all reports if the machine was suspended.
    fn see_sleep(&self, now: Instant) {
        if self.awake.has_slept(now, self.clock.time(), self.max_stale) {
            self.changed();
        }
    }

    /// Says that no report from before holds any more.
    fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Asks a plan's cells, and waits for those that have to run, no longer than the budget.
    pub(crate) async fn wait_for(self: &Arc<Self>, plan: &Plan, budget: Duration) -> Waited {
        let began = self.clock.now();
        self.see_sleep(began);
        let mut answers = Answers::default();
        if plan.kind != Kind::Startup || !self.started_up.load(Ordering::Relaxed) {
            answers = self.ask(plan, began);
            self.wait(&mut answers, budget).await;
        }
        Waited { began, answers }
    }

    /// The report of what was waited for.
    pub(crate) fn reading(self: &Arc<Self>, plan: &Plan, waited: &Waited, budget: Duration) -> Reading {
        let epoch = self.epoch.load(Ordering::Acquire); // before the cells: what changes meanwhile outdates the report
        let (rows, until) = self.rows(plan, &waited.answers, budget);
        let expired = self.expired(&rows);
        let mut report = Report::new(rows);
        report.group.clone_from(&plan.name);
        report.generated_at = self.clock.time();
        report.duration = self.clock.now().saturating_duration_since(waited.began);
        let good = until.map(|until| Good { epoch, until });
        Reading { report, good, expired }
    }

    /// Asks every cell that the plan needs, and launches what nobody has launched yet.
    fn ask(self: &Arc<Self>, plan: &Plan, now: Instant) -> Answers {
        let mut answers = Vec::with_capacity(plan.closure.len());
        let sleeps = self.awake.sleeps();
        let together = if plan.closure.len() <= TASKS { 1 } else { 16 };
        for cells in plan.closure.chunks(together) {
            let mut new = Vec::new();
            for &cell in cells {
                let boarded = self.cells[cell].ask(now, sleeps);
                if let Some(Boarded { flight, is_new: true }) = &boarded {
                    new.push(Pilot::new(self, cell, Arc::clone(flight)));
                }
                answers.push((cell, boarded.map(|run| run.flight)));
            }
            self.launch(new);
        }
        Answers(answers)
    }

    /// Joins the run of a cell that is under way, else launches one.
    fn board(self: &Arc<Self>, cell: usize) -> Arc<Flight> {
        let Boarded { flight, is_new } = self.cells[cell].board();
        if is_new {
            self.launch(vec![Pilot::new(self, cell, Arc::clone(&flight))]);
        }
        flight
    }

    /// Lets runs live on the home runtime, or on the asker's where there is no home any more.
    fn launch(&self, pilots: Vec<Pilot>) {
        let at_home = |pilot: &Pilot| self.cells[pilot.cell()].check.runs_at_home();
        let (home, elsewhere): (Vec<_>, Vec<_>) = pilots.into_iter().partition(at_home);
        launch_on(home, || self.runtime());
        launch_on(elsewhere, || Handle::try_current().ok().map(|here| (here, false)).or_else(|| self.runtime()));
    }

    /// Drops the runs that are under way and lets none start any more; waits until they are gone.
    pub(crate) async fn end_runs(&self) {
        self.shutdown.request();
        for flight in self.cells.iter().filter_map(Cell::flight) {
            flight.landed().await;
        }
    }

    /// A flight at home was given up without a panic, or a background task there ended: the home runtime has ended.
    pub(crate) fn lost_home(&self, is_lost: bool) {
        self.home_is_gone.fetch_or(is_lost, Ordering::Relaxed);
    }

    /// Returns the runtime for runs, and `true` if that is the home runtime.
    fn runtime(&self) -> Option<(Handle, bool)> {
        let home = self.home.clone().filter(|_| !self.home_is_gone.load(Ordering::Relaxed));
        home.map(|home| (home, true)).or_else(|| Some((Handle::try_current().ok()?, false)))
    }

    /// Waits until all flights have landed or the budget is used up.
    async fn wait(self: &Arc<Self>, answers: &mut Answers, budget: Duration) {
        let all = answers.land(|cell| self.board(cell));
        // The timer lives on the reader's runtime; a reader outside of any borrows the home.
        let Some(timeout) = Handle::try_current().ok().or_else(|| Some(self.runtime()?.0)).map(|runtime| {
            let _inside = runtime.enter();
            tokio::time::timeout(budget, all)
        }) else {
            return;
        };
        let _ = timeout.await; // what has not landed by now is told by the rows
    }
}

fn launch_on(pilots: Vec<Pilot>, runtime: impl FnOnce() -> Option<(Handle, bool)>) {
    if pilots.is_empty() {
        return;
    }
    let Some((runtime, at_home)) = runtime() else {
        tracing::error!("no Tokio runtime to run health checks on: call from within one, or hand one to the builder");
        return; // the pilots give their flights up
    };
    let mut pilots: Vec<_> = pilots.into_iter().map(|pilot| pilot.at_home(at_home)).collect();
    match pilots.pop() {
        Some(pilot) if pilots.is_empty() => drop(runtime.spawn(pilot.fly())),
        last => {
            pilots.extend(last);
            drop(runtime.spawn(async move { flight::begin(pilots) }));
        }
    }
}

/// When a reader began to wait, and what has come of it.
pub(crate) struct Waited {
    began: Instant,
    answers: Answers,
}

impl Waited {
    /// Returns `true` if the budget ended before a run did.
    pub(crate) fn is_partial(&self) -> bool {
        self.answers.0.iter().any(|(_, awaited)| awaited.is_some())
    }
}

/// The cells of a plan's closure in order, and the runs that are awaited.
#[derive(Default)]
struct Answers(Vec<(usize, Option<Arc<Flight>>)>);

impl Answers {
    /// Waits until all have landed. A flight that is lost is boarded anew, twice: its runtime has ended, and the next one runs
    /// on the asker's.
    async fn land(&mut self, board: impl Fn(usize) -> Arc<Flight>) {
        for (cell, awaited) in &mut self.0 {
            let mut tries = 2;
            while let Some(flight) = awaited {
                if flight.landed().await {
                    *awaited = None;
                } else if tries > 0 {
                    tries -= 1;
                    *flight = board(*cell);
                } else {
                    break;
                }
            }
        }
    }
}
