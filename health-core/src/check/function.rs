use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::{Blocking, HealthCheck};
use crate::{Findings, Result};

/// Creates a check from an async closure.
///
/// ```
/// use health_core::{CheckExt, check_fn};
/// let licence = check_fn("licence", || async { Ok(()) }).non_critical();
/// # let _ = licence;
/// ```
pub fn check_fn<F, Fut>(
    name: impl Into<Cow<'static, str>>,
    check: F,
) -> impl HealthCheck + fmt::Debug
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result> + Send + 'static,
{
    check_fn_with(name, move |_| check())
}

/// Creates a check from an async closure that gets the [`Findings`], to report several errors or
/// measured values.
pub fn check_fn_with<F, Fut>(
    name: impl Into<Cow<'static, str>>,
    check: F,
) -> impl HealthCheck + fmt::Debug
where
    F: Fn(Findings) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result> + Send + 'static,
{
    Function {
        name: name.into(),
        check,
    }
}

/// Creates a check from a closure that blocks: for file systems, C libraries, synchronous clients,
/// long computations.
///
/// The closure runs on its own thread, which no runtime waits for at shutdown. A timeout ends the
/// wait, not the thread. While the thread is still busy, the check is not started again, and its
/// row says since when it has been running. If Tokio's time is paused, a timeout is over before a
/// thread can answer: use `health_testkit::in_real_time`.
///
/// ```
/// use health_core::{ResultExt, check_blocking};
/// let spool = check_blocking("spool", || {
///     std::fs::metadata("/var/spool")
///         .map(drop)
///         .or_unavailable("no spool folder")
/// });
/// # let _ = spool;
/// ```
pub fn check_blocking<F>(
    name: impl Into<Cow<'static, str>>,
    check: F,
) -> impl HealthCheck + fmt::Debug
where
    F: Fn() -> Result + Send + Sync + 'static,
{
    let thread = Arc::new(Blocking::default());
    let check = Arc::new(check);
    check_fn(name, move || {
        let thread = Arc::clone(&thread);
        let check = Arc::clone(&check);
        async move { thread.run(move || check()).await }
    })
}

struct Function<F> {
    name: Cow<'static, str>,
    check: F,
}

impl<F, Fut> HealthCheck for Function<F>
where
    F: Fn(Findings) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result> + Send + 'static,
{
    fn check_status(&self, findings: &Findings) -> impl Future<Output = Result> + Send {
        (self.check)(findings.clone())
    }

    fn identifier(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.name).finish()
    }
}
