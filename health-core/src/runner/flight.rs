use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::Runner;
use super::cell::Held;
use super::verdict::Verdict;
use crate::Findings;

/// A run that is under way, and what its waiters wait on.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    pub(crate) findings: Findings,
    landed: OnceLock<Option<Held>>,
    arrival: Notify,
}

impl Flight {
    /// Waits for its end. `None` when it was given up: the runtime that it ran on has ended.
    pub(crate) async fn landed(&self) -> Option<Held> {
        loop {
            let arrival = self.arrival.notified(); // before the look, so that no arrival is missed
            if let Some(landed) = self.landed.get() {
                return landed.clone();
            }
            arrival.await;
        }
    }

    /// What it has brought, if it has landed.
    pub(crate) fn held(&self) -> Option<Held> {
        self.landed.get().cloned().flatten()
    }

    fn land(&self, held: Option<Held>) {
        // Set once: by the run itself, or by its pilot's `Drop` when the run never came so far.
        let _ = self.landed.set(held);
        self.arrival.notify_waiters();
    }
}

/// Whoever holds it has to land the flight; dropping it does.
///
/// Single-flight stays alive by `Drop` and not by a flag: a runtime may end in the middle of a run, or be gone before
/// the run starts.
pub(crate) struct Pilot {
    runner: Arc<Runner>,
    cell: usize,
    flight: Arc<Flight>,
}

impl Pilot {
    pub(crate) fn new(runner: &Arc<Runner>, cell: usize, flight: &Arc<Flight>) -> Self {
        Self { runner: Arc::clone(runner), cell, flight: Arc::clone(flight) }
    }

    /// Runs the check and stores its verdict in the cell.
    pub(crate) async fn fly(self) {
        let cell = &self.runner.cells[self.cell];
        let _place = if cell.in_live { None } else { self.runner.places.acquire().await.ok() };
        let verdict = super::verdict::run(&cell.check, cell.timeout, &self.flight.findings, &*self.runner.clock).await;
        self.land(verdict);
    }

    fn land(&self, verdict: Verdict) {
        let held = self.runner.cells[self.cell].settle(verdict);
        self.runner.changed();
        self.flight.land(Some(held));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        if self.flight.landed.get().is_none() {
            self.runner.cells[self.cell].abandon(&self.flight);
            self.runner.lost_home(!std::thread::panicking());
            self.flight.land(None);
        }
    }
}
