//! The life of a service: it drains, and comes back, and ends.

use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::time::sleep_until;

use crate::Health;
use crate::engine::group::Service;
use crate::sync::{Mutex, lock};

/// The drain of a service, and its end. All of it changes under one lock.
#[derive(Debug, Default)]
pub(crate) struct Life(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    drain: Option<Drain>,
    /// The number of drains that have begun.
    drains: u64,
    /// `true` once the drain can't be taken back.
    is_final: bool,
    /// `true` once responses without an end of their own have to end.
    is_over: bool,
    /// The time of the shutdown, at which all verdicts stay as they are.
    stopped: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Drain {
    /// The time when the drain began, for people.
    since: SystemTime,
    /// The time from which groups fail.
    fails_at: Instant,
    /// The time at which responses without an end of their own end; `None` if that is later than
    /// any time.
    stops_at: Option<tokio::time::Instant>,
}

/// The time at which a response without an end of its own ends.
enum End {
    Now,
    At(tokio::time::Instant),
    /// Nothing ends it so far.
    Open,
}

impl Life {
    /// Begins a drain, unless there is one. Returns `true` if there was none.
    fn begin(&self, drain: Drain, is_final: bool) -> bool {
        let mut state = lock(&self.0);
        state.is_final |= is_final;
        if state.drain.is_some() {
            return false;
        }
        state.drain = Some(drain);
        state.drains += 1;
        true
    }

    /// Takes the drain back. Returns `None` if that is too late, and otherwise `Some` with `true`
    /// if there was one.
    fn take_back(&self) -> Option<bool> {
        let mut state = lock(&self.0);
        (!state.is_final).then(|| state.drain.take().is_some())
    }

    fn end(&self) {
        lock(&self.0).is_over = true;
    }

    /// Stops the service for ever. Returns `false` if it was stopped before.
    fn stop(&self, now: Instant) -> bool {
        let mut state = lock(&self.0);
        (state.is_final, state.is_over) = (true, true);
        let was_stopped = state.stopped.is_some();
        state.stopped.get_or_insert(now);
        !was_stopped
    }

    /// Returns the time of the shutdown.
    pub(crate) fn stopped(&self) -> Option<Instant> {
        lock(&self.0).stopped
    }

    pub(crate) fn service(&self) -> Service {
        let state = lock(&self.0);
        Service {
            drains_at: state.drain.map(|drain| drain.fails_at),
            is_stopped: state.stopped.is_some(),
        }
    }

    fn drains(&self) -> u64 {
        lock(&self.0).drains
    }

    /// Returns the end of a response that began after this number of drains. Only a later drain
    /// ends it.
    fn end_after(&self, drains: u64) -> End {
        let state = lock(&self.0);
        let drain = state.drain.filter(|_| state.drains > drains);
        match drain.and_then(|drain| drain.stops_at) {
            _ if state.is_over => End::Now,
            Some(at) if at <= tokio::time::Instant::now() => End::Now,
            Some(at) => End::At(at),
            None => End::Open,
        }
    }
}

impl Health {
    /// Begins to drain, because the process is about to end or should get no new requests. From now
    /// on `ready`, the report of all checks and the declared groups fail, unless
    /// [`GroupSettings::drains`](crate::GroupSettings::drains) excludes one. `live` and `startup`
    /// do not change. With [`Settings::drain_ready_after`](crate::Settings::drain_ready_after), they
    /// fail that much later.
    pub fn drain(&self) {
        self.begin_drain(false);
    }

    /// Ends a [`drain`](Self::drain), for a service that was taken out of its balancer only for a
    /// while. Returns `false` if the service still drains, because it has received SIGTERM or has
    /// shut down.
    pub fn undrain(&self) -> bool {
        let Some(was_draining) = self.0.runner.life.take_back() else {
            return false;
        };
        if was_draining {
            self.0.runner.changed();
            self.0.runner.notify_drain(false);
        }
        true
    }

    /// Returns `true` while the service drains (see [`drain`](Self::drain)), and once it has shut
    /// down.
    pub fn is_draining(&self) -> bool {
        self.0.runner.life.service().is_ending()
    }

    /// Returns a future that completes when a response without an end of its own should end, so
    /// that it does not hold the shutdown of a server:
    /// [`Settings::drain_delay`](crate::Settings::drain_delay) after the next
    /// [`drain`](Self::drain) began, when [`drain_on_sigterm`](Self::drain_on_sigterm) completes,
    /// at the [`shutdown`](Self::shutdown), and when the last `Health` is dropped.
    ///
    /// A drain that has begun before the call does not end the response, so that a client that
    /// connects again is not sent away at once. An [`undrain`](Self::undrain) before the delay is
    /// over is as if there had been no drain.
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
        let drains = self.0.runner.life.drains();
        async move {
            loop {
                let woken = wake.notified(); // before the look, so that nothing is missed
                let end = inner
                    .upgrade()
                    .map(|inner| inner.runner.life.end_after(drains));
                match end {
                    None | Some(End::Now) => return,
                    Some(End::At(at)) => tokio::select! {
                        () = sleep_until(at) => {}
                        () = woken => {}
                    },
                    Some(End::Open) => woken.await,
                }
            }
        }
    }

    /// Begins a drain that `undrain` does not end.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        self.begin_drain(true);
    }

    /// Ends [`stops`](Self::stops), because the process is about to end.
    pub(crate) fn stop(&self) {
        self.0.runner.life.end();
        self.0.runner.wake().notify_waiters();
    }

    /// Stops the service for ever: verdicts stay as they are, and the groups that can drain fail.
    pub(crate) fn stop_for_ever(&self) {
        let runner = &self.0.runner;
        if runner.life.stop(self.clock().now()) {
            runner.changed();
            runner.wake().notify_waiters();
        }
    }

    pub(crate) fn draining_since(&self) -> Option<SystemTime> {
        lock(&self.0.runner.life.0).drain.map(|drain| drain.since)
    }

    fn begin_drain(&self, is_final: bool) {
        let settings = self.settings();
        let now = self.clock().now();
        let fails_at = now.checked_add(settings.drain_ready_after);
        let drain = Drain {
            since: self.clock().time(),
            fails_at: fails_at.unwrap_or(now),
            stops_at: tokio::time::Instant::now().checked_add(settings.drain_delay),
        };
        if self.0.runner.life.begin(drain, is_final) {
            self.0.runner.changed();
            self.0.runner.notify_drain(true);
        }
    }
}
