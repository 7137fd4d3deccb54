use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::time::{Instant, sleep_until};

use crate::Health;
use crate::health::Inner;

/// The times of a drain.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// The time when the service began to drain, for people.
    since: Option<SystemTime>,
    /// The time at which it stops serving.
    stops_at: Option<Instant>,
}

impl Health {
    /// Begins to drain, because the process is about to end or should get no new requests. From now
    /// on `ready`, the report of all checks and the declared groups fail, unless
    /// [`GroupSettings::drains`](crate::GroupSettings::drains) excludes one. `live` and `startup`
    /// do not change.
    pub fn drain(&self) {
        self.note_drain();
        self.0.runner.drain(true);
    }

    /// Ends a [`drain`](Self::drain), for a service that was taken out of its balancer only for a
    /// while. Returns `false` if the service still drains, because it has received SIGTERM.
    pub fn undrain(&self) -> bool {
        let is_back = self.0.runner.drain(false);
        if is_back {
            *self.0.drain() = Drain::default();
        }
        is_back
    }

    /// Returns `true` while the service drains: see [`drain`](Self::drain).
    pub fn is_draining(&self) -> bool {
        self.0.runner.is_draining()
    }

    /// Returns a future that completes when responses without an end of their own should end, so
    /// that they do not hold the shutdown of a server:
    /// [`Settings::drain_delay`](crate::Settings::drain_delay) after a [`drain`](Self::drain)
    /// began, when [`drain_on_sigterm`](Self::drain_on_sigterm) completes, and when the last
    /// `Health` is dropped. An [`undrain`](Self::undrain) before that is as if there had been no
    /// drain.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    ///
    /// use health_core::{Health, Settings};
    ///
    /// let settings = Settings::default().drain_delay(Duration::from_millis(10));
    /// let health = Health::builder().settings(settings).build()?;
    /// let stops = health.stops(); // it does not keep the health alive
    /// health.drain();
    /// stops.await;
    /// # Ok::<(), health_core::BuildError>(())
    /// # }).unwrap();
    /// ```
    pub fn stops(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = Arc::downgrade(&self.0);
        let wake = self.0.runner.wake();
        async move {
            loop {
                let woken = wake.notified(); // before the look, so that nothing is missed
                let Some(stops_at) = inner.upgrade().map(|inner| inner.drain().stops_at) else {
                    return;
                };
                match stops_at {
                    Some(at) if at <= Instant::now() => return,
                    Some(at) => tokio::select! {
                        () = sleep_until(at) => {}
                        () = woken => {}
                    },
                    None => woken.await,
                }
            }
        }
    }

    /// Begins a drain that `undrain` does not end.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        self.note_drain();
        self.0.runner.terminate();
    }

    /// Ends [`stops`](Self::stops), because the process is about to end.
    pub(crate) fn stop(&self) {
        self.0.drain().stops_at = Some(Instant::now());
        self.0.runner.wake().notify_waiters();
    }

    pub(crate) fn draining_since(&self) -> Option<SystemTime> {
        self.0.drain().since
    }

    fn note_drain(&self) {
        let delay = self.settings().drain_delay;
        let mut drain = self.0.drain();
        if drain.since.is_none() {
            drain.since = Some(self.clock().time());
            drain.stops_at = drain.stops_at.or_else(|| Instant::now().checked_add(delay));
        }
    }
}

impl Inner {
    fn drain(&self) -> MutexGuard<'_, Drain> {
        self.drain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
