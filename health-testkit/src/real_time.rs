use std::future::Future;
use std::io;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Runs this on a runtime of its own, in real time, for a test whose own time is paused.
///
/// A paused runtime moves its clock to the next timer whenever it has nothing else to do. What a thread or another process does is
/// nothing to it: a blocking check, a database or a server has timed out before it could answer. So the health is built and
/// read in here:
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
/// Fails if no runtime can be made, or if the future panics.
pub async fn in_real_time<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("real time".into()).spawn(move || {
        let _ = sender.send(runtime.block_on(work)); // nobody waits any more, perhaps
    })?;
    receiver.await.map_err(|_| io::Error::other("it panicked"))
}
