use std::io::{self, IsTerminal as _};
use std::time::Duration;

use health_core::{Report, Status};
use serde_json::{Map, Value};

use super::{Expected, Failure, words};
use crate::output;
use crate::row::Row;

/// The response of an endpoint.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) address: String,
    /// `true` if the body is in the format `report`.
    pub(super) is_report: bool,
    /// `true` if the body is a web page, although none was requested.
    pub(super) is_page: bool,
    pub(super) body: Vec<u8>,
    pub(super) expected: Expected,
    pub(crate) took: Duration,
}

impl Answer {
    /// Creates the answer of a service whose response became a report.
    pub(super) fn of_report(report: &Report, address: &str, took: Duration) -> Self {
        let body = serde_json::to_vec(report).unwrap_or_default();
        Self {
            status: 200,
            address: address.to_owned(),
            is_report: true,
            is_page: false,
            body,
            expected: Expected::default(),
            took,
        }
    }

    /// Returns `true` if the endpoint is healthy: by its report, or else by what its JSON says, or
    /// else by the status code. What the caller expects takes precedence. An unexpected status code
    /// without a report is an error.
    pub(crate) fn is_healthy(&self) -> Result<bool, Failure> {
        if let Some(report) = self.report() {
            return Ok(report.healthy); // the endpoint may have other status codes
        }
        self.is_healthy_by(self.json().as_ref())
    }

    /// Decides about the answer of another program by its JSON, if it has any.
    fn is_healthy_by(&self, json: Option<&Value>) -> Result<bool, Failure> {
        let said = json.and_then(words::verdict);
        let is_up = || said.is_none_or(|said| said <= Status::Warning);
        if let Some(is_healthy) = self.expected.judge(self.status, json) {
            return Ok(is_healthy && (self.expected.has_json() || is_up()));
        }
        let why = match self.status {
            200..300 if self.is_page => {
                " and a web page, not a report: another service, a login or a proxy answers there"
            }
            200..300 => return Ok(is_up()),
            500 | 503 => return Ok(false),
            300..400 => ": it redirects to another host or in a circle, which is not followed",
            400 => ": it does not know the format, or is no health endpoint",
            401 | 403 => ": it wants a token: --header 'Authorization: Bearer ...'",
            404 => ": there is no such path or group, or the token is missing",
            406 => ": it has no such format",
            429 => ": if that is how it says that it works, add --status 429",
            _ => " instead of 2xx, 500 or 503",
        };
        Err(Failure::answered(
            &self.address,
            format!("answered with {}{why}", self.status),
        ))
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns the rows: those of a report, or of a JSON object of identifiers and texts, or else
    /// what the JSON says as a whole.
    pub(crate) fn rows(&self) -> Option<Vec<Row>> {
        if let Some(report) = self.report() {
            if report.redacted {
                return Some(vec![Row::from_response("status", report.status.as_str())]);
            }
            return Some(report.checks.iter().map(Row::from).collect());
        }
        let json = self.json()?;
        if let Some(mut rows) = json.as_object().and_then(texts) {
            // A text that says nothing is no failure, unless it is all that there is to say.
            let is_explained = rows
                .iter()
                .any(|row| row.status > Status::Warning && row.is_plain);
            if is_explained || self.is_healthy_by(Some(&json)).unwrap_or(true) {
                for row in rows.iter_mut().filter(|row| !row.is_plain) {
                    row.status = Status::Working;
                }
            }
            return Some(rows);
        }
        let said = words::verdict(&json)?;
        Some(vec![Row::from_response("status", said.as_str())])
    }

    /// Returns the report, if the body is one.
    fn report(&self) -> Option<Report> {
        if self.is_report {
            serde_json::from_slice(&self.body).ok()
        } else {
            None
        }
    }

    /// Prints the body to stdout. A terminal gets it without control characters, which could move
    /// its cursor.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut body = if io::stdout().is_terminal() {
            let is_harmless = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
            String::from_utf8_lossy(&self.body)
                .chars()
                .filter(is_harmless)
                .collect::<String>()
                .into_bytes()
        } else {
            self.body.clone()
        };
        if body.last().is_some_and(|last| *last != b'\n') {
            body.push(b'\n');
        }
        output::write(&body)
    }
}

/// Returns a row for each member of an object of texts.
fn texts(object: &Map<String, Value>) -> Option<Vec<Row>> {
    object
        .iter()
        .map(|(name, text)| Some(Row::from_response(name, text.as_str()?)))
        .collect()
}
