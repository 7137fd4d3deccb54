use std::fmt;

use super::Renderer;
use super::outcome::Outcome;
use crate::{CheckReport, Report};

/// `text`: one line per check, as the original's command prints them.
///
/// With `?verbose`, the lines look like those of Kubernetes' own components, with `ok` for a
/// problem that leaves the report healthy:
///
/// ```text
/// [+]disk ok
/// [-]orders failed: unavailable: connection refused
/// ready check failed
/// ```
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
        if report.redacted {
            return writeln!(out, "{}", report.status);
        }
        if report.checks.is_empty() {
            return writeln!(out, "no checks");
        }
        report
            .checks
            .iter()
            .try_for_each(|check| writeln!(out, "{:<24} ... {}", check.identifier, check.line()))
    }

    fn render_verbose(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        if report.checks.is_empty() && !report.redacted {
            writeln!(out, "no checks")?;
        }
        report
            .checks
            .iter()
            .try_for_each(|check| verbose_line(check, out))?;
        if !report.unknown_excludes.is_empty() {
            let names: Vec<String> = report
                .unknown_excludes
                .iter()
                .map(|name| format!("{name:?}"))
                .collect();
            writeln!(
                out,
                "warn: some health checks cannot be excluded: no matches for {}",
                names.join(",")
            )?;
        }
        let verdict = if report.healthy { "passed" } else { "failed" };
        writeln!(
            out,
            "{} check {verdict}",
            report.group.as_deref().unwrap_or("health")
        )
    }
}

fn verbose_line(check: &CheckReport, out: &mut dyn fmt::Write) -> fmt::Result {
    let name = &check.identifier;
    match Outcome::of_row(check) {
        Outcome::Pass => writeln!(out, "[+]{name} ok"),
        Outcome::Warn if check.held => writeln!(out, "[+]{name} held: {}", check.line()),
        Outcome::Warn => writeln!(out, "[+]{name} ok: {}", check.line()),
        Outcome::Fail if check.critical => writeln!(out, "[-]{name} failed: {}", check.line()),
        Outcome::Fail => writeln!(out, "[-]{name} failed: {} (not critical)", check.line()),
    }
}
