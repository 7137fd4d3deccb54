use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::source::Report;
use super::{ReportedCheck, Source};

/// Watches a task that must not end. Returns the check for the builder, and the future to spawn in
/// place of the given one, on any runtime.
///
/// The check works from the first poll on. When the future returns, panics or is dropped, the check
/// is `unavailable: the task has ended`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use health_core::{Health, watch_task};
///
/// let (check, consumer) = watch_task("consumer", async { /* a loop, or so it was meant */ });
/// let health = Health::builder().check(check).build()?;
/// tokio::spawn(consumer).await.unwrap();
/// let report = health.report().await;
/// assert_eq!(report.checks[0].pretty_status(), "unavailable: the task has ended");
/// # Ok::<(), health_core::BuildError>(())
/// # }).unwrap();
/// ```
pub fn watch_task<F: Future>(
    name: impl Into<Cow<'static, str>>,
    task: F,
) -> (ReportedCheck, WatchedTask<F>) {
    let source = Arc::new(Source::new("report", None));
    let check = ReportedCheck::new(name.into(), &source);
    (
        check,
        WatchedTask {
            task: Box::pin(task),
            watch: Watch {
                source,
                is_running: false,
            },
        },
    )
}

/// A future that reports its end: see [`watch_task`].
#[must_use = "a future does nothing until it is polled"]
pub struct WatchedTask<F> {
    task: Pin<Box<F>>,
    watch: Watch,
}

impl<F: Future> Future for WatchedTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.watch.start();
        let polled = self.task.as_mut().poll(context);
        if polled.is_ready() {
            self.watch.end();
        }
        polled
    }
}

impl<F> fmt::Debug for WatchedTask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedTask").finish_non_exhaustive()
    }
}

/// Reports the end of a task, even if a panic drops it.
struct Watch {
    source: Arc<Source>,
    is_running: bool,
}

impl Watch {
    fn start(&mut self) {
        if !self.is_running {
            self.is_running = true;
            self.source.report(Report::working());
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_running) {
            self.source.task_ended(true);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_running {
            self.end();
        } else if self.source.present().is_none() {
            self.source.task_ended(true); // it was never polled
        }
    }
}
