use std::future::Future;
use std::sync::LazyLock;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// How many cleanups are under way in this process.
static PENDING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Undoes what an interrupted run of a check left behind: for the `Drop` of what a run holds.
///
/// The future becomes a task of the present runtime, which outlives the run.
/// [`Health::shutdown`](crate::Health::shutdown) waits for all of them, so that nothing is left on a server by a process
/// that ends. Bound the future by a timeout. Outside of a runtime it is dropped.
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

/// Waits until no cleanup is under way.
pub(crate) async fn finished() {
    let _ = PENDING.subscribe().wait_for(|pending| *pending == 0).await; // the sender is there for ever
}

/// Counts one while it is there, also when its task is dropped with the runtime.
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
