//! A shared check of this process: its machine, and what is needed to drive it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use health_core::{CheckInfo, Clock, Shown, Verdict};

use super::machine::{Machine, Sharing};
use super::member::{Member, SHORTEST};
use super::message::{Entry, Publication, Wanted};

/// The time within which a failure of the fleet is confirmed where no group holds it.
const CONFIRM: Duration = Duration::from_secs(10);

/// The jump of the date that is taken for a suspend of the machine.
const SUSPEND: Duration = Duration::from_secs(2);

/// A shared check of this process.
pub(super) struct Seat {
    pub(super) timeout: Duration,
    ttl: Duration,
    clock: Arc<dyn Clock>,
    machine: Mutex<Machine>,
    /// The last time by the two clocks. Only the date goes on while the machine is suspended.
    awake: Mutex<(Instant, SystemTime)>,
    has_stopped: AtomicBool,
}

impl Seat {
    pub(super) fn new(member: &Member, key: &str, info: &CheckInfo) -> Self {
        let clock = info.clock();
        let own = member.own.max(info.ttl);
        let sharing = Sharing {
            id: format!("{}#{key}", info.identifier),
            me: Arc::clone(&member.me),
            ttl: info.ttl,
            timeout: info.timeout,
            own,
            confirm: info.hold.map_or(CONFIRM, |hold| hold / 3).min(own),
        };
        Self {
            timeout: info.timeout,
            ttl: info.ttl,
            awake: Mutex::new((clock.now(), clock.time())),
            clock,
            machine: Mutex::new(Machine::new(sharing)),
            has_stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Forgets everything if the machine was suspended since the last call.
    pub(super) fn wake(&self) {
        let now = (self.clock.now(), self.clock.time());
        let mut last = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        let by_clock = now.0.saturating_duration_since(last.0);
        let by_date = now.1.duration_since(last.1).unwrap_or_default();
        *last = now;
        if by_date > by_clock.saturating_add(SUSPEND) {
            self.lock().resume();
        }
    }

    pub(super) fn has_own(&self) -> bool {
        self.lock().has_own()
    }

    pub(super) fn is_due(&self) -> bool {
        self.lock().is_due(self.clock.now())
    }

    pub(super) fn probed(&self, verdict: Verdict) {
        self.lock().probed(&Arc::new(verdict), fastrand::f64());
    }

    pub(super) fn has_news(&self) -> bool {
        self.lock().has_news()
    }

    /// Returns what the row shows, until `tick` or the next own probe.
    pub(super) fn shown(&self, tick: Instant) -> Option<Shown> {
        let now = self.clock.now();
        let mut machine = self.lock();
        let showing = machine.show(now)?;
        let next = machine.next().map_or(tick, |own| own.min(tick));
        let next = next.max(now.checked_add(SHORTEST).unwrap_or(now));
        let shown = Shown::new(showing.verdict, next).evidence(showing.evidence);
        Some(match showing.origin {
            Some(origin) => shown.origin(origin),
            None => shown,
        })
    }

    pub(super) fn wanted(&self) -> Wanted {
        self.lock().wanted()
    }

    pub(super) fn publication(&self, now: Instant) -> Option<Publication> {
        self.lock().publication(now)
    }

    pub(super) fn read(&self, entry: Entry, asked: Instant, now: (Instant, SystemTime)) {
        self.lock().read(entry, asked, now, fastrand::f64());
    }

    pub(super) fn lose(&self, now: Instant) {
        self.lock().lose(now, fastrand::f64());
    }

    pub(super) fn stop(&self) {
        self.has_stopped.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.has_stopped.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
