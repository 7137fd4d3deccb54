//! Reports in the plugin format of Nagios and Icinga: a line with the state, further lines, and
//! figures after a bar.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use health_core::{Observation, Status, Unit};

use crate::output;
use crate::row::Row;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl State {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Prints a line without figures, and returns the exit code.
pub(crate) fn print(state: State, what: &str) -> u8 {
    let _ = output::print(format_args!(
        "HEALTH {} - {}\n",
        state.as_str(),
        plain(what)
    )); // the exit code suffices
    state.code()
}

/// Prints a report, and returns the exit code.
///
/// An endpoint without the format `report` does not say which checks are critical: the errors of an
/// unhealthy endpoint are taken for critical, and those of a healthy one are not. `took` is the
/// duration of the request to an endpoint.
pub(crate) fn report(is_healthy: bool, rows: &[Row], took: Option<Duration>) -> u8 {
    let (state, what) = judge(is_healthy, rows);
    let mut figures: Vec<_> = took
        .map(|took| figure("time", took.as_secs_f64(), Unit::Seconds))
        .into_iter()
        .collect();
    for row in rows {
        figures.extend(row.took.map(|took| {
            figure(
                &format!("{}_time", row.name),
                took.as_secs_f64(),
                Unit::Seconds,
            )
        }));
        let observed = |seen: &Observation| {
            figure(
                &format!("{}_{}", row.name, seen.name),
                seen.value,
                seen.unit,
            )
        };
        figures.extend(row.observations.iter().map(observed));
    }
    let head = format!("HEALTH {} - {}", state.as_str(), plain(&what));
    let _ = output::print(arrange(&cut(&head, MAX_LEN / 2), rows, &figures)); // the exit code suffices
    state.code()
}

/// The length after which NRPE cuts off the output, possibly in the middle of a figure.
const MAX_LEN: usize = 1024;

/// The part of `MAX_LEN` that is reserved for the rows, however long the figures are.
const REASONS: usize = 600;

/// Arranges the failing rows first and the figures last. The first [`MAX_LEN`] bytes end between
/// two figures. Rows that do not fit are counted.
fn arrange(head: &str, rows: &[Row], figures: &[String]) -> String {
    let behind: usize =
        figures.iter().map(|figure| figure.len() + 1).sum::<usize>() + " | \n".len();
    let limit = MAX_LEN.saturating_sub(behind).max(REASONS);
    let more = "\n... and 1000 more".len();
    let mut text = head.to_owned();
    let (wrong, working): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.status != Status::Working);
    let mut left = rows.len();
    for row in wrong.into_iter().chain(working) {
        let line = format!(
            "\n{:<24} ... {}",
            plain(&row.name),
            plain(&row.text).replace('\n', " ")
        );
        let room = limit.saturating_sub(text.len() + if left > 1 { more } else { 0 });
        if line.len() > room && (room < line.len() / 2 || row.status == Status::Working) {
            let _ = write!(text, "\n... and {left} more");
            break;
        }
        text.push_str(&cut(&line, room));
        left -= 1;
    }
    let mut separator = " | ";
    for figure in figures {
        if text.len() < MAX_LEN && text.len() + separator.len() + figure.len() + 1 > MAX_LEN {
            // The other figures follow after the limit.
            let _ = writeln!(text, "{:1$}", "", MAX_LEN - text.len());
            separator = if separator == " " { "" } else { "| " };
        }
        let _ = write!(text, "{separator}{figure}");
        separator = " ";
    }
    text.push('\n');
    text
}

/// Cuts a text to at most this many bytes.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let end = text.floor_char_boundary(most.saturating_sub("...".len()));
    format!("{}...", &text[..end]).into()
}

fn judge(is_healthy: bool, rows: &[Row]) -> (State, String) {
    // A critical check that its group holds is a warning, because the endpoint is healthy.
    let is_critical = |row: &&Row| row.fails_report.or(row.critical).unwrap_or(!is_healthy);
    let names = |wanted: &dyn Fn(Status) -> bool, critical: bool| -> Vec<&str> {
        let found = rows
            .iter()
            .filter(|row| wanted(row.status) && (!critical || is_critical(row)));
        found.map(|row| &*row.name).collect()
    };
    let failed = names(&|status| status == Status::Unavailable, true);
    let untold = names(&|status| status == Status::Unknown, true);
    let not_working = names(&|status| status != Status::Working, false);
    let say = |names: &[&str], what: &str| {
        format!(
            "{} of {} checks {what}: {}",
            names.len(),
            rows.len(),
            names.join(", ")
        )
    };
    match () {
        () if !failed.is_empty() => (State::Critical, say(&failed, "failed")),
        () if !untold.is_empty() => (State::Unknown, say(&untold, "without a result")),
        () if !not_working.is_empty() => (State::Warning, say(&not_working, "not working")),
        () if !is_healthy => (State::Critical, "unhealthy".into()),
        () => match rows.len() {
            0 => (State::Ok, "no checks".into()),
            1 => (State::Ok, "1 check working".into()),
            many => (State::Ok, format!("{many} checks working")),
        },
    }
}

/// Formats a figure, such as `orders_time=0.012s`. A label with characters other than letters,
/// digits, `_`, `-` and `.` is quoted.
fn figure(label: &str, value: f64, unit: Unit) -> String {
    let label = label.replace(['=', '\'', '|'], "_");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let label = if label.chars().all(is_plain) {
        label
    } else {
        format!("'{label}'")
    };
    match unit {
        Unit::Seconds => format!("{label}={}s", (value * 1e6).round() / 1e6),
        Unit::Percent => format!("{label}={value:.1}%"),
        Unit::Bytes => format!("{label}={value:.0}B"),
        _ => format!("{label}={value}"),
    }
}

/// Replaces the bars in a text, because figures begin after the first bar.
fn plain(text: &str) -> String {
    text.replace('|', "/")
}
