//! Builds the rows of a report from the verdicts of the cells.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cell::LastVerdicts;
use super::verdict::seconds;
use super::{Awaited, Cell, Kind, Plan, Run, Runner};
use crate::registry::{DRAINING, STARTUP};
use crate::{CheckReport, FailureKind, HealthCheckException, History, Scope, ServiceUnavailable, Status, Transition};

/// The time until which rows are fresh. `None` means that they must not be cached, and `Some(None)` that they are fresh
/// until something changes.
type Until = Option<Option<Instant>>;

impl Runner {
    pub(super) fn rows(&self, plan: &Plan, awaited: &Awaited, budget: Duration) -> (Vec<CheckReport>, Until) {
        let now = self.clock.now();
        let mut until: Until = Some(None);
        let mut rows = Vec::with_capacity(awaited.0.len() + 1);
        for (position, awaited) in &awaited.0 {
            let (cell, run) = (&self.cells[*position], awaited.as_deref().filter(|run| !run.is_finished()));
            // Read the newest verdict, and not that of the run that was waited for. The epoch of the report was read
            // after the wait, so the report must contain all verdicts up to then.
            let (row, row_until) = cell.read(|known, history| match (run, known) {
                (None, Some(known)) => verdict_row(cell, known, history, now),
                (run, known) => (self.missing_row(cell, known, history, run, budget, now), None),
            });
            until = earlier(until, row_until);
            rows.push(row);
        }
        self.name_blockers(&plan.closure, &mut rows);
        if plan.members.len() < rows.len() {
            let mut positions = plan.closure.iter();
            rows.retain(|_| positions.next().is_some_and(|position| plan.members.binary_search(position).is_ok()));
        }
        for row in &mut rows {
            row.fails_report = row.critical
                && match row.status {
                    Status::Working => false,
                    Status::Warning => plan.warnings_as_errors,
                    Status::Unknown => plan.kind != Kind::Live || self.is_overdue(&row.identifier, plan, now),
                    Status::Unavailable => true,
                };
        }
        match plan.kind {
            Kind::Startup => self.start_up(plan, &mut rows),
            _ if plan.drains && self.is_draining() => rows.push(CheckReport::failed(DRAINING, &shutting_down())),
            _ => {}
        }
        (rows, until)
    }

    /// Returns a transition for each background verdict that has expired and was not reported yet.
    pub(super) fn expired(&self, rows: &[CheckReport]) -> Vec<Transition> {
        let is_expired = |row: &&CheckReport| row.errors.iter().any(|error| error.kind == FailureKind::Expired);
        let transition = |row: &CheckReport| {
            let from = self.cell_of(&row.identifier)?.expire()?;
            let (check, errors) = (row.identifier.clone(), row.errors.clone());
            Some(Transition { check, from: Some(from), to: row.status, errors, at: self.clock.time() })
        };
        rows.iter().filter(is_expired).filter_map(transition).collect()
    }

    fn cell_of(&self, identifier: &str) -> Option<&Cell> {
        let position = self.cells.binary_search_by(|cell| cell.identifier.as_str().cmp(identifier));
        position.ok().map(|position| &self.cells[position])
    }

    /// Returns the row of a check whose run has not ended. It shows the last verdict, unless that is too old.
    fn missing_row(
        &self,
        cell: &Cell,
        known: Option<&LastVerdicts>,
        history: &History,
        run: Option<&Run>,
        budget: Duration,
        now: Instant,
    ) -> CheckReport {
        let mut row = cell.row(known, history);
        let sleeps = self.awake.sleeps();
        let is_recent = |known: &LastVerdicts| {
            now.saturating_duration_since(known.last.finished) < self.max_stale && !known.is_before(sleeps)
        };
        if known.is_some_and(|known| is_recent(known) && cell.expired(known, now).is_none()) {
            row.stale = true;
            return row;
        }
        row.observations = run.map(|run| run.findings.observed()).unwrap_or_default();
        if known.is_none() {
            row.fail(&unavailable(FailureKind::Other, "no result yet"));
            row.status = Status::Unknown;
        } else {
            row.fail(&unavailable(FailureKind::TimedOut, format!("no answer within {}", seconds(budget))));
        }
        (row.raw_status, row.since) = (row.status, None);
        row
    }

    /// Returns `true` if a member of `live` had enough time for a first verdict, and has none. The reader measures this
    /// time, because the runtime of the runs may be blocked, which is what liveness has to detect.
    fn is_overdue(&self, identifier: &str, plan: &Plan, now: Instant) -> bool {
        self.cell_of(identifier).is_some_and(|cell| {
            let time = cell.limits.timeout.min(self.max_stale).saturating_add(plan.budget);
            cell.silent_for(now).is_some_and(|silence| silence > time)
        })
    }

    /// Marks each failing row whose dependency is unavailable as blocked by the check at the root of the failure.
    fn name_blockers(&self, positions: &[usize], rows: &mut [CheckReport]) {
        let is_down = |cell: usize| {
            positions
                .binary_search(&cell)
                .is_ok_and(|at| rows.get(at).is_some_and(|row| row.status == Status::Unavailable))
        };
        let failing = rows.iter().zip(positions).enumerate().filter(|(_, (row, _))| row.status >= Status::Unknown);
        let blockers: Vec<(usize, usize)> =
            failing.filter_map(|(at, (_, &cell))| Some((at, self.root(cell, &is_down)?))).collect();
        for (at, root) in blockers {
            let (row, blocker) = (&mut rows[at], &self.cells[root].identifier);
            let status = row.status;
            row.fail(&unavailable(FailureKind::Blocked, format!("blocked by {blocker}")));
            row.status = status;
            row.blocked_by = Some(blocker.clone());
        }
    }

    /// Returns the unavailable check at the end of the chain of dependencies. The chain has no cycle, because a cycle
    /// fails the build.
    fn root(&self, cell: usize, is_down: &impl Fn(usize) -> bool) -> Option<usize> {
        let down = *self.cells[cell].depends_on.iter().find(|&&need| is_down(need))?;
        Some(self.root(down, is_down).unwrap_or(down))
    }

    /// Adds a row that says whether the service has started. Once it has started, this does not change any more.
    ///
    /// Each check of the process or the instance must have succeeded once. An external check only needs to have ended
    /// once, because an outage elsewhere must not keep new replicas from starting. The rows of the checks are shown,
    /// and do not fail the report.
    fn start_up(&self, plan: &Plan, rows: &mut Vec<CheckReport>) {
        let mut waiting = Vec::new();
        if !self.started_up.load(Ordering::Relaxed) {
            for cell in plan.members.iter().map(|&position| &self.cells[position]) {
                let succeeds = if plan.warnings_as_errors { Status::Working } else { Status::Warning };
                let is_up = |best| cell.scope == Scope::External || best <= succeeds;
                if !cell.best().is_some_and(is_up) {
                    waiting.push(cell.identifier.as_str());
                }
            }
        }
        if waiting.is_empty() && plan.is_whole {
            self.started_up.store(true, Ordering::Relaxed);
        }
        for row in rows.iter_mut() {
            row.fails_report = false;
        }
        if !plan.members.is_empty() {
            rows.push(if waiting.is_empty() {
                CheckReport::new(STARTUP)
            } else {
                let message = format!("waiting for {}", waiting.join(", "));
                CheckReport::failed(STARTUP, &unavailable(FailureKind::Other, message))
            });
        }
    }
}

fn verdict_row(cell: &Cell, known: &LastVerdicts, history: &History, now: Instant) -> (CheckReport, Until) {
    let mut row = cell.row(Some(known), history);
    let Some(age) = cell.expired(known, now) else { return (row, Some(cell.fresh_until(known))) };
    row.fail(&unavailable(FailureKind::Expired, format!("last result is {} s old", age.as_secs())));
    row.since = None; // the expired verdict is no longer in effect
    (row, None)
}

/// Returns the earlier of two times. `None` is earlier than any time, and `Some(None)` is later.
fn earlier(a: Until, b: Until) -> Until {
    match (a?, b?) {
        (Some(a), Some(b)) => Some(Some(a.min(b))),
        (a, b) => Some(a.or(b)),
    }
}

/// Returns the error of a draining service.
pub(super) fn shutting_down() -> HealthCheckException {
    unavailable(FailureKind::Other, "shutting down")
}

fn unavailable(kind: FailureKind, message: impl Into<std::borrow::Cow<'static, str>>) -> HealthCheckException {
    ServiceUnavailable::new(message).with_kind(kind).into()
}
