//! Counters of the `metrics` facade.

use crate::registry::RESERVED;
use crate::{FinishedRun, Interceptor, RunInfo, StatusListener, Transition};

/// Counts runs by their status and transitions by the status that they lead to.
pub(crate) struct Metrics;

impl Interceptor for Metrics {
    fn finished(&self, info: RunInfo<'_>, run: FinishedRun<'_>) {
        let labels = [
            ("check", info.check.to_owned()),
            ("status", run.status.as_str().to_owned()),
        ];
        metrics::counter!("health_check_runs_total", &labels).increment(1);
    }
}

impl StatusListener for Metrics {
    fn on_transition(&self, transition: &Transition) {
        if !RESERVED.contains(&transition.check.as_str()) {
            let labels = [
                ("check", transition.check.clone()),
                ("status", transition.to.as_str().to_owned()),
            ];
            metrics::counter!("health_check_transitions_total", &labels).increment(1);
        }
    }
}
