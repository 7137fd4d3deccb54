use std::io::{self, IsTerminal as _};
use std::time::Duration;

use health_core::Report;

use super::Failure;
use crate::output;
use crate::row::Row;

/// The words for a failure in the member `status` of other programs: Spring Boot, ASP.NET, and the
/// draft of the media type application/health+json.
const DOWN: [&str; 7] = [
    "down",
    "out_of_service",
    "fail",
    "failed",
    "error",
    "unhealthy",
    "critical",
];

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
            took,
        }
    }

    /// Returns `true` if the endpoint is healthy, according to its report or else to the status
    /// code. An unexpected status code without a report is an error.
    pub(crate) fn is_healthy(&self) -> Result<bool, Failure> {
        if let Some(report) = self.report() {
            return Ok(report.healthy); // the endpoint may have other status codes
        }
        let why = match self.status {
            200 if self.is_page => {
                " and a web page, not a report: another service, a login or a proxy answers there"
            }
            200 => return Ok(!self.says_down()),
            500 | 503 => return Ok(false),
            300..400 => ": it redirects to another host or in a circle, which is not followed",
            400 => ": it does not know the format, or is no health endpoint",
            401 | 403 => ": it wants a token: --header 'Authorization: Bearer ...'",
            404 => ": there is no such path or group, or the token is missing",
            406 => ": it has no such format",
            _ => " instead of 200, 500 or 503",
        };
        Err(Failure::answered(
            &self.address,
            format!("answered with {}{why}", self.status),
        ))
    }

    /// Returns `true` if the JSON of another program says that it does not work, whatever its
    /// status code is.
    fn says_down(&self) -> bool {
        let body = serde_json::from_slice::<serde_json::Value>(&self.body).unwrap_or_default();
        let status = body["status"]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase();
        DOWN.contains(&status.as_str())
    }

    /// Returns the rows, if the body is a report, or a JSON object of identifiers and texts.
    pub(crate) fn rows(&self) -> Option<Vec<Row>> {
        if let Some(report) = self.report() {
            if report.redacted {
                return Some(vec![Row::from_response("status", report.status.as_str())]);
            }
            return Some(report.checks.iter().map(Row::from).collect());
        }
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&self.body).ok()?;
        object
            .iter()
            .map(|(name, text)| Some(Row::from_response(name, text.as_str()?)))
            .collect()
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
