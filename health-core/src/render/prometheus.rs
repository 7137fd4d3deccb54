use std::fmt;

use super::Renderer;
use super::metrics::{Dialect, write};
use crate::Report;

/// `prometheus`: the metrics of [`OpenMetrics`](super::OpenMetrics) in Prometheus' own text format 0.0.4, for scrapers
/// that read no other. Always 200.
///
/// It is `?format=prometheus` or `Accept: text/plain;version=0.0.4`; without the version, `text/plain` is the format
/// `text`.
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
