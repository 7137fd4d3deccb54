//! Shuts down the health at the end of the process: aborts its runs, and undoes what they have
//! begun on a server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use health_core::Health;

/// The maximum duration of the shutdown. It is below the time after which an interrupted process
/// exits in any case.
const LIMIT: Duration = Duration::from_millis(900);

/// The health of this process.
static HEALTH: Mutex<Option<Health>> = Mutex::new(None);

/// Stores the health that `end` shuts down. An interrupted command is dropped, so it cannot do that
/// itself.
pub(crate) fn remember(health: &Health) {
    *HEALTH.lock().unwrap_or_else(PoisonError::into_inner) = Some(health.clone());
}

/// Shuts down the stored health, if any.
pub(crate) async fn end() {
    let health = HEALTH.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(health) = health {
        health.shutdown(LIMIT).await;
    }
}
