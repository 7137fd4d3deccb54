use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::builder::HealthBuilder;
use crate::http::Policy;
use crate::registry::DRAINING;
use crate::render::Renderers;
use crate::report::CheckInfo;
use crate::runner::{Plan, Runner};
use crate::selection::{Choice, Selection, UnknownName};
use crate::snapshot::{Slot, Snapshot};
use crate::subscription::Driver;
use crate::{CheckReport, Clock, Report, Settings};

/// The health of a service: its checks, the rules by which they run, and the formats in which they
/// are shown.
///
/// A `Health` is built once and cheap to clone. Hand it to an adapter or to the command line.
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
    /// The last reports of each plan, without and with the verdicts of all groups, and the answers
    /// that were rendered from them.
    slots: Vec<[Slot; 2]>,
    /// The last plans that requests have narrowed to some checks, each with its reports.
    narrowed: Mutex<VecDeque<Arc<Narrowed>>>,
    /// The policies of its endpoints, for which snapshots keep answers.
    policies: Mutex<Vec<Policy>>,
    /// The drivers of the groups that have subscriptions, by the position of the plan.
    drivers: Mutex<BTreeMap<usize, Driver>>,
    /// The services of the gRPC health protocol, each with its group.
    grpc_services: Mutex<BTreeMap<String, String>>,
}

/// A plan of only some checks of another plan, as requests select them.
struct Narrowed {
    choice: Choice,
    plan: Plan,
    /// Excluded names that no check of the plan has.
    unknown_excludes: Vec<String>,
    slot: Slot,
}

/// The number of narrowed plans that are kept.
const NARROWED: usize = 16;

/// The number of endpoint policies that have cached answers.
const MAX_POLICIES: usize = 16;

impl Health {
    /// Returns a builder for the health of a service.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::default()
    }

    pub(crate) fn new(
        runner: Runner,
        settings: Settings,
        renderers: Renderers,
        notice: Option<String>,
    ) -> Self {
        let slots = runner.plans().iter().map(|_| Default::default()).collect();
        let built_at = runner.clock.time();
        let narrowed = Mutex::default();
        let runner = Arc::new(runner);
        runner.connect_reports();
        let policies = Mutex::new(vec![Policy::new(&settings)]);
        let drivers = Mutex::default();
        let grpc_services = Mutex::default();
        let inner = Inner {
            runner,
            settings,
            renderers,
            notice,
            built_at,
            slots,
            narrowed,
            policies,
            drivers,
            grpc_services,
        };
        Self(Arc::new(inner))
    }

    /// Reads all checks, within [`Settings::budget`].
    pub async fn report(&self) -> Arc<Report> {
        Arc::clone(&self.snapshot(0, true, None).await.report)
    }

    /// Reads the checks of a group, within its budget, as an [`Endpoint`](crate::Endpoint) does.
    ///
    /// # Errors
    /// Fails for an unknown group.
    pub async fn group_report(&self, group: &str) -> Result<Arc<Report>, UnknownName> {
        let plan = self.position(group)?;
        Ok(Arc::clone(&self.snapshot(plan, true, None).await.report))
    }

    /// Runs one check now, however fresh its last verdict is, and waits until the run has ended. A
    /// run that is under way already is joined, so that a check never runs twice at the same time.
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
        let reading = runner.reading(&plan, &waited, max_wait, true);
        runner.notify_expired(&reading.expired);
        let row = reading
            .report
            .checks
            .into_iter()
            .find(|row| row.identifier == identifier);
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
        let reading = runner.reading(&plan, &waited, max_wait, true);
        runner.notify_expired(&reading.expired);
        let mut report = reading.report;
        self.complete(&mut report);
        Ok(report)
    }

    /// Starts the background runs of checks that have an interval. The first read does so, too, and
    /// a second call does nothing.
    pub fn start(&self) {
        self.0.runner.start();
    }

    /// Ends all runs, and waits for what checks still have to undo elsewhere (see
    /// [`cleanup`](crate::cleanup()) and [`HealthCheck::stop`](crate::HealthCheck::stop)), no longer
    /// than `limit`. If this is the last clone, it also closes the connections that checks have
    /// kept.
    ///
    /// It is for the end of a process, and nothing starts again afterwards, from whichever clone:
    /// later reads see the last verdicts, and `ready`, the report of all checks and the declared
    /// groups fail because the service shuts down.
    ///
    /// Returns `true` if everything has ended within the limit.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let health = health_core::Health::builder().build()?;
    /// assert!(health.shutdown(std::time::Duration::from_secs(2)).await);
    /// # Ok::<(), health_core::BuildError>(())
    /// # }).unwrap();
    /// ```
    pub async fn shutdown(self, limit: Duration) -> bool {
        self.stop_for_ever();
        let ended = async {
            self.0.runner.end().await;
            self.0.runner.stop_checks().await;
            drop(self); // the last clone also drops the checks
            crate::cleanup::finished().await;
        };
        tokio::time::timeout(limit, ended).await.is_ok()
    }

    /// Returns the settings that it was built with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the formats in which it can be shown.
    pub fn renderers(&self) -> &Renderers {
        &self.0.renderers
    }

    /// Returns the identifiers of its checks, sorted.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.0.runner.identifiers()
    }

    /// Returns the properties of its checks that are known without a run, sorted by identifier.
    pub fn checks(&self) -> impl Iterator<Item = CheckInfo> {
        self.0.runner.checks()
    }

    /// Returns the names of its groups: `live`, `ready`, `startup`, and those that were declared.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.plans().iter().filter_map(|plan| plan.name.as_deref())
    }

    /// Adds services of the gRPC health protocol, each with its group, to the list in reports and
    /// on the page. Servers of that protocol, such as health-tonic, call this.
    pub fn add_grpc_services(&self, services: impl IntoIterator<Item = (String, String)>) {
        self.0
            .grpc_services
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(services);
        self.0.runner.changed();
    }

    /// Returns the position of a group's plan.
    pub(crate) fn position(&self, group: &str) -> Result<usize, UnknownName> {
        let position = self
            .plans()
            .iter()
            .position(|plan| plan.name.as_deref() == Some(group));
        position.ok_or_else(|| UnknownName::group(group, self.groups()))
    }

    pub(crate) fn drivers(&self) -> MutexGuard<'_, BTreeMap<usize, Driver>> {
        self.0
            .drivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.runner.clock
    }

    pub(crate) fn plans(&self) -> &[Plan] {
        self.0.runner.plans()
    }

    fn policies(&self) -> MutexGuard<'_, Vec<Policy>> {
        self.0
            .policies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of a policy. Answers are cached for the first `MAX_POLICIES` different
    /// policies only.
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

    /// Returns the last report of a plan while it is fresh, or else a new one.
    pub(crate) async fn snapshot(
        &self,
        position: usize,
        with_groups: bool,
        budget: Option<Duration>,
    ) -> Arc<Snapshot> {
        let plan = &self.plans()[position];
        let slot = self.slot(position, with_groups);
        self.read_snapshot(plan, slot, &[], with_groups, budget)
            .await
    }

    /// Returns the report of the chosen checks. It reads the same cells as the report of the whole
    /// plan.
    pub(crate) async fn snapshot_of(
        &self,
        choice: &Choice,
        budget: Option<Duration>,
    ) -> Arc<Snapshot> {
        if choice.is_whole() {
            return self.snapshot(choice.plan, choice.with_groups, budget).await;
        }
        let narrowed = self.narrowed(choice);
        let unknown = &narrowed.unknown_excludes;
        self.read_snapshot(&narrowed.plan, &narrowed.slot, unknown, false, budget)
            .await
    }

    fn slot(&self, plan: usize, with_groups: bool) -> &Slot {
        &self.0.slots[plan][usize::from(with_groups)]
    }

    /// Returns the identifiers of the checks of a plan.
    pub(crate) fn members(&self, position: usize) -> impl Iterator<Item = &str> {
        self.plans()[position]
            .members
            .iter()
            .map(|&member| self.0.runner.name_of(member))
    }

    /// Returns `true` if this is a check of the plan.
    pub(crate) fn has_member(&self, name: &str, position: usize) -> bool {
        self.members(position).any(|member| member == name)
    }

    fn narrowed(&self, choice: &Choice) -> Arc<Narrowed> {
        let mut all = self
            .0
            .narrowed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.iter().find(|known| known.choice == *choice) {
            return Arc::clone(found);
        }
        let unknown_excludes = choice.unknown_excludes(|name| self.has_member(name, choice.plan));
        let plan = self
            .0
            .runner
            .narrow(&self.plans()[choice.plan], |name| choice.keeps(name));
        let narrowed = Arc::new(Narrowed {
            choice: choice.clone(),
            plan,
            unknown_excludes,
            slot: Slot::default(),
        });
        if all.len() >= NARROWED {
            all.pop_front();
        }
        all.push_back(Arc::clone(&narrowed));
        narrowed
    }

    /// Returns the last report in this slot while it is fresh, or else a new one.
    async fn read_snapshot(
        &self,
        plan: &Plan,
        slot: &Slot,
        unknown_excludes: &[String],
        with_groups: bool,
        budget: Option<Duration>,
    ) -> Arc<Snapshot> {
        if let Some(snapshot) = self.kept_in(slot, Arc::clone) {
            return snapshot;
        }
        self.start();
        let runner = &self.0.runner;
        let budget = plan.budget.min(budget.unwrap_or(Duration::MAX));
        let waited = runner.wait_for(plan, budget).await;
        // Another reader of the same runs may have been faster, and has built the report.
        if let Some(snapshot) = self.kept_in(slot, Arc::clone) {
            return snapshot;
        }
        let mut expired = Vec::new();
        let mut make = || {
            let mut reading = runner.reading(plan, &waited, budget, with_groups);
            expired = reading.expired;
            self.complete(&mut reading.report);
            reading.report.unknown_excludes = unknown_excludes.to_vec();
            Snapshot::new(
                reading.report,
                reading.number,
                reading.freshness,
                self.0.renderers.positions().len() + 1,
                self.policies().len(),
            )
        };
        let snapshot = if waited.is_partial() {
            slot.partial(self.clock().now(), budget, make)
        } else {
            Arc::new(make())
        };
        if snapshot.freshness.is_some() {
            slot.kept.store(Some(Arc::clone(&snapshot)));
        }
        runner.notify_expired(&expired);
        // A client that waits for less than the group's budget has not seen its verdict.
        if !waited.is_partial() || budget == plan.budget {
            runner.take_verdict(plan, &snapshot.report, snapshot.number);
        }
        snapshot
    }

    /// Fills in the fields of a report that the runner does not know.
    fn complete(&self, report: &mut Report) {
        report.notice.clone_from(&self.0.notice);
        report.instance.clone_from(&self.0.settings.instance);
        report.version.clone_from(&self.0.settings.version);
        report.built_at = self.0.built_at;
        report.grpc_services.clone_from(
            &self
                .0
                .grpc_services
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if let Some(draining) = report
            .checks
            .iter_mut()
            .find(|row| row.identifier == DRAINING)
        {
            draining.since = self.draining_since();
        }
    }

    /// Reads the last report of the chosen checks while it is fresh. It does not clone the `Arc`,
    /// because the threads of a busy service would contend for its reference count.
    pub(crate) fn kept<T>(
        &self,
        choice: &Choice,
        read: impl FnOnce(&Arc<Snapshot>) -> T,
    ) -> Option<T> {
        if choice.is_whole() {
            return self.kept_in(self.slot(choice.plan, choice.with_groups), read);
        }
        self.kept_in(&self.narrowed(choice).slot, read)
    }

    fn kept_in<T>(&self, slot: &Slot, read: impl FnOnce(&Arc<Snapshot>) -> T) -> Option<T> {
        let kept = slot.kept.load();
        let snapshot = kept.as_ref()?;
        self.0
            .runner
            .is_fresh(snapshot.freshness.as_ref()?)
            .then(|| read(snapshot))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.runner.home.close();
        self.runner.wake().notify_waiters(); // subscriptions and `Health::stops` end with the last `Health`
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
