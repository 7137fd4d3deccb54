//! The end of the process: runs that are under way are dropped, and what they had begun on a server is undone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use health_core::Health;

/// How long that may take; below the time after which an interrupted process ends in any case.
const LIMIT: Duration = Duration::from_millis(900);

/// The health of this process.
static HEALTH: Mutex<Option<Health>> = Mutex::new(None);

/// Remembers the health that has to be shut down, for a command that is interrupted is dropped where it stands.
pub(crate) fn remember(health: &Health) {
    *HEALTH.lock().unwrap_or_else(PoisonError::into_inner) = Some(health.clone());
}

pub(crate) async fn end() {
    let health = HEALTH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(health) = health {
        health.shutdown(LIMIT).await;
    }
}
