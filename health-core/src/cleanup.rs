use std::future::Future;
use std::sync::LazyLock;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// The number of cleanups that are running in this process.
static PENDING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Spawns a future that undoes what an interrupted run of a check left behind. Call it from the
/// `Drop` of a value that the run holds.
///
/// The future becomes a task of the current runtime, and outlives the run.
/// [`Health::shutdown`](crate::Health::shutdown) waits for all cleanups, so that a process that
/// ends leaves nothing on a server. Limit the future with a timeout. Outside of a runtime, the
/// future is dropped.
///
/// ```
/// struct Left(std::path::PathBuf);
///
/// impl Drop for Left {
///     fn drop(&mut self) {
///         let path = std::mem::take(&mut self.0);
///         health_core::cleanup(async move {
///             let _ = tokio::fs::remove_file(path).await;
///         });
///     }
/// }
/// ```
pub fn cleanup(future: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        let pending = Pending::new();
        runtime.spawn(async move {
            future.await;
            drop(pending);
        });
    }
}

/// Waits until no cleanup is running.
pub(crate) async fn finished() {
    let _ = PENDING.subscribe().wait_for(|pending| *pending == 0).await; // the sender is never dropped
}

/// Counts a cleanup until it has finished, or until its task is dropped with the runtime.
struct Pending;

impl Pending {
    fn new() -> Self {
        PENDING.send_modify(|pending| *pending += 1);
        Self
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.send_modify(|pending| *pending -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_are_waited_for() {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        cleanup(async move {
            let _ = ended.await;
        });
        let short = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(short, finished()).await.is_err());
        end.send(()).unwrap();
        finished().await;
    }
}
