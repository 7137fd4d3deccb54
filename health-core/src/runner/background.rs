use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Runner;
use super::cell::Refresh;
use crate::engine::home::{self, Job};

impl Runner {
    /// Starts the runs in the background. A second call does nothing.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.home.is_closed() || self.has_begun.swap(true, Ordering::SeqCst) {
            return;
        }
        for (cell, own) in self.cells.iter().enumerate() {
            if matches!(own.refresh, Refresh::Every(_)) {
                let runner = Arc::clone(self);
                home::spawn(KeepFresh { runner, cell });
            }
        }
    }
}

/// Runs a check in the background, until its home is closed.
struct KeepFresh {
    runner: Arc<Runner>,
    cell: usize,
}

impl Job for KeepFresh {
    fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    async fn work(&self) {
        let forever = async {
            while let Some(run) = self.runner.join_or_start(self.cell) {
                run.finished().await;
                let now = self.runner.clock.now();
                match self.runner.cells[self.cell].next_run(now, fastrand::f64()) {
                    Some(next) => {
                        tokio::time::sleep(next.saturating_duration_since(now)).await;
                    }
                    None => std::future::pending().await, // later than any time
                }
            }
        };
        tokio::select! {
            () = forever => {}
            () = self.runner.home.closed() => {}
        }
    }
}
