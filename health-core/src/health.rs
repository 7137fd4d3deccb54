use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::builder::HealthBuilder;
use crate::http::Policy;
use crate::registry::DRAINING;
use crate::render::Renderers;
use crate::report::CheckInfo;
use crate::runner::{Plan, Runner, Tasks};
use crate::selection::{Selection, UnknownName};
use crate::snapshot::{Slot, Snapshot};
use crate::subscription::Driver;
use crate::{CheckReport, Clock, Report, Settings};

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
pub struct Health(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) runner: Arc<Runner>,
    settings: Settings,
    renderers: Renderers,
    notice: Option<String>,
    built_at: SystemTime,
    drained_at: Mutex<Option<SystemTime>>,
    /// The last reports of each plan, with what was rendered of them.
    slots: Vec<Slot>,
    /// The same of plans without some of their checks, the last that were asked for.
    narrowed: Mutex<VecDeque<Arc<Narrowed>>>,
    tasks: Mutex<Option<Tasks>>,
    /// The policies of its endpoints, for which snapshots keep answers.
    policies: Mutex<Vec<Policy>>,
    /// The readers of groups that have subscriptions, by the position of the plan.
    drivers: Mutex<BTreeMap<usize, Driver>>,
}

/// A plan of the checks that readers want to see.
struct Narrowed {
    /// The place of the plan, the only checks to show, and the checks to leave out.
    of: (usize, BTreeSet<String>, BTreeSet<String>),
    plan: Plan,
    /// Excluded names that no check of the plan has.
    unknown_excludes: Vec<String>,
    slot: Slot,
}

/// The number of sets of checks that are kept.
const NARROWED: usize = 16;

/// The number of endpoint policies that have cached answers.
const MAX_POLICIES: usize = 16;

impl Health {
    /// Starts to put a service's health together.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::default()
    }

    pub(crate) fn new(runner: Runner, settings: Settings, renderers: Renderers, notice: Option<String>) -> Self {
        let slots = runner.plans().iter().map(|_| Slot::default()).collect();
        let (built_at, drained_at, narrowed) = (runner.clock.time(), Mutex::default(), Mutex::default());
        let (runner, tasks) = (Arc::new(runner), Mutex::default());
        let policies = Mutex::new(vec![Policy::new(&settings)]);
        let drivers = Mutex::default();
        let inner = Inner {
            runner,
            settings,
            renderers,
            notice,
            built_at,
            drained_at,
            slots,
            narrowed,
            tasks,
            policies,
            drivers,
        };
        Self(Arc::new(inner))
    }

    /// Reads all checks, within [`Settings::budget`].
    pub async fn report(&self) -> Arc<Report> {
        Arc::clone(&self.snapshot(0, None).await.report)
    }

    /// Reads the checks of a group, within its budget, as an [`Endpoint`](crate::Endpoint) does.
    ///
    /// # Errors
    /// Fails for an unknown group.
    pub async fn group_report(&self, group: &str) -> Result<Arc<Report>, UnknownName> {
        let plan = self.position(group)?;
        Ok(Arc::clone(&self.snapshot(plan, None).await.report))
    }

    /// Runs one check now, however fresh its last verdict is, and waits until the run has ended. A run that is under way already is
    /// joined, so that a check never runs twice at the same time.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use health_core::{Health, check_fn};
    ///
    /// let health = Health::builder().check(check_fn("cache", || async { Ok(()) })).build()?;
    /// assert_eq!(health.run_check("cache").await?.pretty_status(), "working");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Fails for an unknown check.
    pub async fn run_check(&self, identifier: &str) -> Result<CheckReport, UnknownName> {
        let plan = Selection::default().only(identifier).plan(&self.0.runner)?;
        self.start();
        let runner = &self.0.runner;
        let max_wait = runner.max_wait(&plan);
        let waited = runner.run_now(&plan, max_wait).await;
        let reading = runner.reading(&plan, &waited, max_wait);
        runner.notify_expired(&reading.expired);
        let row = reading.report.checks.into_iter().find(|row| row.identifier == identifier);
        row.ok_or_else(|| UnknownName::check(identifier, self.identifiers()))
    }

    /// Reads the checks of a selection and waits for each of them to end, however long its timeout.
    ///
    /// # Errors
    /// Fails if the selection names an unknown check or group.
    pub async fn read(&self, selection: &Selection) -> Result<Report, UnknownName> {
        let plan = selection.plan(&self.0.runner)?;
        self.start();
        let max_wait = self.0.runner.max_wait(&plan);
        let runner = &self.0.runner;
        let waited = runner.wait_for(&plan, max_wait).await;
        let reading = runner.reading(&plan, &waited, max_wait);
        runner.notify_expired(&reading.expired);
        let mut report = reading.report;
        self.complete(&mut report);
        Ok(report)
    }

    /// Starts the background runs of checks that have an interval. The first read does this, too; calling it again
    /// does nothing, unless they have ended with the runtime that they were on.
    pub fn start(&self) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = match &*tasks {
            Some(tasks) => tasks.have_ended(),
            None => Some(false),
        };
        if let Some(was_own) = ended {
            self.0.runner.runtime_is_gone(was_own);
            *tasks = self.0.runner.refresh_in_background();
        }
    }

    /// Says that the process is about to end, or wants no new work: `ready`, the whole and every declared group (unless
    /// [`GroupSettings::drains`](crate::GroupSettings::drains) says otherwise) fail from now on. `live` and `startup` stay as they
    /// are.
    pub fn drain(&self) {
        self.note_drain();
        self.0.runner.drain(true);
    }

    /// Takes [`drain`](Self::drain) back: a service that was taken out of its balancer for a while, and not to end. Returns
    /// whether it does not drain any more; `false` once SIGTERM has come.
    pub fn undrain(&self) -> bool {
        let is_back = self.0.runner.drain(false);
        if is_back {
            *self.0.drained_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        is_back
    }

    /// Drains, and there is no way back.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        self.note_drain();
        self.0.runner.terminate();
    }

    fn note_drain(&self) {
        let mut drained_at = self.0.drained_at.lock().unwrap_or_else(PoisonError::into_inner);
        drained_at.get_or_insert_with(|| self.clock().time());
    }

    /// Ends all runs of checks for freshness, and waits until what they had begun elsewhere is undone (see
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

    /// Returns the position of a group's plan.
    pub(crate) fn position(&self, group: &str) -> Result<usize, UnknownName> {
        let position = self.plans().iter().position(|plan| plan.name.as_deref() == Some(group));
        position.ok_or_else(|| UnknownName::group(group, self.groups()))
    }

    pub(crate) fn drivers(&self) -> MutexGuard<'_, BTreeMap<usize, Driver>> {
        self.0.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.runner.clock
    }

    pub(crate) fn plans(&self) -> &[Plan] {
        self.0.runner.plans()
    }

    fn policies(&self) -> MutexGuard<'_, Vec<Policy>> {
        self.0.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of a policy. Beyond the first few different ones, answers are not kept.
    pub(crate) fn policy_id(&self, policy: &Policy) -> usize {
        let mut policies = self.policies();
        match policies.iter().position(|known| known == policy) {
            Some(id) => id,
            None if policies.len() < MAX_POLICIES => {
                policies.push(policy.clone());
                policies.len() - 1
            }
            None => usize::MAX,
        }
    }

    /// The report of a plan: the last one while it is true, else a new one.
    pub(crate) async fn snapshot(&self, place: usize, budget: Option<Duration>) -> Arc<Snapshot> {
        self.see(&self.plans()[place], &self.0.slots[place], &[], budget).await
    }

    /// The report of some of a plan's checks: of the same cells.
    pub(crate) async fn snapshot_of_some(
        &self,
        only: &[String],
        exclude: &[String],
        place: usize,
        budget: Option<Duration>,
    ) -> Arc<Snapshot> {
        let narrowed = self.narrowed(only, exclude, place);
        self.see(&narrowed.plan, &narrowed.slot, &narrowed.unknown_excludes, budget).await
    }

    /// The names of a plan's checks.
    pub(crate) fn members(&self, place: usize) -> impl Iterator<Item = &str> {
        self.plans()[place].members.iter().map(|&member| self.0.runner.name_of(member))
    }

    /// Returns `true` if all of these are checks of the plan.
    pub(crate) fn has_members(&self, names: &[String], place: usize) -> bool {
        names.iter().all(|name| self.members(place).any(|member| member == name))
    }

    fn narrowed(&self, only: &[String], exclude: &[String], place: usize) -> Arc<Narrowed> {
        let of = (place, BTreeSet::from_iter(only.to_vec()), BTreeSet::from_iter(exclude.to_vec()));
        let mut all = self.0.narrowed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.iter().find(|known| known.of == of) {
            return Arc::clone(found);
        }
        let (_, only, exclude) = &of;
        let keep = |name: &str| (only.is_empty() || only.contains(name)) && !exclude.contains(name);
        let members: BTreeSet<&str> = self.members(place).collect();
        let unknown_excludes = exclude.iter().filter(|name| !members.contains(name.as_str())).cloned().collect();
        let plan = self.0.runner.narrow(&self.plans()[place], keep);
        let narrowed = Arc::new(Narrowed { of, plan, unknown_excludes, slot: Slot::default() });
        if all.len() >= NARROWED {
            all.pop_front();
        }
        all.push_back(Arc::clone(&narrowed));
        narrowed
    }

    /// The last report in this slot while it is true, else a new one.
    async fn see(
        &self,
        plan: &Plan,
        slot: &Slot,
        unknown_excludes: &[String],
        budget: Option<Duration>,
    ) -> Arc<Snapshot> {
        if let Some(snapshot) = self.kept_in(slot, Arc::clone) {
            return snapshot;
        }
        self.start();
        let runner = &self.0.runner;
        let budget = plan.budget.min(budget.unwrap_or(Duration::MAX));
        let waited = runner.wait_for(plan, budget).await;
        // Another reader of the same runs was faster, and has built the rows.
        if let Some(snapshot) = self.kept_in(slot, Arc::clone) {
            return snapshot;
        }
        let mut expired = Vec::new();
        let mut make = || {
            let mut reading = runner.reading(plan, &waited, budget);
            expired = reading.expired;
            self.complete(&mut reading.report);
            reading.report.unknown_excludes = unknown_excludes.to_vec();
            Snapshot::new(reading.report, reading.freshness, self.0.renderers.len(), self.policies().len())
        };
        let snapshot =
            if waited.is_partial() { slot.partial(self.clock().now(), budget, make) } else { Arc::new(make()) };
        if snapshot.freshness.is_some() {
            slot.kept.store(Some(Arc::clone(&snapshot)));
        }
        runner.notify_expired(&expired);
        snapshot
    }

    /// Adds what the runner does not know.
    fn complete(&self, report: &mut Report) {
        report.notice.clone_from(&self.0.notice);
        report.instance.clone_from(&self.0.settings.instance);
        report.version.clone_from(&self.0.settings.version);
        report.built_at = self.0.built_at;
        if let Some(draining) = report.checks.iter_mut().find(|row| row.identifier == DRAINING) {
            draining.since = *self.0.drained_at.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads the last report of a plan, while it is true. Without a clone: counting its owners would be the one thing that
    /// the threads of a busy service wait for.
    pub(crate) fn kept<T>(&self, place: usize, read: impl FnOnce(&Arc<Snapshot>) -> T) -> Option<T> {
        self.kept_in(&self.0.slots[place], read)
    }

    fn kept_in<T>(&self, slot: &Slot, read: impl FnOnce(&Arc<Snapshot>) -> T) -> Option<T> {
        let kept = slot.kept.load();
        let snapshot = kept.as_ref()?;
        self.0.runner.is_fresh(snapshot.freshness.as_ref()?).then(|| read(snapshot))
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
