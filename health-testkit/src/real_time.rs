use std::future::Future;
use std::io;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Runs a future on its own runtime, in real time, for a test whose time is paused.
///
/// A paused runtime moves its clock to the next timer whenever it is idle, and it does not know of
/// work in threads or other processes. A blocking check, a database or a server therefore times out
/// before it can answer. Build and read the health within the future instead:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// use health_core::{Health, check_blocking};
///
/// // in a #[tokio::test(start_paused = true)]
/// let report = health_testkit::in_real_time(async {
///     let health = Health::builder().check(check_blocking("disk", || Ok(()))).build().unwrap();
///     health.report().await
/// });
/// assert!(report.await.unwrap().healthy);
/// # });
/// ```
///
/// # Errors
/// Fails if no runtime can be created, or if the future panics.
pub async fn in_real_time<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("real time".into())
        .spawn(move || {
            let _ = sender.send(runtime.block_on(work)); // the receiver may be gone
        })?;
    receiver.await.map_err(|_| io::Error::other("it panicked"))
}
