use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::{Result, ResultExt as _, ServiceUnavailable, UnknownError};

/// Runs the blocking code of one check, on one thread at a time.
///
/// It does not use the runtime's pool of blocking threads, because the application shares that pool
/// and a runtime waits for it at shutdown. While a call is stuck, a second one is refused with
/// `unavailable: still running since ...`, so that threads never pile up behind a hung file system.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use health_core::Blocking;
/// let disk = Blocking::default();
/// assert_eq!(disk.run(|| Ok(6 * 7)).await.unwrap(), 42);
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Blocking(Arc<Mutex<Option<SystemTime>>>);

impl Blocking {
    /// Runs the closure on its own thread, and returns its result.
    ///
    /// If the returned future is dropped, the closure still runs to its end, including its cleanup.
    ///
    /// # Errors
    /// Returns the error of the closure. Fails with `unknown error` if the closure panics, and with
    /// `unavailable` while an earlier call is still running or if the system has no thread left.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let guard = CallGuard::take(&self.0)?;
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(call));
            drop(guard); // before the result is sent, so that the next run finds the thread free
            // The receiver may be gone; then the result is not needed.
            let _ = sender
                .send(outcome.unwrap_or_else(|panic| Err(UnknownError::panicked(&*panic).into())));
        };
        std::thread::Builder::new()
            .name("health-check".into())
            .spawn(work)
            .or_unavailable("no thread left to run the check on")?;
        receiver.await.or_unknown()?
    }
}

/// Marks a call as running until it is dropped.
struct CallGuard(Arc<Mutex<Option<SystemTime>>>);

impl CallGuard {
    fn take(running: &Arc<Mutex<Option<SystemTime>>>) -> Result<Self> {
        let mut since = running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = *since {
            let since = humantime::format_rfc3339_seconds(since);
            return Err(ServiceUnavailable::new(format!("still running since {since}")).into());
        }
        *since = Some(SystemTime::now());
        Ok(Self(Arc::clone(running)))
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
