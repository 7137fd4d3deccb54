use std::fmt;

use super::Renderer;
use super::metrics::{Dialect, write};
use crate::Report;

/// `prometheus`: the metrics of [`OpenMetrics`](super::OpenMetrics) in Prometheus' own text format
/// 0.0.4, for scrapers that read no other one. The status code is always 200.
///
/// A request selects it with `?format=prometheus` or `Accept: text/plain;version=0.0.4`. Without
/// the version, `text/plain` selects the format `text`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prometheus;

impl Renderer for Prometheus {
    fn format(&self) -> &'static str {
        "prometheus"
    }

    fn media_types(&self) -> &[&str] {
        &["text/plain; version=0.0.4; charset=utf-8"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        write(report, Dialect::Prometheus, out)
    }

    fn always_ok(&self) -> bool {
        true
    }
}
