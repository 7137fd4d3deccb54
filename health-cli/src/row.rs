//! A check's row as the command line shows it: of a report of this process, or of what an endpoint answered.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use health_core::{CheckReport, Observation, Status};

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// What the row says, on one line.
    pub(crate) text: String,
    /// Whether its errors make the whole unhealthy; an endpoint does not tell.
    pub(crate) critical: Option<bool>,
    /// Whether it makes the whole unhealthy; an endpoint does not tell.
    pub(crate) fails_report: Option<bool>,
    /// How long the last run took; an endpoint does not tell.
    pub(crate) took: Option<Duration>,
    pub(crate) observations: Vec<Observation>,
}

impl From<&CheckReport> for Row {
    fn from(check: &CheckReport) -> Self {
        Self {
            name: clean(&check.identifier),
            status: check.status,
            text: clean(&check.line()),
            critical: Some(check.critical),
            fails_report: Some(check.fails_report),
            took: check.duration,
            observations: check.observations.clone(),
        }
    }
}

impl Row {
    /// A row of an answer, whose text begins with its status.
    pub(crate) fn told(name: &str, text: &str) -> Self {
        Self {
            name: clean(name),
            status: status(text),
            text: clean(&text.replace('\n', "; ")),
            critical: None,
            fails_report: None,
            took: None,
            observations: Vec::new(),
        }
    }

    /// What is wrong, without the status; empty where it works.
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

fn status(text: &str) -> Status {
    match text.split(':').next().unwrap_or_default() {
        "working" => Status::Working,
        "warning" => Status::Warning,
        "unknown" => Status::Unknown,
        _ if text == "unavailable: no result yet" => Status::Unknown,
        _ => Status::Unavailable,
    }
}

/// What comes from elsewhere moves no cursor and sets no colour.
fn clean(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A text without its figures: that one of them moves is no change.
pub(crate) fn gist(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}
