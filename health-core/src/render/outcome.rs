//! The outcome of a row and of a report, for formats that have three states, and the verdict in
//! words.

use serde::Serialize;

use crate::{CheckReport, Report, Status};

/// The outcome of a row or of a whole report. The status alone does not say whether an error fails
/// the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// Nothing is wrong.
    Pass,
    /// Healthy, but with something that people should see.
    Warn,
    /// A row with an error, or a report that is unhealthy.
    Fail,
}

impl Outcome {
    /// Returns the outcome of a row. An unavailable check always fails. A warning fails only if it
    /// fails the report.
    pub(super) fn of_row(row: &CheckReport) -> Self {
        match row.status {
            _ if row.fails_report => Self::Fail,
            _ if row.held => Self::Warn,
            Status::Working => Self::Pass,
            Status::Warning | Status::Unknown => Self::Warn,
            Status::Unavailable => Self::Fail,
        }
    }

    /// Returns the outcome of a report. An unhealthy report fails, and a problem that leaves it
    /// healthy is a warning.
    pub(super) fn of_report(report: &Report) -> Self {
        if !report.healthy {
            return Self::Fail;
        }
        let is_fine = report.status == Status::Working && problems(report) == 0;
        if is_fine { Self::Pass } else { Self::Warn }
    }
}

/// Returns the number of rows that are not working, whether they fail the report or not.
pub(super) fn problems(report: &Report) -> usize {
    report
        .checks
        .iter()
        .filter(|check| check.status != Status::Working)
        .count()
}

/// Returns the verdict in words: `All systems working`, `Working, with 1 problem`,
/// `2 of 6 failing`.
pub(super) fn verdict(report: &Report) -> String {
    let failing = report
        .checks
        .iter()
        .filter(|check| check.fails_report)
        .count();
    match (report.healthy, report.checks.len(), problems(report)) {
        (true, 0, _) if report.redacted => "Working".into(),
        (false, 0, _) => "Not working".into(),
        (true, 0, _) => "No checks".into(),
        (true, _, 0) => "All systems working".into(),
        (true, _, 1) => "Working, with 1 problem".into(),
        (true, _, problems) => format!("Working, with {problems} problems"),
        (false, all, _) => format!("{failing} of {all} failing"),
    }
}

/// Returns the checks that fail a report, each with its kind of failure:
/// `orders (refused), mail (timed_out)`.
#[cfg(feature = "html")]
pub(super) fn because(report: &Report) -> Option<String> {
    let failing = report.checks.iter().filter(|check| check.fails_report);
    let causes: Vec<String> = failing
        .map(|check| match check.errors.first() {
            Some(error) => format!("{} ({})", check.identifier, error.kind),
            None => check.identifier.clone(),
        })
        .collect();
    (!causes.is_empty()).then(|| causes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceUnavailable, ServiceWarning};

    fn row(name: &str, status: Status, counts: bool) -> CheckReport {
        let mut row = match status {
            Status::Working => CheckReport::new(name),
            Status::Warning => CheckReport::failed(name, &ServiceWarning::new("m").into()),
            _ => CheckReport::failed(name, &ServiceUnavailable::new("m").into()),
        };
        (row.status, row.fails_report) = (status, counts);
        row
    }

    #[test]
    fn what_counts_fails_and_what_does_not_warns() {
        for (status, counts, of_row, of_report) in [
            (Status::Working, false, Outcome::Pass, Outcome::Pass),
            (Status::Warning, true, Outcome::Fail, Outcome::Fail),
            (Status::Warning, false, Outcome::Warn, Outcome::Warn),
            (Status::Unknown, true, Outcome::Fail, Outcome::Fail),
            (Status::Unknown, false, Outcome::Warn, Outcome::Warn),
            (Status::Unavailable, true, Outcome::Fail, Outcome::Fail),
            (Status::Unavailable, false, Outcome::Fail, Outcome::Warn),
        ] {
            let row = row("a", status, counts);
            assert_eq!(Outcome::of_row(&row), of_row, "{status} {counts}");
            assert_eq!(
                Outcome::of_report(&Report::new([row])),
                of_report,
                "{status} {counts}"
            );
        }
    }
}
