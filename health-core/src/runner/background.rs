use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::Runner;
use super::cell::Refresh;

/// The background tasks of a `Health`. They end when this value is dropped; runs that are under way
/// continue to their end.
#[derive(Debug)]
pub(crate) struct Tasks {
    all: Vec<AbortHandle>,
    /// `true` if the tasks are on the runtime of the `Health`.
    on_own_runtime: bool,
}

impl Tasks {
    /// Aborts the tasks, and waits until they have ended.
    pub(crate) async fn end(self) {
        for task in &self.all {
            task.abort();
            while !task.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Returns `Some` with the value of `on_own_runtime` if a task has ended, which happens when
    /// its runtime shuts down.
    pub(crate) fn have_ended(&self) -> Option<bool> {
        self.all
            .iter()
            .any(AbortHandle::is_finished)
            .then_some(self.on_own_runtime)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.all.iter().for_each(AbortHandle::abort);
    }
}

impl Runner {
    /// Starts the background refresh of the checks that have an interval. Returns `None` if there
    /// is no runtime to spawn the tasks on.
    pub(crate) fn refresh_in_background(self: &Arc<Self>) -> Option<Tasks> {
        let (runtime, on_own_runtime) = self.runtime()?;
        let timed = (0..self.cells.len())
            .filter(|&position| matches!(self.cells[position].refresh, Refresh::Every(_)));
        let start = |position| {
            runtime
                .spawn(keep_fresh(Arc::clone(self), position))
                .abort_handle()
        };
        let all: Vec<AbortHandle> = timed.map(start).collect();
        Some(Tasks {
            all,
            on_own_runtime,
        })
    }
}

async fn keep_fresh(runner: Arc<Runner>, cell: usize) {
    loop {
        runner.join_or_start(cell).finished().await;
        let now = runner.clock.now();
        match runner.cells[cell].next_run(now, fastrand::f64()) {
            Some(next) => tokio::time::sleep(next.saturating_duration_since(now)).await,
            None => std::future::pending().await, // later than any time
        }
    }
}
