use std::fmt;

use super::Renderer;
use super::metrics::{Dialect, write};
use crate::Report;

/// `openmetrics`: the metrics in the format that Prometheus requests,
/// [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/). The status code is
/// always 200, because Prometheus discards a scrape with any other one.
///
/// | metric | labels | value |
/// |---|---|---|
/// | `health_check_status` | `check`, `status` | 1 for the status that the check has, 0 for the three others |
/// | `health_check_healthy` | `check` | 0 for an error, and for a warning that counts as one; else 1 |
/// | `health_check_duration_seconds` | `check` | how long the last run took; absent before the first one |
/// | `health_check_last_run_timestamp_seconds` | `check` | when it ended; absent before the first one |
/// | `health_check_observation` | `check`, `name`, `unit` | what the check measured |
/// | `health_check_info` | `check`, `critical`, `scope`, the check's own | 1 |
/// | `health_check_overall_healthy` | | 1 or 0: the verdict |
///
/// If the name of a check's own label is not allowed, it gets the prefix `label_`. A character that
/// is not allowed in a name becomes `_`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenMetrics;

impl Renderer for OpenMetrics {
    fn format(&self) -> &'static str {
        "openmetrics"
    }

    fn media_types(&self) -> &[&str] {
        &["application/openmetrics-text; version=1.0.0; charset=utf-8"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        write(report, Dialect::OpenMetrics, out)
    }

    fn always_ok(&self) -> bool {
        true
    }
}
