//! Rows of a report by their names.

use health_core::{CheckReport, Health};

pub(crate) async fn row(health: &Health, name: &str) -> CheckReport {
    let report = health.report().await;
    let mut rows = report.checks.iter();
    rows.find(|row| row.identifier == name).unwrap().clone()
}

/// Returns what the row of the fleet has observed.
pub(crate) async fn observed(health: &Health, name: &str) -> Option<f64> {
    let row = row(health, "Fleet").await;
    let mut observations = row.observations.iter();
    Some(observations.find(|seen| seen.name == name)?.value)
}
