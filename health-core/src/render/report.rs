use std::fmt;

use super::Renderer;
use crate::Report;

/// `report`: the whole [`Report`] as JSON, for programs. It reads back by serde as the same report.
///
/// Fields may be added. A reader ignores those that it does not know, and a field that is missing
/// has its default.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportFormat;

impl ReportFormat {
    /// The media type, for the `Accept` of a client.
    pub const MEDIA_TYPE: &'static str = "application/vnd.health-report+json";
}

impl Renderer for ReportFormat {
    fn format(&self) -> &'static str {
        "report"
    }

    fn media_types(&self) -> &[&str] {
        &[Self::MEDIA_TYPE]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        let text = serde_json::to_string(report).map_err(|_| fmt::Error)?;
        out.write_str(&text)
    }
}
