use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use tracing::Instrument as _;

use crate::{ErrorReport, Result, Scope, Status};

/// The future of a check within one run.
pub type RunFuture<'a> = Pin<Box<dyn Future<Output = Result> + Send + 'a>>;

/// Wraps every run of every check: for spans, task-local values, metrics, audit logs.
///
/// The engine has interceptors of its own. One puts each run into a `tracing` span named
/// `health_check` of level DEBUG with the field `check`, so that everything that a client logs during a run is
/// logged within the span. With the feature `metrics`, another one counts the runs.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use health_core::{FinishedRun, Health, Interceptor, RunFuture, RunInfo, check_fn};
///
/// tokio::task_local! { static CHECK: String; }
///
/// struct Named;
///
/// impl Interceptor for Named {
///     fn around<'a>(&'a self, info: RunInfo<'a>, run: RunFuture<'a>) -> RunFuture<'a> {
///         Box::pin(CHECK.scope(info.check.to_owned(), run))
///     }
///
///     fn finished(&self, info: RunInfo<'_>, run: FinishedRun<'_>) {
///         println!("{} took {:?}", info.check, run.duration);
///     }
/// }
///
/// let queue = check_fn("queue", || async {
///     assert_eq!(CHECK.get(), "queue");
///     Ok(())
/// });
/// let health = Health::builder().check(queue).interceptor(Named).build()?;
/// assert!(health.report().await.healthy);
/// # Ok::<(), health_core::BuildError>(())
/// # }).unwrap();
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Wraps the future of a run. The timeout of the check includes the time of the wrapper. If the
    /// wrapper times out it is dropped, and if it panics the panic is caught, as for the check
    /// itself. *Default*: returns the future as it is.
    fn around<'a>(&'a self, info: RunInfo<'a>, run: RunFuture<'a>) -> RunFuture<'a> {
        let _ = info;
        run
    }

    /// Called when a run has ended, even by a timeout or a panic. It must not block. *Default*:
    /// does nothing.
    fn finished(&self, info: RunInfo<'_>, run: FinishedRun<'_>) {
        let _ = (info, run);
    }
}

/// The check of a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunInfo<'a> {
    /// The identifier of the check.
    pub check: &'a str,
    /// The scope of the check.
    pub scope: Scope,
    /// `true` if errors of the check make the service unhealthy.
    pub critical: bool,
}

/// The result of a run, before the thresholds of the check are applied.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FinishedRun<'a> {
    /// The status of the run.
    pub status: Status,
    /// The duration of the run.
    pub duration: Duration,
    /// The errors of the run.
    pub errors: &'a [ErrorReport],
}

/// The interceptors of a `Health`; the first one is the outermost.
pub(crate) struct Interceptors(pub(crate) Vec<Box<dyn Interceptor>>);

impl Default for Interceptors {
    fn default() -> Self {
        let mut all: Vec<Box<dyn Interceptor>> = vec![Box::new(Spans)];
        #[cfg(feature = "metrics")]
        all.push(Box::new(crate::metrics::Metrics));
        all.shrink_to_fit();
        Self(all)
    }
}

impl Interceptors {
    pub(crate) fn around<'a>(&'a self, info: RunInfo<'a>, run: RunFuture<'a>) -> RunFuture<'a> {
        self.0
            .iter()
            .rev()
            .fold(run, |run, interceptor| interceptor.around(info, run))
    }

    pub(crate) fn finished(&self, info: RunInfo<'_>, run: FinishedRun<'_>) {
        for interceptor in &self.0 {
            if catch_unwind(AssertUnwindSafe(|| interceptor.finished(info, run))).is_err() {
                tracing::error!(check = info.check, "an interceptor panicked");
            }
        }
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interceptors", self.0.len())
    }
}

/// Puts each run into a span.
struct Spans;

impl Interceptor for Spans {
    fn around<'a>(&'a self, info: RunInfo<'a>, run: RunFuture<'a>) -> RunFuture<'a> {
        let span = tracing::debug_span!(target: "health_check", "health_check", check = info.check);
        if span.is_disabled() {
            run
        } else {
            Box::pin(run.instrument(span))
        }
    }
}
