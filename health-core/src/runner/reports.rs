use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Runner;
use super::verdict::Verdict;
use crate::reported::{Report, Sink};

/// Takes the reports of one check.
#[derive(Debug)]
struct CellSink {
    runner: Weak<Runner>,
    cell: usize,
}

impl Sink for CellSink {
    fn take(&self, version: u64, report: Report) {
        if let Some(runner) = self.runner.upgrade() {
            runner.take_report(self.cell, version, &report);
        }
    }
}

impl Runner {
    /// Connects the checks that the application reports with their cells.
    pub(crate) fn connect_reports(self: &Arc<Self>) {
        let sources = self
            .cells
            .iter()
            .enumerate()
            .filter_map(|(cell, own)| Some((cell, own.source.as_ref()?)));
        let connect = |(cell, source): (usize, &Arc<crate::reported::Source>)| {
            let sink: Arc<dyn Sink> = Arc::new(CellSink {
                runner: Arc::downgrade(self),
                cell,
            });
            source.connect(&sink, &self.clock);
            sink
        };
        let _ = self.sinks.set(sources.map(connect).collect());
    }

    fn take_report(&self, position: usize, version: u64, report: &Report) {
        let now = self.clock.now();
        let cell = &self.cells[position];
        let verdict = Verdict {
            status: report.status,
            errors: report.error().iter().map(Into::into).collect(),
            causes: Vec::new(),
            observations: Vec::new(),
            duration: Duration::ZERO,
            started: now,
            finished: now,
            finished_at: self.clock.time(),
            sleeps: self.awake.sleeps(),
        };
        if let Some(record) = cell.take_report(version, verdict) {
            self.check_changed(position);
            self.notify(&cell.identifier, &record);
        }
    }
}
