//! The runtime on which runs and background tasks live.
//!
//! That is the runtime that was given, or else that of `build()`. If there is none, or when it has
//! ended, it is a runtime of the engine's own, which is started once. A reader never lends its
//! runtime.
//!
//! Everything is spawned by [`spawn`] as a [`Job`]. If its runtime ends, a job begins again on the
//! engine's own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::runner::Runner;

/// The time that a job waits before it begins again: a process that ends drops its runtime, too.
const MOVE: Duration = Duration::from_millis(100);

/// The number of threads of the engine's own runtime.
const WORKERS: usize = 2;

/// The runtimes of a `Health`.
#[derive(Debug, Default)]
pub(crate) struct Home {
    given: Option<Handle>,
    is_gone: AtomicBool,
    /// `true` once nothing begins any more.
    is_closed: AtomicBool,
    /// The number of jobs that have not ended.
    living: AtomicUsize,
    /// Notified when it closes, and when the last job has ended.
    changed: Notify,
    own: OnceLock<Option<Own>>,
}

/// The engine's own runtime. It may be dropped on one of its threads, so it ends without a wait.
#[derive(Debug)]
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Home {
    pub(crate) fn new(given: Option<Handle>) -> Self {
        Self {
            given,
            ..Self::default()
        }
    }

    /// Lets nothing begin any more, because the service has shut down or the last `Health` is gone.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) {
        self.until(|| self.is_closed()).await;
    }

    /// Waits until all jobs have ended.
    pub(crate) async fn empty(&self) {
        self.until(|| self.living.load(Ordering::SeqCst) == 0).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified(); // before the look, so that no change is missed
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    fn leave(&self) {
        if self.living.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.changed.notify_waiters();
        }
    }

    /// Returns the runtime for new jobs; `None` if the system has no thread left.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        let is_here = !self.is_gone.load(Ordering::Relaxed);
        match &self.given {
            Some(given) if is_here => Some(given.clone()),
            _ => self.own(),
        }
    }

    /// Returns the engine's own runtime, which is started by the first call.
    pub(crate) fn own(&self) -> Option<Handle> {
        let start = || {
            let mut builder = Builder::new_multi_thread();
            builder
                .worker_threads(WORKERS)
                .thread_name("health")
                .enable_all();
            let runtime = builder.build();
            let warn = |error| tracing::error!(target: "health_check", %error, "no runtime for health checks");
            runtime.map_err(warn).ok().map(|runtime| Own(Some(runtime)))
        };
        let own = self.own.get_or_init(start).as_ref()?;
        own.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

/// Something that lives as long as the service, or as a run.
pub(crate) trait Job: Send + Sync + Sized + 'static {
    fn runner(&self) -> &Arc<Runner>;

    /// Returns the runtime where the job begins.
    fn place(&self) -> Option<Handle> {
        self.runner().home.runtime()
    }

    fn work(&self) -> impl Future<Output = ()> + Send;

    /// Called if the job can't begin, or can't begin again.
    fn give_up(&self) {}
}

/// Owns a job until it has ended.
pub(crate) struct Living<J: Job> {
    job: Option<J>,
    has_ended: bool,
}

impl<J: Job> Living<J> {
    fn new(job: J) -> Self {
        job.runner().home.living.fetch_add(1, Ordering::SeqCst);
        Self::again(job)
    }

    fn again(job: J) -> Self {
        Self {
            job: Some(job),
            has_ended: false,
        }
    }

    async fn live(mut self) {
        if let Some(job) = &self.job {
            job.work().await;
        }
        self.has_ended = true;
    }
}

/// A job that is dropped before its end has lost its runtime.
impl<J: Job> Drop for Living<J> {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        let runner = Arc::clone(job.runner());
        let begins_again = !self.has_ended && !std::thread::panicking() && !runner.home.is_closed();
        if begins_again {
            runner.home.is_gone.store(true, Ordering::Relaxed);
            if let Some(own) = runner.home.own() {
                let living = Self::again(job);
                own.spawn(async move {
                    tokio::time::sleep(MOVE).await;
                    living.live().await;
                });
                return;
            }
        }
        if !self.has_ended {
            job.give_up();
        }
        drop(job);
        runner.home.leave();
    }
}

/// Begins a job.
pub(crate) fn spawn<J: Job>(job: J) {
    let place = job.place();
    let living = Living::new(job);
    if let Some(place) = place {
        place.spawn(living.live());
    }
}

/// Begins several jobs of one place within one task, which costs less. A job that does not end at
/// once continues in a task of its own, so that it delays no other.
pub(crate) fn spawn_together<J: Job>(jobs: Vec<J>) {
    let Some(place) = jobs.first().and_then(Job::place) else {
        return jobs.iter().for_each(Job::give_up);
    };
    let living: Vec<_> = jobs.into_iter().map(Living::new).collect();
    place.spawn(async move {
        for job in living {
            let mut work = Box::pin(job.live());
            if work.as_mut().now_or_never().is_none() {
                tokio::spawn(work);
            }
        }
    });
}
