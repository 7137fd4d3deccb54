use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::cell::jitter;
use super::{Cell, Runner};
use crate::check::Refresh;

/// The background tasks of a health; dropping them ends them. Runs under way end by themselves.
#[derive(Debug)]
pub(crate) struct Tasks(Vec<AbortHandle>);

impl Tasks {
    /// Ends them, and waits until they are gone.
    pub(crate) async fn end(self) {
        for task in &self.0 {
            task.abort();
            while !task.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Whether they have ended, as they do with their runtime.
    pub(crate) fn have_ended(&self) -> bool {
        self.0.iter().any(AbortHandle::is_finished)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Runner {
    /// Starts to refresh the checks that have an interval. `None` where there is no runtime to do it on.
    pub(crate) fn refresh_in_background(self: &Arc<Self>) -> Option<Tasks> {
        let runtime = self.runtime()?;
        let interval = |cell: &Cell| match cell.refresh {
            Refresh::Every(interval) => Some(interval),
            Refresh::Ttl(_) => None,
        };
        let timed = self.cells.iter().enumerate().filter_map(|(position, cell)| Some((position, interval(cell)?)));
        let start = |(position, every)| runtime.spawn(keep_fresh(Arc::clone(self), position, every)).abort_handle();
        Some(Tasks(timed.map(start).collect()))
    }
}

async fn keep_fresh(runner: Arc<Runner>, cell: usize, interval: Duration) {
    loop {
        runner.board(cell).landed().await;
        tokio::time::sleep(interval + jitter(interval).mul_f64(fastrand::f64())).await;
    }
}
