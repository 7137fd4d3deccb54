use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Plan;
use super::journal::{Journal, Record};
use super::run::Run;
use super::share::{Next, Share, Sharing};
use super::verdict::{Limits, Verdict};
use crate::check::{BoxCheck, HealthCheck as _, Refresh};
use crate::engine::group::{Account, Age, Evidence, Reported, View};
use crate::registry::Entry;
use crate::reported::Source;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::{CheckReport, History, Hold, Latency, PastRun, Scope, Settings, Status, StatusChange};

/// The number of changes of the status that are kept.
const CHANGES: usize = 10;

/// A check with its options and its last verdict.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) identifier: String,
    pub(crate) check: BoxCheck,
    pub(crate) critical: bool,
    pub(crate) scope: Scope,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) in_live: bool,
    pub(crate) limits: Limits,
    pub(crate) refresh: Refresh,
    pub(crate) depends_on: Vec<usize>,
    pub(crate) hold: Option<Hold>,
    /// The reports of the application, for a check that is not probed.
    pub(crate) source: Option<Arc<Source>>,
    /// The key under which the check is shared. Taken when the `Health` joins its fleet.
    pub(crate) shared_key: Option<Cow<'static, str>>,
    /// The options of a check that a fleet shares.
    pub(crate) sharing: Option<Sharing>,
    labels: BTreeMap<String, String>,
    rise: u32,
    fall: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) known: Option<LastVerdicts>,
    pub(crate) run: Option<Arc<Run>>,
    /// The time of the first read.
    first_read: Option<Instant>,
    /// The best status that any run ended with.
    best: Option<Status>,
    /// `true` once the expiry of the verdict was reported.
    is_expired: bool,
    journal: Journal,
    pub(crate) past: Past,
    /// The account of each group that holds, by the number of the hold.
    accounts: Vec<Option<Account>>,
    /// The version of the last report that was taken.
    report: u64,
    /// The state of the check in the fleet.
    pub(crate) share: Share,
}

/// The moment at which cells are looked at, and what the service knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// The number of suspends of the machine so far.
    pub(crate) sleeps: u64,
    /// The age up to which a verdict is shown in place of a run that is not over.
    pub(crate) max_stale: Duration,
    /// The time at which the `Health` was built.
    pub(crate) built: Instant,
}

/// The past of a check, as its row shows it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    history: History,
    latency: Latency,
    /// The last changes of the effective status.
    changes: Arc<[StatusChange]>,
}

/// The last verdict of a check, and the one that is in effect. They differ while the thresholds of
/// the check hold back a change.
#[derive(Debug, Clone)]
pub(crate) struct LastVerdicts {
    pub(crate) last: Arc<Verdict>,
    /// The last verdict of the effective status.
    pub(crate) effective: Arc<Verdict>,
    /// The time at which the effective status last changed.
    pub(crate) since: SystemTime,
    /// The number of consecutive runs that were better, or worse, than the effective status.
    streak: u32,
}

/// A run that a caller joins.
pub(crate) struct JoinedRun {
    pub(crate) run: Arc<Run>,
    /// `true` if the caller has to launch it.
    pub(crate) is_new: bool,
}

impl Cell {
    pub(crate) fn new(entry: Entry, depends_on: Vec<usize>, settings: &Settings) -> Self {
        let Entry {
            identifier,
            check,
            options,
        } = entry;
        let groups: BTreeSet<String> = options.groups.iter().map(ToString::to_string).collect();
        Self {
            critical: options.critical.unwrap_or_else(|| check.critical_service()),
            scope: options.scope.unwrap_or_else(|| check.scope()),
            in_live: groups.contains("live"),
            groups,
            limits: Limits {
                timeout: options
                    .timeout
                    .or_else(|| check.default_timeout())
                    .unwrap_or(settings.timeout),
                reconnect: options.reconnect.unwrap_or(settings.reconnect),
            },
            refresh: options.refresh.unwrap_or_else(|| {
                Refresh::Ttl(
                    check
                        .default_ttl()
                        .map_or(settings.ttl, |ttl| ttl.max(settings.ttl)),
                )
            }),
            depends_on,
            hold: options.hold,
            source: check.reported().cloned(),
            shared_key: options.shared,
            sharing: None,
            labels: options
                .labels
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            rise: options.thresholds.0,
            fall: options.thresholds.1,
            state: Mutex::default(),
            identifier,
            check,
        }
    }

    /// Opens an account for a group that holds. Only an external check is held, and the account of
    /// any other has no length.
    pub(crate) fn open_account(
        &self,
        number: usize,
        group: Hold,
        lengthen: f64,
        warnings_fail: bool,
    ) {
        let mut state = self.lock();
        let missing = (number + 1).saturating_sub(state.accounts.len());
        state.accounts.reserve_exact(missing); // a vector would allocate four
        state.accounts.resize_with(number + 1, || None);
        let hold = match self.scope {
            Scope::External => self.hold.unwrap_or(group),
            _ => Hold::NONE,
        };
        let length = hold.lengthened(lengthen);
        state.accounts[number] = Some(Account::new(length, warnings_fail));
    }

    /// Returns all that the judge needs to know of the check, as a group sees it. `run` is the run
    /// that has not brought its verdict yet.
    pub(crate) fn view(
        &self,
        state: &State,
        run: Option<&Run>,
        plan: &Plan,
        at: &Moment,
    ) -> View<'_> {
        let known = state.known.as_ref();
        let age = self.age(known, run, at);
        let account = plan
            .hold
            .and_then(|number| state.accounts.get(number)?.clone());
        let asked = run.map(|run| run.asked);
        let evidence = match age {
            Age::Late | Age::Expired => Evidence::Own, // also what the fleet has not refreshed
            _ if state.share.is_mine() => Evidence::Alone,
            _ if state.share.is_unconfirmed() => Evidence::Elsewhere,
            _ => Evidence::Own,
        };
        View {
            status: match (age, known) {
                (Age::Never, _) | (_, None) => Status::Unknown,
                (Age::Late | Age::Expired, _) => Status::Unavailable,
                (Age::Fresh | Age::Stale, Some(known)) => known.effective.status,
            },
            age,
            evidence,
            critical: self.critical,
            depends_on: &self.depends_on,
            notices_within: self.notices_within(),
            failing_since: match age {
                Age::Expired => known.and_then(|known| self.expires_at(known)),
                _ => account.as_ref().and_then(Account::failing_since).or(asked),
            },
            account,
            asked,
            has_started: state
                .best
                .is_some_and(|best| self.scope == Scope::External || !plan.fails(best)),
            overdue_at: state.first_read.and_then(|first| {
                let allowed = self.limits.timeout.min(at.max_stale);
                first.checked_add(allowed.saturating_add(plan.budget))
            }),
            reported: self.source.as_ref().map(|source| Reported {
                is_gate: source.is_gate,
                has_ended: source.has_ended(),
                grace_ends: at.built.checked_add(source.max_age.unwrap_or_default()),
            }),
            turns_at: match (age, known) {
                (Age::Stale, Some(known)) => known.last.finished.checked_add(at.max_stale),
                (Age::Fresh, Some(known)) => self.expires_at(known),
                _ => None,
            },
        }
    }

    fn age(&self, known: Option<&LastVerdicts>, run: Option<&Run>, at: &Moment) -> Age {
        let Some(known) = known else {
            return Age::Never;
        };
        let has_expired = self.expired(known, at.now).is_some();
        let is_recent = at.now.saturating_duration_since(known.last.finished) < at.max_stale
            && !known.is_before(at.sleeps);
        match run {
            None if has_expired => Age::Expired,
            None => Age::Fresh,
            Some(_) if is_recent && !has_expired => Age::Stale,
            Some(_) => Age::Late,
        }
    }

    /// Returns the time from the end of a run to the end of the next one.
    fn notices_within(&self) -> Duration {
        let interval = match self.refresh {
            Refresh::Ttl(ttl) => ttl,
            Refresh::Every(interval) => interval.saturating_add(jitter(interval)),
        };
        interval.saturating_add(self.limits.timeout)
    }

    /// Returns the time at which a background verdict, or a report, expires.
    fn expires_at(&self, known: &LastVerdicts) -> Option<Instant> {
        match (&self.source, self.refresh) {
            (Some(source), _) => source.deadline(),
            (None, Refresh::Every(interval)) if self.sharing.is_none() => {
                known.last.finished.checked_add(self.expiry(interval))
            }
            _ => None,
        }
    }

    /// Called on each read. Returns `None` if the last verdict is still fresh, and otherwise the
    /// run that produces a new one. A verdict from before the last suspend of the machine is not
    /// fresh: nothing was refreshed meanwhile, not even in the background.
    pub(crate) fn run_needed(&self, now: Instant, sleeps: u64) -> Option<JoinedRun> {
        let mut state = self.lock();
        state.first_read.get_or_insert(now);
        if self.source.is_some() {
            return None;
        }
        let is_fresh = state
            .known
            .as_ref()
            .is_some_and(|known| match &self.sharing {
                Some(sharing) => !state.share.needs_run(sharing, now, sleeps),
                None => self.is_fresh(known, now) && !known.is_before(sleeps),
            });
        (!is_fresh).then(|| Self::join(state, now))
    }

    /// Returns the run that is under way.
    pub(crate) fn run(&self) -> Option<Arc<Run>> {
        self.lock().run.clone()
    }

    /// Returns the run that produces a new verdict, even if the last one is still fresh.
    pub(crate) fn join_or_start(&self, now: Instant) -> JoinedRun {
        Self::join(self.lock(), now)
    }

    fn join(mut state: MutexGuard<'_, State>, now: Instant) -> JoinedRun {
        let is_new = state.run.is_none();
        let run = state.run.get_or_insert_with(|| Arc::new(Run::new(now)));
        JoinedRun {
            run: Arc::clone(run),
            is_new,
        }
    }

    fn is_fresh(&self, known: &LastVerdicts, now: Instant) -> bool {
        match self.refresh {
            Refresh::Ttl(ttl) => known
                .last
                .finished
                .checked_add(ttl)
                .is_none_or(|end| now < end),
            Refresh::Every(_) => true, // a read starts no run; if the verdict has expired, the row says so
        }
    }

    /// Returns the time until which reads may use the verdict; `None` means forever.
    pub(crate) fn fresh_until(&self, known: &LastVerdicts, share: &Share) -> Option<Instant> {
        match (&self.sharing, &self.source, self.refresh) {
            (Some(sharing), ..) => share.fresh_until(sharing),
            (None, None, Refresh::Ttl(ttl)) => known.last.finished.checked_add(ttl),
            _ => self.expires_at(known),
        }
    }

    /// Returns the age at which a background verdict expires, because nothing seems to refresh it
    /// any more.
    fn expiry(&self, interval: Duration) -> Duration {
        let late = interval
            .saturating_add(jitter(interval))
            .saturating_add(self.limits.timeout);
        interval.saturating_mul(3).max(late)
    }

    /// Returns the age of a background verdict, or of a report, if it has expired.
    pub(crate) fn expired(&self, known: &LastVerdicts, now: Instant) -> Option<Duration> {
        if let Some(source) = &self.source {
            return source.too_old(now);
        }
        if self.sharing.is_some() {
            return None; // its own verdict replaces a shared one that is too old, and reads renew it
        }
        let Refresh::Every(interval) = self.refresh else {
            return None;
        };
        let age = now.saturating_duration_since(known.last.finished);
        (age >= self.expiry(interval)).then_some(age)
    }

    /// Reads the state, without a copy.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Stores a report of the application. Returns `None` if a later report was stored first.
    pub(crate) fn take_report(&self, version: u64, verdict: Verdict) -> Option<Record> {
        let mut state = self.lock();
        if version <= state.report {
            return None;
        }
        state.report = version;
        Some(self.store(state, Arc::new(verdict)))
    }

    /// Stores the verdict of the run that was under way, and returns the record for the log and the
    /// listeners.
    pub(crate) fn settle(&self, verdict: Verdict) -> Record {
        let mut state = self.lock();
        let verdict = Arc::new(verdict);
        state.run = None;
        let Some(sharing) = &self.sharing else {
            return self.store(state, verdict);
        };
        let next = state.share.own_ended(sharing, &verdict, fastrand::f64());
        match (next, &state.known) {
            (Next::Keep, Some(known)) => {
                let effective = Arc::clone(&known.effective); // the shared verdict stays; only the causes are logged
                state
                    .journal
                    .record(Some(effective.status), &effective, &verdict)
            }
            _ => self.store(state, verdict),
        }
    }

    /// Returns `true` if the fleet should know of the last run at once.
    pub(crate) fn has_news(&self) -> bool {
        self.sharing.is_some() && self.lock().share.has_news()
    }

    /// Updates the state in the fleet, and stores the verdict that `step` returns. Returns `None`
    /// if the row stays as it is.
    pub(crate) fn share(&self, step: impl FnOnce(&mut Share, &Sharing) -> Next) -> Option<Record> {
        let sharing = self.sharing.as_ref()?;
        let mut state = self.lock();
        match step(&mut state.share, sharing) {
            Next::Show(verdict) => Some(self.store(state, verdict)),
            Next::Keep => None,
        }
    }

    /// Shares the verdicts of this check with other replicas.
    pub(crate) fn share_as(&mut self, id: String, me: &Arc<str>, own: Duration) {
        let ttl = match self.refresh {
            Refresh::Ttl(ttl) | Refresh::Every(ttl) => ttl,
        };
        let holds = self
            .lock()
            .accounts
            .iter()
            .flatten()
            .filter(|account| account.holds())
            .map(Account::length)
            .min();
        let confirm = holds.map_or(own, |hold| (hold / 3).min(own)); // well before the shortest hold ends
        let own = own.max(ttl);
        self.sharing = Some(Sharing {
            id,
            me: Arc::clone(me),
            ttl,
            timeout: self.limits.timeout,
            own,
            confirm,
        });
    }

    fn store(&self, mut state: MutexGuard<'_, State>, verdict: Arc<Verdict>) -> Record {
        let run = PastRun::new(verdict.status, verdict.duration, verdict.finished_at);
        let was_expired = std::mem::take(&mut state.is_expired);
        let known = state.known.as_ref().map(|known| known.effective.status);
        let before = if was_expired {
            Some(Status::Unavailable)
        } else {
            known
        };
        let known = match state.known.take() {
            None => LastVerdicts::first(verdict),
            Some(known) => known.next(verdict, self.rise, self.fall),
        };
        let raw = known.last.status;
        let effective = known.effective.status;
        let is_mine = state.share.is_mine();
        let counts = !state.share.is_unconfirmed();
        let mut holds = Vec::new();
        for (number, account) in state.accounts.iter_mut().enumerate().filter(|_| !is_mine) {
            let take = |account: &mut Account| {
                account.take(
                    (known.last.started, known.last.duration),
                    raw,
                    effective,
                    counts,
                )
            };
            holds.extend(
                account
                    .as_mut()
                    .and_then(take)
                    .map(|change| (number, change)),
            );
        }
        state.past.history.push(run);
        state.past.latency.push(run);
        state.best = Some(state.best.map_or(run.status, |best| best.min(run.status)));
        let mut record = state.journal.record(before, &known.effective, &known.last);
        if record.is_transition() {
            let change = StatusChange::new(before, effective, known.effective.finished_at);
            let kept = state.past.changes.len().saturating_sub(CHANGES - 1);
            state.past.changes = state.past.changes[kept..]
                .iter()
                .copied()
                .chain([change])
                .collect();
        }
        record.holds = holds;
        state.known = Some(known);
        record
    }

    /// Marks the verdict as expired. Returns its status if it was not marked before.
    /// Does nothing if a run has ended since `last_run`.
    pub(crate) fn expire(&self, last_run: Option<SystemTime>) -> Option<Status> {
        let mut state = self.lock();
        let known = state.known.as_ref()?;
        if Some(known.last.finished_at) != last_run {
            return None;
        }
        let known = known.effective.status;
        (!std::mem::replace(&mut state.is_expired, true)).then_some(known)
    }

    /// Forgets a run that was aborted, so that the next read starts another one.
    pub(crate) fn abandon(&self, run: &Arc<Run>) {
        let mut state = self.lock();
        if state.run.as_ref().is_some_and(|own| Arc::ptr_eq(own, run)) {
            state.run = None;
        }
    }

    /// Returns the row of a verdict. Without a verdict, the caller has to set the status and the
    /// errors of the row.
    pub(crate) fn row(&self, state: &State) -> CheckReport {
        let mut row = CheckReport::new(self.identifier.clone());
        row.shared = state.share.row();
        row.history = state.past.history.clone();
        row.latency = state.past.latency.clone();
        row.changes = Arc::clone(&state.past.changes);
        row.critical = self.critical;
        row.scope = self.scope;
        row.groups.clone_from(&self.groups);
        row.labels.clone_from(&self.labels);
        if let Some(known) = &state.known {
            row.status = known.effective.status;
            row.raw_status = known.last.status;
            row.errors.clone_from(&known.effective.errors);
            row.observations.clone_from(&known.last.observations);
            row.duration = Some(known.last.duration);
            row.last_run = Some(known.last.finished_at);
            row.since = Some(known.since);
        }
        row
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Returns the maximum random delay of a background run. The delay keeps the replicas of a service
/// from running in step.
pub(crate) fn jitter(interval: Duration) -> Duration {
    interval / 10
}

/// Returns the time from the end of a background run to the next one. `drawn` is a random number
/// between 0 and 1.
pub(crate) fn pause(interval: Duration, drawn: f64) -> Duration {
    interval.saturating_add(
        Duration::try_from_secs_f64(jitter(interval).as_secs_f64() * drawn).unwrap_or_default(),
    )
}

impl LastVerdicts {
    /// Returns `true` if the last verdict is from before the last suspend of the machine.
    pub(crate) fn is_before(&self, sleeps: u64) -> bool {
        self.last.sleeps < sleeps
    }

    /// Creates the state after a verdict that takes effect at once, as the first one does.
    fn first(verdict: Arc<Verdict>) -> Self {
        Self {
            since: verdict.finished_at,
            effective: Arc::clone(&verdict),
            last: verdict,
            streak: 0,
        }
    }

    fn next(self, verdict: Arc<Verdict>, rise: u32, fall: u32) -> Self {
        let effective = self.effective.status;
        if verdict.status == effective {
            return Self {
                effective: Arc::clone(&verdict),
                last: verdict,
                since: self.since,
                streak: 0,
            };
        }
        let is_worse = verdict.status > effective;
        let goes_on = self.streak > 0 && (self.last.status > effective) == is_worse;
        let streak = if goes_on {
            self.streak.saturating_add(1)
        } else {
            1
        };
        if streak >= if is_worse { fall } else { rise } {
            return Self::first(verdict);
        }
        Self {
            last: verdict,
            streak,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: Status) -> Arc<Verdict> {
        Arc::new(Verdict::of(status))
    }

    /// Returns the effective status after each run, for a check that rises after 2 runs and falls
    /// after 3.
    fn effective(runs: &[Status]) -> Vec<Status> {
        let mut known: Option<LastVerdicts> = None;
        let mut step = |status: &Status| {
            let next = known.take().map_or_else(
                || LastVerdicts::first(verdict(*status)),
                |h| h.next(verdict(*status), 2, 3),
            );
            known.insert(next).effective.status
        };
        runs.iter().map(&mut step).collect()
    }

    #[test]
    fn a_pause_is_up_to_a_tenth_longer_and_never_too_long_to_be_one() {
        let second = Duration::from_secs(1);
        assert_eq!(
            [pause(second, 0.0), pause(second, 0.5)],
            [second, Duration::from_millis(1050)]
        );
        assert_eq!(pause(second, 1.0), second + jitter(second));
        assert_eq!(pause(Duration::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn rise_and_fall_count_runs_in_a_row() {
        use Status::{Unavailable as U, Warning as W, Working as K};
        assert_eq!(
            effective(&[U, K, K]),
            [U, U, K],
            "the first verdict takes effect at once; two runs to rise"
        );
        assert_eq!(effective(&[K, U, U, U]), [K, K, K, U], "three runs to fall");
        assert_eq!(
            effective(&[K, U, U, K, U, U, U]),
            [K, K, K, K, K, K, U],
            "a good run starts the count anew"
        );
        assert_eq!(
            effective(&[K, W, U, W]),
            [K, K, K, W],
            "worse is worse, whichever"
        );
        assert_eq!(
            effective(&[W, U, K, U, K, K]),
            [W, W, W, W, W, K],
            "better and worse are counted apart"
        );
    }
}
