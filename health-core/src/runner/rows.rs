//! From what the cells answered to the rows of a report.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cell::{Answer, Held};
use super::verdict::seconds;
use super::{Answers, Cell, Flight, Kind, Plan, Runner};
use crate::registry::{DRAINING, STARTUP};
use crate::{CheckReport, HealthCheckException, Scope, ServiceUnavailable, Status};

/// Until when rows stay true: `None` when they are not to be read again, `Some(None)` when only a change ends them.
type Until = Option<Option<Instant>>;

impl Runner {
    pub(super) fn rows(&self, plan: &Plan, answers: &Answers, budget: Duration) -> (Vec<CheckReport>, Until) {
        let now = self.clock.now();
        let mut until: Until = Some(None);
        let mut rows = BTreeMap::new();
        for (position, answer) in &answers.0 {
            let cell = &self.cells[*position];
            let (row, good) = match answer {
                Answer::Held(held) => verdict_row(cell, held, now),
                Answer::Joined(flight) | Answer::Started(flight) => match flight.held() {
                    Some(held) => verdict_row(cell, &held, now),
                    None => (self.missing_row(cell, flight, budget, now), None),
                },
            };
            until = earlier(until, good);
            rows.insert(*position, row);
        }
        self.name_blockers(&mut rows);
        rows.retain(|position, _| plan.members.contains(position));
        let mut rows: Vec<CheckReport> = rows.into_values().collect();
        for row in &mut rows {
            row.counts = row.critical
                && match row.status {
                    Status::Working => false,
                    Status::Warning => plan.warnings_as_errors,
                    Status::Unknown => plan.kind != Kind::Live,
                    Status::Unavailable => true,
                };
        }
        match plan.kind {
            Kind::Startup => self.start_up(plan, &mut rows),
            Kind::All | Kind::Ready if self.is_draining() => {
                rows.push(CheckReport::failed(DRAINING, &unavailable("shutting down")));
            }
            _ => {}
        }
        (rows, until)
    }

    /// A row whose run is not over: the last verdict stands in while it is not too old.
    fn missing_row(&self, cell: &Cell, flight: &Flight, budget: Duration, now: Instant) -> CheckReport {
        let held = cell.held();
        let stand_in = held.as_ref().filter(|held| {
            now.saturating_duration_since(held.last.finished) < self.max_stale && cell.expired(held, now).is_none()
        });
        if let Some(held) = stand_in {
            let mut row = cell.row(Some(held));
            row.stale = true;
            return row;
        }
        let mut row = cell.row(held.as_ref());
        row.observations = flight.findings.observed();
        if held.is_none() {
            row.fail(&unavailable("no result yet"));
            row.status = Status::Unknown;
        } else {
            row.fail(&unavailable(format!("no answer within {}", seconds(budget))));
        }
        (row.raw_status, row.since) = (row.status, None);
        row
    }

    /// A failing row whose dependency is unavailable names the one at the root of it.
    fn name_blockers(&self, rows: &mut BTreeMap<usize, CheckReport>) {
        let is_failing = |row: &CheckReport| row.status >= Status::Unknown;
        let blockers: Vec<(usize, String)> = rows
            .iter()
            .filter(|(_, row)| is_failing(row))
            .filter_map(|(&position, _)| Some((position, self.root(position, rows)?)))
            .map(|(position, root)| (position, self.cells[root].identifier.clone()))
            .collect();
        for (position, blocker) in blockers {
            if let Some(row) = rows.get_mut(&position) {
                let status = row.status;
                row.fail(&unavailable(format!("blocked by {blocker}")));
                row.status = status;
                row.blocked_by = Some(blocker);
            }
        }
    }

    /// The unavailable check at the end of the chain of dependencies; there are no cycles.
    fn root(&self, position: usize, rows: &BTreeMap<usize, CheckReport>) -> Option<usize> {
        let needs = &self.cells[position].depends_on;
        let down = needs.iter().find(|need| rows.get(need).is_some_and(|row| row.status == Status::Unavailable))?;
        Some(self.root(*down, rows).unwrap_or(*down))
    }

    /// Turns true for good once every check near by has succeeded once and every one elsewhere has ended once: an
    /// outage elsewhere must not keep new replicas from starting. Until then the rows are shown and don't count.
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
            row.counts = false;
        }
        if !plan.members.is_empty() {
            rows.push(match waiting[..] {
                [] => CheckReport::new(STARTUP),
                _ => CheckReport::failed(STARTUP, &unavailable(format!("waiting for {}", waiting.join(", ")))),
            });
        }
    }
}

fn verdict_row(cell: &Cell, held: &Held, now: Instant) -> (CheckReport, Until) {
    let mut row = cell.row(Some(held));
    let Some(age) = cell.expired(held, now) else { return (row, Some(cell.good_until(held))) };
    row.fail(&unavailable(format!("last result is {} s old", age.as_secs())));
    row.since = None; // that is told of a verdict, and there is none any more
    (row, None)
}

/// `None`, never again, is earlier than any time; `Some(None)`, for ever, is later than any.
fn earlier(a: Until, b: Until) -> Until {
    match (a?, b?) {
        (Some(a), Some(b)) => Some(Some(a.min(b))),
        (a, b) => Some(a.or(b)),
    }
}

fn unavailable(message: impl Into<std::borrow::Cow<'static, str>>) -> HealthCheckException {
    ServiceUnavailable::new(message).into()
}
