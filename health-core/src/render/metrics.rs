//! The metrics of a report, and the two text formats that they are written in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use super::outcome::Outcome;
use crate::registry::RESERVED;
use crate::{CheckReport, FailureKind, GroupReport, Report, Status};

/// One of the two text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenMetrics 1.0, which has units, infos and an end marker.
    OpenMetrics,
    /// Prometheus' own format, version 0.0.4.
    Prometheus,
}

/// The metrics of one name.
struct Family<'a> {
    name: &'static str,
    help: &'static str,
    samples: Vec<Sample<'a>>,
}

struct Sample<'a> {
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    value: f64,
}

const STATUSES: [Status; 4] = [
    Status::Working,
    Status::Warning,
    Status::Unknown,
    Status::Unavailable,
];
/// The labels that every check has in the info, besides its own.
const OWN_LABELS: [&str; 3] = ["check", "critical", "scope"];
/// The suffix of an info's name. OpenMetrics leaves it out in the lines that describe the metric.
const INFO: &str = "_info";
/// The suffix of a counter's name. OpenMetrics leaves it out in the same lines.
const TOTAL: &str = "_total";

pub(super) fn write(report: &Report, dialect: Dialect, out: &mut dyn fmt::Write) -> fmt::Result {
    for family in families(report)
        .iter()
        .filter(|family| !family.samples.is_empty())
    {
        family.describe(dialect, out)?;
        family
            .samples
            .iter()
            .try_for_each(|sample| sample.write(family.name, out))?;
    }
    if dialect == Dialect::OpenMetrics {
        out.write_str("# EOF\n")
    } else {
        Ok(())
    }
}

fn families(report: &Report) -> [Family<'_>; 10] {
    // Label sets are stable: a row that the engine adds for a while has no samples, and shows only
    // in the overall verdict.
    let is_check = |row: &&CheckReport| !RESERVED.contains(&row.identifier.as_str());
    let rows: Vec<&CheckReport> = report.checks.iter().filter(is_check).collect();
    let family = |name, help, samples| Family {
        name,
        help,
        samples,
    };
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64()
    };
    let of_rows = |value: &dyn Fn(&CheckReport) -> Option<f64>| -> Vec<Sample<'_>> {
        rows.iter()
            .copied()
            .filter_map(|row| Some(Sample::new([("check", &row.identifier)], value(row)?)))
            .collect()
    };
    [
        family(
            "health_check_status",
            "1 for the status of the check, and 0 for the others.",
            rows.iter().copied().flat_map(statuses).collect(),
        ),
        family(
            "health_check_healthy",
            "1 if the check is healthy, and 0 for an error or a warning that counts as one.",
            of_rows(&|row| Some(number(Outcome::of_row(row) != Outcome::Fail && !row.held))),
        ),
        family(
            "health_check_duration_seconds",
            "The duration of the last run of the check.",
            of_rows(&|row| Some(row.duration?.as_secs_f64())),
        ),
        family(
            "health_check_last_run_timestamp_seconds",
            "The time at which the last run of the check ended.",
            of_rows(&|row| row.last_run.map(seconds)),
        ),
        family(
            "health_check_observation",
            "A value that the check measured, in the unit that its label names.",
            rows.iter().copied().flat_map(observations).collect(),
        ),
        family(
            "health_check_failure",
            "1 for the kinds of the check's failures, and 0 for the others.",
            rows.iter().copied().flat_map(failures).collect(),
        ),
        family(
            "health_check_info",
            "The properties of the check that are known without running it.",
            infos(&rows),
        ),
        family(
            "health_check_held",
            "1 for a failing check that does not fail the group yet, because the group holds it.",
            report.groups.iter().flat_map(held).collect(),
        ),
        family(
            "health_check_group_healthy",
            "1 if the group is healthy, by the last verdicts of its checks.",
            report
                .groups
                .iter()
                .map(|group| Sample::new([("group", group.group.as_str())], number(group.healthy)))
                .collect(),
        ),
        family(
            "health_check_overall_healthy",
            "1 if the report is healthy.",
            vec![Sample {
                labels: Vec::new(),
                value: number(report.healthy),
            }],
        ),
    ]
}

/// Returns a sample for each check that a group can hold.
fn held(group: &GroupReport) -> impl Iterator<Item = Sample<'_>> {
    group.holdable.iter().map(|check| {
        let labels = [("check", check.as_str()), ("group", group.group.as_str())];
        Sample::new(labels, number(group.held.contains(check)))
    })
}

/// Returns a sample for each kind of failure.
fn failures(row: &CheckReport) -> impl Iterator<Item = Sample<'_>> {
    FailureKind::ALL.iter().map(|kind| {
        let is_now = row.errors.iter().any(|error| error.kind == *kind);
        Sample::new(
            [("check", &row.identifier), ("kind", kind.as_str())],
            number(is_now),
        )
    })
}

fn statuses(row: &CheckReport) -> impl Iterator<Item = Sample<'_>> {
    STATUSES.into_iter().map(|status| {
        Sample::new(
            [("check", &row.identifier), ("status", status.as_str())],
            number(status == row.status),
        )
    })
}

fn observations(row: &CheckReport) -> impl Iterator<Item = Sample<'_>> {
    row.observations.iter().map(|seen| {
        Sample::new(
            [
                ("check", &row.identifier),
                ("name", &seen.name),
                ("unit", seen.unit.as_str()),
            ],
            seen.value,
        )
    })
}

/// Returns the info of every check. Every check has every label, so that all label sets are the
/// same. An empty value means that the check does not have the label.
fn infos<'a>(rows: &[&'a CheckReport]) -> Vec<Sample<'a>> {
    let names: BTreeSet<String> = rows
        .iter()
        .copied()
        .flat_map(|row| row.labels.keys())
        .map(|name| label_name(name))
        .collect();
    let info = |row| {
        let mut sample = info(row);
        let mut own = BTreeMap::new();
        for (name, value) in &row.labels {
            own.entry(label_name(name)).or_insert(value.as_str());
        }
        for name in &names {
            let value = own.get(name).copied().unwrap_or_default();
            sample.labels.push((name.clone().into(), value.into()));
        }
        sample
    };
    rows.iter().copied().map(info).collect()
}

fn info(row: &CheckReport) -> Sample<'_> {
    let critical = if row.critical { "true" } else { "false" };
    let mut sample = Sample::new(
        [("check", row.identifier.as_str()), ("critical", critical)],
        1.0,
    );
    sample
        .labels
        .push(("scope".into(), row.scope.to_string().into()));
    sample
}

/// Returns a name of a label that both formats allow. If two names become the same, the first one
/// is shown.
fn label_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let is_free =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && !OWN_LABELS.contains(&name.as_str());
    if is_free {
        name
    } else {
        format!("label_{name}")
    }
}

fn number(is: bool) -> f64 {
    f64::from(u8::from(is))
}

impl Family<'_> {
    fn describe(&self, dialect: Dialect, out: &mut dyn fmt::Write) -> fmt::Result {
        let Self { name, help, .. } = self;
        let counter = name.strip_suffix(TOTAL);
        if dialect == Dialect::Prometheus {
            let kind = if counter.is_some() {
                "counter"
            } else {
                "gauge"
            };
            return writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let info = name.strip_suffix(INFO).map(|name| (name, "info"));
        let (name, kind) = info
            .or(counter.map(|name| (name, "counter")))
            .unwrap_or((name, "gauge"));
        writeln!(out, "# TYPE {name} {kind}")?;
        if name.ends_with("_seconds") {
            writeln!(out, "# UNIT {name} seconds")?;
        }
        writeln!(out, "# HELP {name} {help}")
    }
}

impl<'a> Sample<'a> {
    fn new<const N: usize>(labels: [(&'static str, &'a str); N], value: f64) -> Self {
        Self {
            labels: labels
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            value,
        }
    }

    fn write(&self, name: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(name)?;
        for (position, (label, value)) in self.labels.iter().enumerate() {
            write!(out, "{}{label}=\"", if position == 0 { '{' } else { ',' })?;
            escape(value, out)?;
            out.write_char('"')?;
        }
        writeln!(
            out,
            "{} {}",
            if self.labels.is_empty() { "" } else { "}" },
            self.value
        )
    }
}

/// Writes the value of a label. A NUL, which ends the input of some parsers, becomes a replacement
/// character.
fn escape(value: &str, out: &mut dyn fmt::Write) -> fmt::Result {
    value.chars().try_for_each(|c| match c {
        '\\' => out.write_str("\\\\"),
        '"' => out.write_str("\\\""),
        '\n' => out.write_str("\\n"),
        '\0' => out.write_char(char::REPLACEMENT_CHARACTER),
        _ => out.write_char(c),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        let escaped = |value| {
            let mut out = String::new();
            escape(value, &mut out).expect("a string takes everything");
            out
        };
        assert_eq!(escaped(r#"a "b" \ c"#), r#"a \"b\" \\ c"#);
        assert_eq!(escaped("two\nlines\r\0 Ü🔥"), "two\\nlines\r\u{fffd} Ü🔥");
    }

    #[test]
    fn names_of_labels_are_made_valid() {
        for (name, expected) in [
            ("team", "team"),
            ("app.kubernetes.io/name", "app_kubernetes_io_name"),
            ("größe", "gr__e"),
            ("2nd", "label_2nd"),
            ("__name__", "label___name__"),
            ("check", "label_check"),
            ("", "label_"),
        ] {
            assert_eq!(label_name(name), expected);
        }
    }
}
