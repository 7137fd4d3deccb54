use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Plan;
use super::journal::{Journal, Record};
use super::run::Run;
use super::verdict::Limits;
use crate::check::{BoxCheck, HealthCheck as _, Options, Schedule};
use crate::engine::group::{Account, Age, Reported, View};
use crate::registry::Entry;
use crate::reported::Source;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::{
    CheckReport, Evidence, History, Hold, Latency, PastRun, Scope, Settings, Shown, Status,
    StatusChange, Verdict,
};

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
    labels: BTreeMap<String, String>,
    rise: u32,
    fall: u32,
    state: Mutex<State>,
}

/// The way in which a check gets its verdicts.
#[derive(Debug)]
pub(crate) enum Refresh {
    /// It runs when it is read and its verdict is older than this.
    Ttl(Duration),
    /// It runs in the background, at this interval.
    Every(Duration),
    /// The application reports it, and it never runs.
    Reported(Arc<Source>),
}

/// The effect of a run on what is known of its check.
pub(crate) enum Event {
    /// The verdict that was shown again has neither changed nor moved.
    Same,
    /// The verdict is the same, and comes from elsewhere than before.
    Moved,
    /// There is a new verdict.
    New(Record),
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
    /// The status of the last run of this process itself; `None` before the first one.
    own: Option<Status>,
    /// `true` while the check fails, once it has failed in this process alone.
    is_alone: bool,
    /// The version of the last report that was taken.
    report: u64,
}

/// The moment at which cells are looked at, and what the service knows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
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
    evidence: Evidence,
    origin: Option<Arc<str>>,
    /// The time of the next run in the background, if the last one has set it.
    pub(crate) next: Option<Instant>,
    /// The end of the last run, which may have shown an older verdict.
    refreshed: Instant,
    /// `true` if the machine was suspended since.
    is_old: bool,
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
                overhead: check.overhead(),
                reconnect: options.reconnect.unwrap_or(settings.reconnect),
            },
            refresh: Refresh::of(&check, &options, settings),
            depends_on,
            hold: options.hold,
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
        let evidence = match (age, known.map_or(Evidence::Own, |known| known.evidence)) {
            (Age::Fresh | Age::Stale, Evidence::Elsewhere) => Evidence::Elsewhere,
            (_, Evidence::Alone) => Evidence::Alone,
            _ if state.is_alone => Evidence::Alone,
            _ => Evidence::Own, // also what has not been refreshed, wherever it comes from
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
            reported: self.source().map(|source| Reported {
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
        let is_recent =
            at.now.saturating_duration_since(known.last.finished) < at.max_stale && !known.is_old;
        match run {
            None if has_expired => Age::Expired,
            None => Age::Fresh,
            Some(_) if is_recent && !has_expired => Age::Stale,
            Some(_) => Age::Late,
        }
    }

    /// Returns the time from the end of a run to the end of the next one.
    fn notices_within(&self) -> Duration {
        let interval = match &self.refresh {
            Refresh::Ttl(ttl) => *ttl,
            Refresh::Every(interval) => interval.saturating_add(jitter(*interval)),
            Refresh::Reported(_) => Duration::ZERO,
        };
        interval.saturating_add(self.limits.longest())
    }

    /// Returns the time for which a verdict is fresh, or the interval of the runs.
    pub(crate) fn interval(&self) -> Duration {
        match self.refresh {
            Refresh::Ttl(interval) | Refresh::Every(interval) => interval,
            Refresh::Reported(_) => Duration::ZERO,
        }
    }

    /// Returns the shortest hold of the check in its groups, if there is one.
    pub(crate) fn shortest_hold(&self) -> Option<Duration> {
        let state = self.lock();
        let accounts = state.accounts.iter().flatten();
        accounts
            .filter(|account| account.holds())
            .map(Account::length)
            .min()
    }

    /// Returns the source of the application's reports, for a check that is not probed.
    pub(crate) fn source(&self) -> Option<&Arc<Source>> {
        match &self.refresh {
            Refresh::Reported(source) => Some(source),
            _ => None,
        }
    }

    /// Returns the time at which a background verdict, or a report, expires.
    fn expires_at(&self, known: &LastVerdicts) -> Option<Instant> {
        match &self.refresh {
            Refresh::Ttl(_) => None,
            Refresh::Every(interval) => {
                let late = jitter(*interval).saturating_add(self.limits.longest());
                let planned = known.next.map(|next| next.checked_add(late));
                let expiry = known.refreshed.checked_add(self.expiry(*interval))?;
                planned.map_or(Some(expiry), |planned| Some(planned?.max(expiry)))
            }
            Refresh::Reported(source) => source.deadline(),
        }
    }

    /// Called on each read. Returns `None` if the last verdict is still fresh, and otherwise the
    /// run that produces a new one. A verdict from before the last suspend of the machine is not
    /// fresh: nothing was refreshed meanwhile, not even in the background.
    pub(crate) fn run_needed(&self, now: Instant) -> Option<JoinedRun> {
        let mut state = self.lock();
        state.first_read.get_or_insert(now);
        let known = state.known.as_ref().filter(|known| !known.is_old);
        let is_fresh = match &self.refresh {
            Refresh::Reported(_) => true,
            Refresh::Every(_) => known.is_some(), // a read starts no run; if the verdict has expired, the row says so
            Refresh::Ttl(_) => {
                known.is_some_and(|known| self.fresh_until(known).is_none_or(|end| now < end))
            }
        };
        (!is_fresh).then(|| Self::join(state, now))
    }

    /// Marks the last verdict, and the run that is under way, as older than they seem: the machine
    /// was suspended meanwhile.
    pub(crate) fn mark_old(&self) {
        let mut state = self.lock();
        if let Some(known) = &mut state.known {
            known.is_old = true;
        }
        if let Some(run) = &state.run {
            run.mark_old();
        }
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

    /// Returns the time until which reads may use the verdict; `None` means forever.
    pub(crate) fn fresh_until(&self, known: &LastVerdicts) -> Option<Instant> {
        match (&self.refresh, known.next) {
            (Refresh::Ttl(_), Some(next)) => Some(next),
            (Refresh::Ttl(ttl), None) => known.last.finished.checked_add(*ttl),
            _ => self.expires_at(known),
        }
    }

    /// Returns the time at which the next run in the background is due. `drawn` is a random number
    /// between 0 and 1.
    pub(crate) fn next_run(&self, now: Instant, drawn: f64) -> Option<Instant> {
        let planned = self.lock().known.as_ref().and_then(|known| known.next);
        match &self.refresh {
            Refresh::Every(interval) => {
                planned.or_else(|| now.checked_add(pause(*interval, drawn)))
            }
            _ => None,
        }
    }

    /// Returns the age at which a background verdict expires, because nothing seems to refresh it
    /// any more.
    fn expiry(&self, interval: Duration) -> Duration {
        let late = interval
            .saturating_add(jitter(interval))
            .saturating_add(self.limits.longest());
        interval.saturating_mul(3).max(late)
    }

    /// Returns the age of a background verdict, or of a report, if it has expired.
    pub(crate) fn expired(&self, known: &LastVerdicts, now: Instant) -> Option<Duration> {
        match &self.refresh {
            Refresh::Ttl(_) => None,
            Refresh::Every(_) => {
                let has_expired = self.expires_at(known).is_some_and(|end| now >= end);
                has_expired.then(|| now.saturating_duration_since(known.refreshed))
            }
            Refresh::Reported(source) => source.too_old(now),
        }
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
        Some(self.store(state, Shown::own(Arc::new(verdict)), false))
    }

    /// Stores the result of the run that was under way. A verdict that is stored already is shown
    /// again, and is no run.
    pub(crate) fn settle(&self, run: &Run, shown: Shown) -> Event {
        let mut state = self.lock();
        state.run = None;
        let same = state.known.as_mut().filter(|known| {
            shown.next.is_some()
                && known.last.finished == shown.verdict.finished
                && known.last.status == shown.verdict.status
        });
        let Some(known) = same else {
            return Event::New(self.store(state, shown, run.is_old()));
        };
        let has_moved = known.evidence != shown.evidence || known.origin != shown.origin;
        known.evidence = shown.evidence;
        known.origin = shown.origin;
        known.next = shown.next;
        known.refreshed = shown.at;
        known.is_old = run.is_old();
        let status = known.effective.status;
        state.note_origin(status, shown.evidence);
        if has_moved { Event::Moved } else { Event::Same }
    }

    fn store(&self, mut state: MutexGuard<'_, State>, shown: Shown, is_old: bool) -> Record {
        let verdict = Arc::clone(&shown.verdict);
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
        let known = LastVerdicts {
            evidence: shown.evidence,
            origin: shown.origin,
            next: shown.next,
            refreshed: shown.at,
            is_old,
            ..known
        };
        let effective = known.effective.status;
        // What only others have seen moves the accounts as the last run of this process does.
        let seen = match shown.evidence {
            Evidence::Own => Some((known.last.status, effective)),
            Evidence::Elsewhere => state.own.map(|own| (own, own)),
            Evidence::Alone => None,
        };
        if shown.evidence != Evidence::Elsewhere {
            state.own = Some(known.last.status);
        }
        state.note_origin(effective, shown.evidence);
        let mut holds = Vec::new();
        if let Some((raw, effective)) = seen {
            let run = (known.last.started(), known.last.duration);
            for (number, account) in state.accounts.iter_mut().enumerate() {
                let change = account
                    .as_mut()
                    .and_then(|account| account.take(run, raw, effective));
                holds.extend(change.map(|change| (number, change)));
            }
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
            row.origin = known.origin.as_deref().map(str::to_owned);
            row.evidence = known.evidence;
        }
        row
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Remembers a failure of this process alone until the check works here again: a failure that
    /// has counted is not held afterwards.
    fn note_origin(&mut self, status: Status, evidence: Evidence) {
        if evidence == Evidence::Alone && status > Status::Warning {
            self.is_alone = true;
        } else if evidence == Evidence::Own && status <= Status::Warning {
            self.is_alone = false;
        }
    }
}

impl Refresh {
    fn of(check: &BoxCheck, options: &Options, settings: &Settings) -> Self {
        if let Some(source) = check.reported() {
            return Self::Reported(Arc::clone(source));
        }
        let default = check.default_ttl().unwrap_or_default().max(settings.ttl);
        match options.schedule {
            Some(Schedule::Every(interval)) => Self::Every(interval),
            Some(Schedule::Ttl(ttl)) if check.refreshes() => Self::Every(ttl),
            None if check.refreshes() => Self::Every(default),
            Some(Schedule::Ttl(ttl)) => Self::Ttl(ttl),
            None => Self::Ttl(default),
        }
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
    /// Creates the state after a verdict that takes effect at once, as the first one does.
    fn first(verdict: Arc<Verdict>) -> Self {
        Self {
            since: verdict.finished_at,
            effective: Arc::clone(&verdict),
            refreshed: verdict.finished,
            last: verdict,
            streak: 0,
            evidence: Evidence::Own,
            origin: None,
            next: None,
            is_old: false,
        }
    }

    fn next(self, verdict: Arc<Verdict>, rise: u32, fall: u32) -> Self {
        let effective = self.effective.status;
        if verdict.status == effective {
            return Self {
                effective: Arc::clone(&verdict),
                last: verdict,
                streak: 0,
                ..self
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
