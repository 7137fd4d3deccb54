use std::fmt;

use super::Renderer;
use crate::Report;

/// `text`: one line a check, as the original's command prints them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text;

impl Renderer for Text {
    fn format(&self) -> &'static str {
        "text"
    }

    fn media_types(&self) -> &[&str] {
        &["text/plain"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        if report.bare {
            return writeln!(out, "{}", report.status);
        }
        if report.checks.is_empty() {
            return writeln!(out, "no checks");
        }
        report.checks.iter().try_for_each(|check| writeln!(out, "{:<24} ... {}", check.identifier, check.line()))
    }
}
