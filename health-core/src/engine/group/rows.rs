//! The rows of a report, and the reports of groups: judgements with data, and without.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Age, Judgement, Outcome, Service, View, judge};
use crate::registry::{DRAINING, STARTUP};
use crate::runner::{Cell, Kind, Moment, Plan, Run, State, seconds};
use crate::{
    CheckReport, FailureKind, GroupReport, HealthCheckException, ServiceUnavailable, serde_time,
};

/// The cells of a service at one moment.
pub(crate) struct Scene<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) at: Moment,
    /// The same moment for people.
    pub(crate) time: SystemTime,
    pub(crate) service: Service,
}

/// The rows of a plan, and the time until which they may be cached.
pub(crate) struct Rows {
    pub(crate) all: Vec<CheckReport>,
    /// `false` if a row shows an older verdict, none, or an age.
    pub(crate) is_cacheable: bool,
    /// The time until which they are true if nothing happens; `None` means without end.
    pub(crate) until: Option<Instant>,
    /// The cells whose background verdicts have expired, each with its row.
    pub(crate) expired: Vec<(usize, CheckReport)>,
    /// `true` if the plan is that of `startup`, and the service has started.
    pub(crate) has_started: bool,
}

impl Scene<'_> {
    /// Returns the rows of a plan. `awaited` has the position of each cell of its closure, with the
    /// run that the reader waited for and that is not over.
    pub(crate) fn rows<'r>(
        &self,
        plan: &Plan,
        awaited: impl ExactSizeIterator<Item = (usize, Option<&'r Run>)>,
        budget: Duration,
    ) -> Rows {
        let mut views = Vec::with_capacity(awaited.len());
        let mut rows = Vec::with_capacity(awaited.len() + 1);
        let mut until = None;
        for (position, run) in awaited {
            let cell = &self.cells[position];
            // Read the newest verdict, and not that of the run that was waited for. The epoch of
            // the report was read after the wait, so the report must contain all verdicts up to
            // then.
            cell.read(|state| {
                let view = cell.view(state, run, plan, &self.at);
                rows.push(row(cell, state, &view, run, budget, self.at.now));
                let known = state.known.as_ref();
                let end = known.and_then(|known| cell.fresh_until(known));
                until = earlier(until, end);
                views.push(view);
            });
        }
        let judgement = judge(plan, &views, self.service, self.at.now);
        let is_expired = |at: &usize| views[*at].age == Age::Expired;
        let expired = (0..rows.len())
            .filter(is_expired)
            .map(|at| (plan.closure[at], rows[at].clone()))
            .collect();
        let is_cacheable = views.iter().all(|view| view.age == Age::Fresh);
        for (at, row) in rows.iter_mut().enumerate() {
            self.complete(row, at, plan, &judgement);
        }
        if plan.members.len() < rows.len() {
            let mut positions = plan.closure.iter();
            let is_member = |position| plan.members.binary_search(position).is_ok();
            rows.retain(|_| positions.next().is_some_and(is_member));
        }
        let is_startup = plan.kind == Kind::Startup;
        if is_startup && !plan.members.is_empty() {
            rows.push(self.startup_row(plan, &judgement));
        }
        if judgement.is_draining {
            rows.push(CheckReport::failed(DRAINING, &shutting_down()));
        }
        Rows {
            all: rows,
            is_cacheable,
            until: earlier(until, judgement.until),
            expired,
            has_started: is_startup && plan.is_whole && judgement.waiting.is_empty(),
        }
    }

    /// Returns the report of each group from the last verdicts of its checks, and the time until
    /// which they are true. Runs nothing.
    pub(crate) fn groups(&self, plans: &[Plan]) -> (Vec<GroupReport>, Option<Instant>) {
        let mut until = None;
        let named = plans.iter().filter_map(|plan| {
            let name = plan.name.as_deref()?;
            let view = |&position: &usize| {
                let cell = &self.cells[position];
                cell.read(|state| cell.view(state, state.run.as_deref(), plan, &self.at))
            };
            let views: Vec<View<'_>> = plan.closure.iter().map(view).collect();
            let judgement = judge(plan, &views, self.service, self.at.now);
            until = earlier(until, judgement.until);
            Some(self.group(name, plan, &judgement))
        });
        (named.collect(), until)
    }

    fn group(&self, name: &str, plan: &Plan, judgement: &Judgement) -> GroupReport {
        let mut report = GroupReport::new(name);
        report.holdable = Arc::clone(&plan.holdable);
        report.healthy = judgement.is_healthy;
        for (&position, outcome) in plan.closure.iter().zip(&judgement.outcomes) {
            let name = || self.cells[position].identifier.clone();
            match outcome {
                _ if plan.members.binary_search(&position).is_err() => {}
                Outcome::Passes => {}
                Outcome::Held(_) => report.held.push(name()),
                Outcome::Fails => report.failing.push(name()),
            }
        }
        let drains = judgement.is_draining.then(|| DRAINING.to_owned());
        report.failing.extend(drains);
        report
    }

    /// Adds to a row what the judge has decided about its check.
    fn complete(&self, row: &mut CheckReport, at: usize, plan: &Plan, judgement: &Judgement) {
        row.fails_report = row.critical && judgement.outcomes[at] == Outcome::Fails;
        if let (true, Outcome::Held(until)) = (row.critical, judgement.outcomes[at]) {
            row.held = true;
            row.counts_at = until
                .map(|until| until.saturating_duration_since(self.at.now))
                .and_then(|left| self.time.checked_add(left))
                .filter(|time| serde_time::is_a_date(*time));
        }
        if let Some(blocker) = judgement.blockers[at] {
            let blocker = &self.cells[plan.closure[blocker]].identifier;
            let status = row.status;
            let message = format!("blocked by {blocker}");
            row.fail(&unavailable(FailureKind::Blocked, message));
            row.status = status;
            row.blocked_by = Some(blocker.clone());
        }
    }

    /// Returns the row that says whether the service has started.
    ///
    /// Each check of the process or the instance must have succeeded once. An external check only
    /// needs to have ended once, because an outage elsewhere must not keep new replicas from
    /// starting. The rows of the checks are shown, and do not fail the report.
    fn startup_row(&self, plan: &Plan, judgement: &Judgement) -> CheckReport {
        if judgement.waiting.is_empty() {
            return CheckReport::new(STARTUP);
        }
        let waiting = judgement.waiting.iter();
        let names = waiting.map(|&at| self.cells[plan.closure[at]].identifier.as_str());
        let message = format!("waiting for {}", names.collect::<Vec<_>>().join(", "));
        CheckReport::failed(STARTUP, &unavailable(FailureKind::Other, message))
    }
}

/// Returns the row of a check, before its judgement.
fn row(
    cell: &Cell,
    state: &State,
    view: &View<'_>,
    run: Option<&Run>,
    budget: Duration,
    now: Instant,
) -> CheckReport {
    let mut row = cell.row(state);
    let error = match view.age {
        Age::Fresh => return row,
        Age::Stale => {
            row.stale = true;
            return row;
        }
        Age::Never => unavailable(FailureKind::Other, "no result yet"),
        Age::Late => unavailable(
            FailureKind::TimedOut,
            format!("no answer within {}", seconds(budget)),
        ),
        Age::Expired => unavailable(FailureKind::Expired, expired(cell, state, now)),
    };
    row.fail(&error);
    row.status = view.status;
    row.since = None; // the last verdict is no longer in effect
    if view.age != Age::Expired {
        row.raw_status = row.status;
        row.observations = run.map(|run| run.findings.observed()).unwrap_or_default();
    }
    row
}

/// Returns the message for a verdict, or a report, that has expired.
fn expired(cell: &Cell, state: &State, now: Instant) -> String {
    let known = state.known.as_ref();
    let age = known.and_then(|known| cell.expired(known, now));
    let age = age.unwrap_or_default().as_secs();
    match cell.source() {
        Some(source) => format!("last {} {age} s ago", source.noun),
        None => format!("last result is {age} s old"),
    }
}

/// Returns the earlier of two times, of which none is later than any.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

/// Returns the error of a draining service.
pub(crate) fn shutting_down() -> HealthCheckException {
    unavailable(FailureKind::Other, "shutting down")
}

fn unavailable(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> HealthCheckException {
    ServiceUnavailable::new(message).with_kind(kind).into()
}
