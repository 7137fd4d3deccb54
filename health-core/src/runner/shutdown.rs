use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The request to end all runs.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    is_requested: AtomicBool,
    notify: Notify,
}

impl Shutdown {
    pub(crate) fn request(&self) {
        self.is_requested.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::SeqCst)
    }

    pub(crate) async fn requested(&self) {
        let notified = self.notify.notified(); // before the flag is read, so that no request is missed
        if !self.is_requested() {
            notified.await;
        }
    }
}
