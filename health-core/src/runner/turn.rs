//! Changes of the verdict of a whole group.

use std::sync::{Mutex, PoisonError};

use super::{Plan, Runner};
use crate::listener::{Cause, GroupTransition};
use crate::{FailureKind, Report};

/// The last report of a group.
#[derive(Debug, Default)]
pub(super) struct LastReport {
    /// Its number. A report that was begun before it comes too late.
    number: u64,
    /// The checks that failed the group; `None` before the first report.
    causes: Option<Vec<Cause>>,
}

pub(super) type LastReports = Mutex<LastReport>;

impl Runner {
    /// Compares the report of a whole group with the last one. Logs a change of the verdict, and
    /// notifies the listeners. The first verdict is a change if it is unhealthy. `number` is that of
    /// the report, which grows with each one that is begun.
    pub(crate) fn take_verdict(&self, plan: &Plan, report: &Report, number: u64) {
        if !plan.is_whole {
            return;
        }
        let failing = report.checks.iter().filter(|row| row.fails_report);
        let causes: Vec<Cause> = failing
            .map(|row| {
                let kind = row
                    .errors
                    .first()
                    .map_or(FailureKind::Other, |error| error.kind);
                Cause {
                    check: row.identifier.clone(),
                    kind,
                }
            })
            .collect();
        let before = {
            let mut last = self.last_reports[plan.index]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if number < last.number {
                return;
            }
            last.number = number;
            let was_healthy = last.causes.as_ref().is_none_or(Vec::is_empty);
            if was_healthy == report.healthy {
                last.causes = Some(causes);
                return;
            }
            last.causes.replace(causes.clone()).unwrap_or_default()
        };
        let causes = if report.healthy { before } else { causes };
        let transition = GroupTransition {
            group: plan.name.clone(),
            healthy: report.healthy,
            causes,
            at: report.generated_at,
        };
        let causes = transition
            .causes
            .iter()
            .map(|cause| format!("{} ({:?})", cause.check, cause.kind));
        let causes = causes.collect::<Vec<_>>().join(", ");
        match (transition.healthy, &plan.name) {
            (false, Some(group)) => {
                tracing::warn!(target: "health_check", group, "not {group}: {causes}");
            }
            (false, None) => tracing::warn!(target: "health_check", "unhealthy: {causes}"),
            (true, Some(group)) => {
                tracing::info!(target: "health_check", group, "{group} again, after {causes}");
            }
            (true, None) => tracing::info!(target: "health_check", "healthy again, after {causes}"),
        }
        self.notify_group(&transition);
    }
}
