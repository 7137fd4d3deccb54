//! The row of a check as the command line shows it, from a report of this process or from an
//! endpoint's response.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use health_core::{CheckReport, Observation, Status};

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// `false` if the text has no word for a status.
    pub(crate) is_plain: bool,
    /// The status and the message, on one line.
    pub(crate) text: String,
    /// `true` if errors of the check make the report unhealthy. Unknown for an endpoint without the
    /// format `report`.
    pub(crate) critical: Option<bool>,
    /// `true` if the row makes the report unhealthy. Unknown for an endpoint without the format
    /// `report`.
    pub(crate) fails_report: Option<bool>,
    /// The duration of the last run. Unknown for an endpoint without the format `report`.
    pub(crate) took: Option<Duration>,
    pub(crate) observations: Vec<Observation>,
}

impl From<&CheckReport> for Row {
    fn from(check: &CheckReport) -> Self {
        Self {
            name: clean(&check.identifier),
            status: check.status,
            is_plain: true,
            text: clean(&check.line()),
            critical: Some(check.critical),
            fails_report: Some(check.fails_report),
            took: check.duration,
            observations: check.observations.clone(),
        }
    }
}

impl Row {
    /// Creates a row of a JSON object of identifiers and texts; the text begins with the status.
    pub(crate) fn from_response(name: &str, text: &str) -> Self {
        let status = status(text);
        Self {
            name: clean(name),
            status: status.unwrap_or(Status::Unavailable),
            is_plain: status.is_some(),
            text: clean(&text.replace('\n', "; ")),
            critical: None,
            fails_report: None,
            took: None,
            observations: Vec::new(),
        }
    }

    /// Returns the message without the status. It is empty if the check works.
    pub(crate) fn message(&self) -> &str {
        let rest = self.text.strip_prefix(self.status.as_str());
        rest.map_or(&*self.text, |rest| rest.strip_prefix(": ").unwrap_or(rest))
    }

    pub(crate) fn style(&self) -> Style {
        let colour = match self.status {
            Status::Working => AnsiColor::Green,
            Status::Warning => AnsiColor::Yellow,
            _ => AnsiColor::Red,
        };
        Style::new().fg_color(Some(colour.into()))
    }
}

/// Returns the status of a text: one of our own, which may have a message, or a word of another
/// program.
fn status(text: &str) -> Option<Status> {
    match text.split(':').next().unwrap_or_default() {
        "working" => Some(Status::Working),
        "warning" => Some(Status::Warning),
        "unknown" => Some(Status::Unknown),
        _ if text == "unavailable: no result yet" => Some(Status::Unknown),
        "unavailable" | "unexpected result" | "unknown error" => Some(Status::Unavailable),
        _ => crate::ask::status(text),
    }
}

/// Replaces control characters, so that text from elsewhere cannot move the cursor or set colours.
fn clean(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Removes the digits from a text, so that texts that only differ in their numbers compare as
/// equal.
pub(crate) fn without_digits(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}
