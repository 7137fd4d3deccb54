//! Builds the rows of a report from the verdicts of the cells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::cell::{LastVerdicts, Past};
use super::share::Share;
use super::verdict::seconds;
use super::{Awaited, Cell, Kind, Plan, Run, Runner};
use crate::registry::{DRAINING, STARTUP};
use crate::{
    CheckReport, FailureKind, GroupReport, HealthCheckException, Scope, ServiceUnavailable, Status,
    Transition,
};

/// The time until which rows are fresh. `None` means that they must not be cached, and `Some(None)`
/// that they are fresh until something changes.
type Until = Option<Option<Instant>>;

impl Runner {
    pub(super) fn rows(
        &self,
        plan: &Plan,
        awaited: &Awaited,
        budget: Duration,
    ) -> (Vec<CheckReport>, Until) {
        let now = self.clock.now();
        let mut until: Until = Some(None);
        let mut rows = Vec::with_capacity(awaited.0.len() + 1);
        for (position, awaited) in &awaited.0 {
            let cell = &self.cells[*position];
            let run = awaited.as_deref().filter(|run| !run.is_finished());
            // Read the newest verdict, and not that of the run that was waited for. The epoch of
            // the report was read after the wait, so the report must contain all verdicts up to
            // then.
            let (row, row_until) = cell.read(|known, past, share| match (run, known) {
                (None, Some(known)) => verdict_row(cell, (known, past, share), now),
                (run, known) => (
                    self.missing_row(cell, (known, past, share), run, budget, now),
                    None,
                ),
            });
            until = earlier(until, row_until);
            rows.push(row);
        }
        self.name_blockers(&plan.closure, &mut rows);
        self.hold_rows(plan, &mut rows, now);
        if plan.members.len() < rows.len() {
            let mut positions = plan.closure.iter();
            rows.retain(|_| {
                positions
                    .next()
                    .is_some_and(|position| plan.members.binary_search(position).is_ok())
            });
        }
        for row in &mut rows {
            let fails = self.fails(&row.identifier, row.status, plan, now);
            row.fails_report = row.critical && fails && !row.held;
            if !(row.critical && fails) {
                (row.held, row.counts_at) = (false, None);
            }
        }
        match plan.kind {
            Kind::Startup => self.start_up(plan, &mut rows),
            _ if plan.drains && self.is_draining() => {
                rows.push(CheckReport::failed(DRAINING, &shutting_down()));
            }
            _ => {}
        }
        (rows, until)
    }

    /// Returns a transition for each background verdict that has expired and was not reported yet.
    pub(super) fn expired(&self, rows: &[CheckReport]) -> Vec<Transition> {
        let transition = |row: &CheckReport| {
            let from = self.cell_of(&row.identifier)?.expire()?;
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
            .filter(|row| is_expired(row))
            .filter_map(transition)
            .collect()
    }

    fn cell_of(&self, identifier: &str) -> Option<&Cell> {
        let position = self
            .cells
            .binary_search_by(|cell| cell.identifier.as_str().cmp(identifier));
        position.ok().map(|position| &self.cells[position])
    }

    /// Returns the row of a check whose run has not ended. It shows the last verdict, unless that
    /// is too old.
    fn missing_row(
        &self,
        cell: &Cell,
        (known, past, share): (Option<&LastVerdicts>, &Past, &Share),
        run: Option<&Run>,
        budget: Duration,
        now: Instant,
    ) -> CheckReport {
        let mut row = cell.row(known, past, share);
        let sleeps = self.awake.sleeps();
        let is_recent = |known: &LastVerdicts| {
            now.saturating_duration_since(known.last.finished) < self.max_stale
                && !known.is_before(sleeps)
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
            row.fail(&unavailable(
                FailureKind::TimedOut,
                format!("no answer within {}", seconds(budget)),
            ));
        }
        (row.raw_status, row.since) = (row.status, None);
        row
    }

    /// Returns `true` if a critical check with this status fails a group that does not hold it.
    fn fails(&self, identifier: &str, status: Status, plan: &Plan, now: Instant) -> bool {
        match status {
            Status::Unknown => self.unknown_fails(identifier, plan, now),
            status => plan.fails(status) && !self.is_meant_to_end(identifier, plan),
        }
    }

    /// Returns `true` if a check without a verdict fails a group. A check that the application
    /// reports never fails `live` before its first report, and fails other groups after the maximum
    /// age of a report.
    fn unknown_fails(&self, identifier: &str, plan: &Plan, now: Instant) -> bool {
        match self
            .cell_of(identifier)
            .and_then(|cell| cell.source.as_ref())
        {
            Some(_) if plan.kind == Kind::Live => false,
            Some(source) => {
                now.saturating_duration_since(self.built) >= source.max_age.unwrap_or_default()
            }
            None => plan.kind != Kind::Live || self.is_overdue(identifier, plan, now),
        }
    }

    /// Returns `true` if a task has ended while the service drains. This is expected, and must not
    /// fail `live`.
    fn is_meant_to_end(&self, identifier: &str, plan: &Plan) -> bool {
        let source = || {
            self.cell_of(identifier)
                .and_then(|cell| cell.source.as_ref())
        };
        plan.kind == Kind::Live
            && self.is_draining()
            && source().is_some_and(|source| source.has_ended())
    }

    /// Returns `true` if a member of `live` had enough time for a first verdict, and has none. The
    /// reader measures this time, because the runtime of the runs may be blocked, which is what
    /// liveness has to detect.
    fn is_overdue(&self, identifier: &str, plan: &Plan, now: Instant) -> bool {
        self.cell_of(identifier).is_some_and(|cell| {
            let time = cell
                .limits
                .timeout
                .min(self.max_stale)
                .saturating_add(plan.budget);
            cell.silent_for(now).is_some_and(|silence| silence > time)
        })
    }

    /// Marks the rows of a plan's closure that its group holds: failing rows of external checks,
    /// and rows that are blocked by a held row.
    fn hold_rows(&self, plan: &Plan, rows: &mut [CheckReport], now: Instant) {
        let Some(hold) = plan.hold else { return };
        for (row, &position) in rows
            .iter_mut()
            .zip(&plan.closure)
            .filter(|(row, _)| plan.fails(row.status))
        {
            let holds = row.status != Status::Unknown && !is_expired(row);
            let account = self.cells[position].held(hold, now).filter(|_| holds);
            if let Some(account) = account {
                row.held = true;
                row.counts_at = account
                    .left(now)
                    .and_then(|left| self.clock.time().checked_add(left));
            }
        }
        let roots: Vec<(String, Option<SystemTime>)> = rows
            .iter()
            .filter(|row| row.held)
            .map(|row| (row.identifier.clone(), row.counts_at))
            .collect();
        for row in rows.iter_mut().filter(|row| !row.held) {
            let root = row
                .blocked_by
                .as_ref()
                .and_then(|root| roots.iter().find(|(held, _)| held == root));
            if let Some((_, counts_at)) = root {
                (row.held, row.counts_at) = (true, *counts_at);
            }
        }
    }

    /// Returns the verdict of each group from the last verdicts of its checks. Runs nothing.
    pub(super) fn groups(&self, now: Instant) -> Vec<GroupReport> {
        let statuses: Vec<Status> = self.cells.iter().map(|cell| cell.status(now)).collect();
        self.plans
            .iter()
            .filter_map(|plan| self.group(plan, &statuses, now))
            .collect()
    }

    fn group(&self, plan: &Plan, statuses: &[Status], now: Instant) -> Option<GroupReport> {
        let mut report = GroupReport::new(plan.name.as_deref()?);
        report.holdable = Arc::clone(&plan.holdable);
        if plan.kind == Kind::Startup {
            // This is not `started_up`, which the first read of the group sets after it has shown
            // its checks.
            if !self.has_started.load(Ordering::Relaxed) && self.waiting(plan).is_empty() {
                self.has_started.store(true, Ordering::Relaxed);
            }
            report.healthy = self.has_started.load(Ordering::Relaxed);
            return Some(report);
        }
        let is_down = |cell: usize| statuses[cell] == Status::Unavailable;
        let is_held = |cell: usize| {
            plan.hold
                .is_some_and(|hold| self.cells[cell].held(hold, now).is_some())
        };
        for &position in &plan.members {
            let cell = &self.cells[position];
            let status = statuses[position];
            if !(cell.critical && self.fails(&cell.identifier, status, plan, now)) {
                continue;
            }
            let holds = status != Status::Unknown && is_held(position);
            if holds || self.root(position, &is_down).is_some_and(is_held) {
                report.held.push(cell.identifier.clone());
            } else {
                report.failing.push(cell.identifier.clone());
            }
        }
        report
            .failing
            .extend((plan.drains && self.is_draining()).then(|| DRAINING.to_owned()));
        report.healthy = report.failing.is_empty();
        Some(report)
    }

    /// Marks each failing row whose dependency is unavailable as blocked by the check at the root
    /// of the failure.
    fn name_blockers(&self, positions: &[usize], rows: &mut [CheckReport]) {
        let is_down = |cell: usize| {
            positions.binary_search(&cell).is_ok_and(|at| {
                rows.get(at)
                    .is_some_and(|row| row.status == Status::Unavailable)
            })
        };
        let failing = rows
            .iter()
            .zip(positions)
            .enumerate()
            .filter(|(_, (row, _))| row.status >= Status::Unknown);
        let blockers: Vec<(usize, usize)> = failing
            .filter_map(|(at, (_, &cell))| Some((at, self.root(cell, &is_down)?)))
            .collect();
        for (at, root) in blockers {
            let row = &mut rows[at];
            let blocker = &self.cells[root].identifier;
            let status = row.status;
            row.fail(&unavailable(
                FailureKind::Blocked,
                format!("blocked by {blocker}"),
            ));
            row.status = status;
            row.blocked_by = Some(blocker.clone());
        }
    }

    /// Returns the unavailable check at the end of the chain of dependencies. The chain has no
    /// cycle, because a cycle fails the build.
    fn root(&self, cell: usize, is_down: &impl Fn(usize) -> bool) -> Option<usize> {
        let down = *self.cells[cell]
            .depends_on
            .iter()
            .find(|&&need| is_down(need))?;
        Some(self.root(down, is_down).unwrap_or(down))
    }

    /// Adds a row that says whether the service has started. Once it has started, this does not
    /// change any more.
    ///
    /// Each check of the process or the instance must have succeeded once. An external check only
    /// needs to have ended once, because an outage elsewhere must not keep new replicas from
    /// starting. The rows of the checks are shown, and do not fail the report.
    fn start_up(&self, plan: &Plan, rows: &mut Vec<CheckReport>) {
        let waiting = if self.started_up.load(Ordering::Relaxed) {
            Vec::new()
        } else {
            self.waiting(plan)
        };
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

impl Runner {
    /// Returns the checks that the start of the service waits for.
    fn waiting(&self, plan: &Plan) -> Vec<&str> {
        let succeeds = if plan.warnings_as_errors {
            Status::Working
        } else {
            Status::Warning
        };
        let is_up = |cell: &&Cell| {
            cell.best()
                .is_some_and(|best| cell.scope == Scope::External || best <= succeeds)
        };
        let members = plan.members.iter().map(|&position| &self.cells[position]);
        members
            .filter(|cell| !is_up(cell))
            .map(|cell| cell.identifier.as_str())
            .collect()
    }
}

fn verdict_row(
    cell: &Cell,
    (known, past, share): (&LastVerdicts, &Past, &Share),
    now: Instant,
) -> (CheckReport, Until) {
    let mut row = cell.row(Some(known), past, share);
    let Some(age) = cell.expired(known, now) else {
        return (row, Some(cell.fresh_until(known, share)));
    };
    let message = match &cell.source {
        Some(source) => format!("last {} {} s ago", source.noun, age.as_secs()),
        None => format!("last result is {} s old", age.as_secs()),
    };
    row.fail(&unavailable(FailureKind::Expired, message));
    row.since = None; // the expired verdict is no longer in effect
    (row, None)
}

/// Returns `true` for the row of a verdict that has expired. The error of a check may have the same
/// kind, for a certificate that has expired, but such a verdict is in effect since some time.
fn is_expired(row: &CheckReport) -> bool {
    row.since.is_none()
        && row
            .errors
            .iter()
            .any(|error| error.kind == FailureKind::Expired)
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

fn unavailable(
    kind: FailureKind,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> HealthCheckException {
    ServiceUnavailable::new(message).with_kind(kind).into()
}
