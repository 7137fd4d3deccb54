//! This process as a member of its fleet: one exchange for all of its shared checks.
//!
//! ```text
//!   Joining ──► Reached ◄──► Away
//!      └──────────────────────┘
//! ```
//!
//! In `Reached`, the first shared check that runs in a tick sends the exchange, and the others
//! await it. In `Joining` and `Away`, a background task tries to reach Redis, and no run waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use health_core::{Clock, FailureKind, HealthCheckException, Result, ServiceUnavailable};
use tokio::task::AbortHandle;

use super::message::{Answer, Exchange};
use super::redis::Link;
use super::seat::Seat;

/// The longest that a run waits for Redis.
pub(super) const LIMIT: Duration = Duration::from_millis(300);

/// The timeout for reaching Redis beside the runs, which may need a new connection.
const OPEN: Duration = Duration::from_secs(5);

/// The bounds of the time between two exchanges. The fleet forgets a replica after fifteen seconds.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The time until Redis is tried again: one to ten seconds, at random.
const RETRY: std::ops::Range<f64> = 1.0..10.0;

/// This process as a member of its fleet.
pub(super) struct Member {
    pub(super) name: String,
    /// The name of this process within the fleet.
    pub(super) me: Arc<str>,
    /// The interval of a replica's own probes.
    pub(super) own: Duration,
    link: Link,
    clock: OnceLock<Arc<dyn Clock>>,
    /// `true` if nothing is shared after all.
    is_off: AtomicBool,
    /// Held by the exchange that is under way.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The checks that this process shares.
    seats: Vec<Weak<Seat>>,
    reach: Reach,
    /// The number of replicas at the last exchange.
    replicas: u32,
    errors: u64,
    last: Option<Instant>,
    /// The time between two exchanges.
    pause: Duration,
    /// The time of the next exchange.
    tick: Option<Instant>,
    /// The task that tries to reach Redis.
    attempts: Option<AbortHandle>,
}

#[derive(Debug, Clone, PartialEq, Default)]
enum Reach {
    #[default]
    Joining,
    Reached,
    Away {
        message: String,
        kind: FailureKind,
    },
}

/// The state of the membership, for the row of the fleet.
pub(super) struct Membership {
    pub(super) replicas: u32,
    pub(super) errors: u64,
    /// The time since the last exchange.
    pub(super) age: Option<Duration>,
    /// The reason why Redis can't be reached.
    pub(super) trouble: Option<(String, FailureKind)>,
}

impl Member {
    pub(super) fn new(name: &str, host: &str, own: Duration, link: Link) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let host: String = host.chars().filter(|c| plain(*c)).take(100).collect();
        Self {
            name: name.to_owned(),
            me: format!("{host}-{:016x}", fastrand::u64(..)).into(),
            own,
            link,
            clock: OnceLock::new(),
            is_off: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// Switches sharing off: every check runs as if it were not wrapped.
    #[cfg(feature = "config")]
    pub(super) fn switch_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }

    /// Sets the clock, which is that of the first `Health`.
    pub(super) fn set_clock(&self, clock: Arc<dyn Clock>) {
        let _ = self.clock.set(clock);
    }

    pub(super) fn now(&self) -> (Instant, SystemTime) {
        self.clock.get().map_or_else(
            || (Instant::now(), SystemTime::now()),
            |clock| (clock.now(), clock.time()),
        )
    }

    /// Adds a check that this process shares.
    pub(super) fn add(&self, seat: &Arc<Seat>) {
        let mut state = self.lock();
        state.seats.retain(|seat| seat.strong_count() > 0);
        state.seats.push(Arc::downgrade(seat));
        let seats = state.seats.iter().filter_map(Weak::upgrade);
        let shortest = seats.map(|seat| seat.ttl()).min();
        state.pause = shortest.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
    }

    /// Returns what the row of the fleet shows.
    pub(super) fn membership(&self) -> Membership {
        let (now, _) = self.now();
        let state = self.lock();
        Membership {
            replicas: state.replicas,
            errors: state.errors,
            age: state.last.map(|last| now.saturating_duration_since(last)),
            trouble: match &state.reach {
                Reach::Away { message, kind } => Some((message.clone(), *kind)),
                _ => None,
            },
        }
    }

    /// Exchanges verdicts if that is due, or waits for the exchange that is under way. Returns
    /// after [`LIMIT`] at the latest.
    pub(super) async fn tick(&self) {
        self.exchange_if(|| self.is_due()).await;
    }

    /// Tells the fleet a failure that it does not know, unless another check has sent it meanwhile.
    pub(super) async fn tell(&self, seat: &Seat) {
        self.exchange_if(|| seat.has_news()).await;
    }

    /// Returns the time of the next exchange. Without one, shared checks look at their verdicts as
    /// often.
    pub(super) fn next(&self) -> Instant {
        let (now, _) = self.now();
        let mut state = self.lock();
        match state.tick {
            Some(tick) if tick > now || state.reach == Reach::Reached => tick,
            last => {
                // The first one is at a random time, so that replicas do not exchange all at once.
                let drawn = last.map_or_else(fastrand::f64, |_| 1.0);
                let tick = now.checked_add(state.pause.mul_f64(drawn)).unwrap_or(now);
                *state.tick.insert(tick)
            }
        }
    }

    fn is_due(&self) -> bool {
        let (now, _) = self.now();
        let state = self.lock();
        state.reach == Reach::Reached && state.tick.is_none_or(|tick| tick <= now)
    }

    async fn exchange_if(&self, is_needed: impl Fn() -> bool + Send) {
        if !is_needed() {
            return;
        }
        let until = tokio::time::Instant::now() + LIMIT;
        let Ok(_turn) = tokio::time::timeout_at(until, self.turn.lock()).await else {
            return;
        };
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if left > LIMIT / 2 && is_needed() {
            self.exchange_within(left).await;
        }
    }

    /// Exchanges verdicts once. Returns `false` if the fleet does not answer.
    async fn exchange_within(&self, limit: Duration) -> bool {
        let (asked, _) = self.now();
        let seats = self.seats();
        let exchange = self.message(&seats, asked, false);
        match self.ask(&exchange, limit).await {
            Ok(answer) => self.take(&seats, answer, asked),
            Err(error) => self.lose(&seats, &error),
        }
    }

    fn message(&self, seats: &[Arc<Seat>], now: Instant, leaves: bool) -> Exchange {
        Exchange {
            me: self.me.to_string(),
            leaves,
            publications: seats
                .iter()
                .filter_map(|seat| seat.publication(now))
                .collect(),
            wanted: seats.iter().map(|seat| seat.wanted()).collect(),
        }
    }

    async fn ask(&self, exchange: &Exchange, limit: Duration) -> Result<Answer> {
        let answer = tokio::time::timeout(limit, self.link.exchange(exchange)).await;
        answer.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", limit.as_secs_f64());
            let error = ServiceUnavailable::new(message).with_kind(FailureKind::TimedOut);
            Err(error.into())
        })
    }

    fn take(&self, seats: &[Arc<Seat>], answer: Answer, asked: Instant) -> bool {
        let now = self.now();
        for (seat, entry) in seats.iter().zip(answer.entries) {
            seat.read(entry, asked, now);
        }
        let mut state = self.lock();
        state.replicas = answer.replicas;
        state.last = Some(now.0);
        state.tick = asked.checked_add(state.pause);
        if let Reach::Away { .. } = std::mem::replace(&mut state.reach, Reach::Reached) {
            tracing::info!(target: "health_check", fleet = self.name, "the fleet can be reached again");
        }
        true
    }

    fn lose(&self, seats: &[Arc<Seat>], error: &HealthCheckException) -> bool {
        let (now, _) = self.now();
        for seat in seats {
            seat.lose(now);
        }
        let mut state = self.lock();
        state.errors += 1;
        let away = Reach::Away {
            message: error.message().to_owned(),
            kind: error.kind(),
        };
        if !matches!(
            std::mem::replace(&mut state.reach, away),
            Reach::Away { .. }
        ) {
            let cause = error.cause();
            tracing::warn!(
                target: "health_check", fleet = self.name, %error, cause,
                "the fleet can't be reached: this replica probes for itself"
            );
        }
        false
    }

    /// Starts to reach Redis beside the runs, unless it is reached or that is under way.
    pub(super) fn reach(self: &Arc<Self>) {
        let mut state = self.lock();
        let is_trying = state
            .attempts
            .as_ref()
            .is_some_and(|task| !task.is_finished());
        if state.reach == Reach::Reached || is_trying {
            return;
        }
        let first = match state.reach {
            Reach::Joining => state.pause.mul_f64(fastrand::f64()),
            _ => pause_of_retry(),
        };
        let attempts = tokio::spawn(attempt(Arc::downgrade(self), first));
        state.attempts = Some(attempts.abort_handle());
    }

    /// Tries to reach Redis. The first exchange opens a connection, and the second one has to be
    /// as fast as those within runs.
    async fn try_to_reach(&self) -> bool {
        let _turn = self.turn.lock().await;
        let seats = self.seats();
        let hello = Exchange {
            me: self.me.to_string(),
            ..Exchange::default()
        };
        match self.ask(&hello, OPEN).await {
            Ok(_) => self.exchange_within(LIMIT).await,
            Err(error) => self.lose(&seats, &error),
        }
    }

    /// Leaves the fleet once all checks of this process have stopped, so that its leases need not
    /// expire.
    pub(super) async fn leave(&self) {
        let seats = self.seats();
        if !seats.iter().all(|seat| seat.has_stopped()) {
            return;
        }
        let was_reached = {
            let mut state = self.lock();
            state.seats.clear();
            if let Some(attempts) = state.attempts.take() {
                attempts.abort();
            }
            std::mem::take(&mut state.reach) == Reach::Reached
        };
        if was_reached {
            let (now, _) = self.now();
            let message = self.message(&seats, now, true);
            let _ = self.ask(&message, LIMIT).await; // if this fails, the leases expire
        }
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.lock().seats.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(attempts) = &self.lock().attempts {
            attempts.abort();
        }
    }
}

/// Tries to reach Redis until it answers, or nothing is shared any more.
async fn attempt(member: Weak<Member>, first: Duration) {
    tokio::time::sleep(first).await;
    loop {
        let Some(member) = member.upgrade() else {
            return;
        };
        if member.seats().is_empty() || member.try_to_reach().await {
            return;
        }
        drop(member);
        tokio::time::sleep(pause_of_retry()).await;
    }
}

fn pause_of_retry() -> Duration {
    Duration::from_secs_f64(RETRY.start + (RETRY.end - RETRY.start) * fastrand::f64())
}
