//! The locks of the engine. In unit tests they are those of shuttle, which tries out different
//! schedules.

use std::sync::PoisonError;

#[cfg(test)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(test)]
pub(crate) use shuttle::sync::atomic::AtomicU64;
#[cfg(not(test))]
pub(crate) use std::sync::atomic::AtomicU64;

/// Locks a mutex, even if it is poisoned: no panic leaves its data in an invalid state.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(not(test))]
pub(crate) use tokio::sync::Notify;

/// Tokio's `Notify` with a scheduling point before each call, because shuttle controls only its own
/// types.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Notify(tokio::sync::Notify);

#[cfg(test)]
impl Notify {
    pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        shuttle::thread::yield_now();
        self.0.notified()
    }

    pub(crate) fn notify_waiters(&self) {
        shuttle::thread::yield_now();
        self.0.notify_waiters();
    }
}
