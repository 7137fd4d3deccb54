use std::fmt;

use super::Renderer;
use crate::Report;

/// `probe`: `ok`, or a line for each check that fails the report.
///
/// This is what `/livez` and `/readyz` answer to a client that accepts anything, such as the
/// kubelet and curl ([`Endpoint::probes`](crate::Endpoint::probes)). No other endpoint has it.
///
/// ```text
/// orders: unavailable: connection refused
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe;

impl Probe {
    pub(crate) const FORMAT: &'static str = "probe";
}

impl Renderer for Probe {
    fn format(&self) -> &'static str {
        Self::FORMAT
    }

    fn media_types(&self) -> &[&str] {
        &["text/plain"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        if report.redacted {
            return writeln!(out, "{}", report.status);
        }
        if report.healthy {
            return writeln!(out, "ok");
        }
        let failing = report.checks.iter().filter(|check| check.fails_report);
        failing.into_iter().try_for_each(|check| {
            let name = &check.identifier;
            writeln!(out, "{name}: {}", check.line())
        })
    }
}
