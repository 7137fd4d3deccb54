use std::sync::{Arc, Weak};

use super::Runner;
use crate::Verdict;
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
            .filter_map(|(cell, own)| Some((cell, own.source()?)));
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
            errors: report.error().iter().map(Into::into).collect(),
            ..Verdict::new(report.status, now, self.clock.time())
        };
        if let Some(record) = cell.take_report(version, verdict) {
            self.check_changed(position);
            self.notify(&cell.identifier, &record);
        }
    }
}
