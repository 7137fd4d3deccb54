//! Builds the rows of a report, and the reports of groups, from what is judged.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cell::{Moment, State};
use super::verdict::seconds;
use super::{Awaited, Cell, Kind, Plan, Run, Runner};
use crate::engine::group::{Age, Judgement, Outcome, Service, View, judge};
use crate::registry::{DRAINING, STARTUP};
use crate::serde_time;
use crate::{
    CheckReport, FailureKind, GroupReport, HealthCheckException, ServiceUnavailable, Transition,
};

/// The rows of a plan, and the time until which they may be cached.
pub(super) struct Rows {
    pub(super) all: Vec<CheckReport>,
    /// `false` if a row shows an older verdict, none, or an age.
    pub(super) is_cacheable: bool,
    /// The time until which they are true if nothing happens; `None` means without end.
    pub(super) until: Option<Instant>,
    /// The background verdicts that have expired, and were not reported yet.
    pub(super) expired: Vec<Transition>,
}

impl Runner {
    pub(super) fn rows(&self, plan: &Plan, awaited: &Awaited, budget: Duration) -> Rows {
        let at = self.moment();
        let mut views = Vec::with_capacity(awaited.0.len());
        let mut rows = Vec::with_capacity(awaited.0.len() + 1);
        let mut fresh_until = None;
        for (position, awaited) in &awaited.0 {
            let cell = &self.cells[*position];
            let run = awaited.as_deref().filter(|run| !run.is_finished());
            // Read the newest verdict, and not that of the run that was waited for. The epoch of
            // the report was read after the wait, so the report must contain all verdicts up to
            // then.
            cell.read(|state| {
                let view = cell.view(state, run, plan, &at);
                rows.push(row(cell, state, &view, run, budget, at.now));
                let end = state
                    .known
                    .as_ref()
                    .and_then(|known| cell.fresh_until(known, &state.share));
                fresh_until = earlier(fresh_until, end);
                views.push(view);
            });
        }
        let judgement = judge(plan, &views, self.service(), at.now);
        let expired = self.expired(&rows, &views);
        for (position, row) in rows.iter_mut().enumerate() {
            self.complete(row, position, plan, &judgement, at.now);
        }
        let is_cacheable = views.iter().all(|view| view.age == Age::Fresh);
        drop(views);
        if plan.members.len() < rows.len() {
            let mut positions = plan.closure.iter();
            rows.retain(|_| {
                positions
                    .next()
                    .is_some_and(|position| plan.members.binary_search(position).is_ok())
            });
        }
        if plan.kind == Kind::Startup && !plan.members.is_empty() {
            rows.push(self.startup_row(plan, &judgement));
        }
        if judgement.is_draining {
            rows.push(CheckReport::failed(DRAINING, &shutting_down()));
        }
        Rows {
            all: rows,
            is_cacheable,
            until: earlier(fresh_until, judgement.until),
            expired,
        }
    }

    /// Returns the report of each group from the last verdicts of its checks, and the time until
    /// which they are true. Runs nothing.
    pub(super) fn groups(&self) -> (Vec<GroupReport>, Option<Instant>) {
        let at = self.moment();
        let service = self.service();
        let mut until = None;
        let named = self.plans.iter().filter_map(|plan| {
            let name = plan.name.as_deref()?;
            let views: Vec<View<'_>> = plan
                .closure
                .iter()
                .map(|&position| {
                    let cell = &self.cells[position];
                    cell.read(|state| cell.view(state, state.run.as_deref(), plan, &at))
                })
                .collect();
            let judgement = judge(plan, &views, service, at.now);
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
        report
            .failing
            .extend(judgement.is_draining.then(|| DRAINING.to_owned()));
        report
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            sleeps: self.awake.sleeps(),
            max_stale: self.max_stale,
            built: self.built,
        }
    }

    fn service(&self) -> Service {
        Service {
            is_draining: self.is_draining(),
        }
    }

    /// Adds to a row what the judge has decided about its check.
    fn complete(
        &self,
        row: &mut CheckReport,
        at: usize,
        plan: &Plan,
        judgement: &Judgement,
        now: Instant,
    ) {
        row.fails_report = row.critical && judgement.outcomes[at] == Outcome::Fails;
        if let Outcome::Held(until) = judgement.outcomes[at] {
            row.held = row.critical;
            row.counts_at = until
                .filter(|_| row.critical)
                .map(|until| until.saturating_duration_since(now))
                .and_then(|left| self.clock.time().checked_add(left))
                .filter(|time| serde_time::is_a_date(*time));
        }
        if let Some(blocker) = judgement.blockers[at] {
            let blocker = &self.cells[plan.closure[blocker]].identifier;
            let status = row.status;
            row.fail(&unavailable(
                FailureKind::Blocked,
                format!("blocked by {blocker}"),
            ));
            row.status = status;
            row.blocked_by = Some(blocker.clone());
        }
    }

    /// Returns a transition for each background verdict that has expired and was not reported yet.
    fn expired(&self, rows: &[CheckReport], views: &[View<'_>]) -> Vec<Transition> {
        let transition = |row: &CheckReport| {
            let from = self.cell_of(&row.identifier)?.expire(row.last_run)?;
            let check = row.identifier.clone();
            let errors = row.errors.clone();
            Some(Transition {
                check,
                from: Some(from),
                to: row.status,
                errors,
                at: self.clock.time(),
            })
        };
        rows.iter()
            .zip(views)
            .filter(|(_, view)| view.age == Age::Expired)
            .filter_map(|(row, _)| transition(row))
            .collect()
    }

    fn cell_of(&self, identifier: &str) -> Option<&Cell> {
        let position = self
            .cells
            .binary_search_by(|cell| cell.identifier.as_str().cmp(identifier));
        position.ok().map(|position| &self.cells[position])
    }

    /// Returns the row that says whether the service has started.
    ///
    /// Each check of the process or the instance must have succeeded once. An external check only
    /// needs to have ended once, because an outage elsewhere must not keep new replicas from
    /// starting. The rows of the checks are shown, and do not fail the report.
    fn startup_row(&self, plan: &Plan, judgement: &Judgement) -> CheckReport {
        if judgement.waiting.is_empty() {
            if plan.is_whole {
                self.started_up.store(true, Ordering::Relaxed);
            }
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
    match &cell.source {
        Some(source) => format!("last {} {age} s ago", source.noun),
        None => format!("last result is {age} s old"),
    }
}

/// Returns the earlier of two times, of which none is later than any.
pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}

/// Returns the error of a draining service.
pub(super) fn shutting_down() -> HealthCheckException {
    unavailable(FailureKind::Other, "shutting down")
}

fn unavailable(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> HealthCheckException {
    ServiceUnavailable::new(message).with_kind(kind).into()
}
