//! Exchanges verdicts with the other replicas, in the background.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::share::Next;
use super::{Cell, Runner};
use crate::fleet::{Answer, Exchange, Fleet};
use crate::report::FleetReport;
use crate::sync::{Mutex, lock};
use crate::{FailureKind, HealthCheckException, ServiceUnavailable};

/// The timeout of an exchange.
const LIMIT: Duration = Duration::from_millis(300);

/// The bounds of the time between two exchanges. The fleet forgets a replica after fifteen seconds.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The time until a failed exchange is tried again: one to ten seconds, at random.
const RETRY: std::ops::Range<f64> = 1.0..10.0;

/// The fleet of a service, and this replica's view of it.
#[derive(Debug)]
pub(crate) struct Member {
    fleet: Arc<dyn Fleet>,
    /// The name of this process within the fleet.
    me: Arc<str>,
    /// The positions of the shared checks.
    shared: Vec<usize>,
    /// The time between two exchanges.
    pause: Duration,
    /// Notified of a verdict that the others should see at once.
    news: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    replicas: u32,
    errors: u64,
    /// The time of the last exchange.
    last: Option<(Instant, SystemTime)>,
    /// The time since which the fleet can't be reached.
    away: Option<SystemTime>,
}

impl Member {
    /// Joins a fleet with those checks that are shared, each under its key.
    pub(crate) fn new(fleet: Arc<dyn Fleet>, cells: &mut [Cell]) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let host: String = fleet
            .host()
            .chars()
            .filter(|c| plain(*c))
            .take(100)
            .collect();
        let me: Arc<str> = format!("{host}-{:016x}", fastrand::u64(..)).into();
        let mut shared = Vec::new();
        let mut pause = LONGEST;
        for (position, cell) in cells.iter_mut().enumerate() {
            if let Some(key) = cell.shared_key.take() {
                cell.share_as(format!("{}#{key}", cell.identifier), &me, fleet.own());
                pause = pause.min(cell.sharing.as_ref().map_or(LONGEST, |sharing| sharing.ttl));
                shared.push(position);
            }
        }
        Self {
            fleet,
            me,
            shared,
            pause: pause.max(SHORTEST),
            news: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Returns `true` if there is a shared check. Without one, there is nothing to exchange.
    pub(crate) fn shares(&self) -> bool {
        !self.shared.is_empty()
    }

    /// Returns the fleet's part of a report.
    pub(crate) fn report(&self, now: Instant) -> FleetReport {
        let state = lock(&self.state);
        FleetReport {
            name: self.fleet.name().to_owned(),
            replicas: state.replicas,
            errors: state.errors,
            last_exchange: state.last.map(|(_, at)| at),
            age: state
                .last
                .map(|(last, _)| now.saturating_duration_since(last)),
            away_since: state.away,
        }
    }

    fn taken(&self, replicas: u32, now: (Instant, SystemTime)) {
        let mut state = lock(&self.state);
        (state.replicas, state.last) = (replicas, Some(now));
        if state.away.take().is_some() {
            tracing::info!(target: "health_check", fleet = self.fleet.name(), "the fleet can be reached again");
        }
    }

    fn lost(&self, error: &HealthCheckException, at: SystemTime) {
        let mut state = lock(&self.state);
        state.errors += 1;
        if state.away.is_none() {
            state.away = Some(at);
            let cause = error.cause();
            tracing::warn!(
                target: "health_check", fleet = self.fleet.name(), %error, cause,
                "the fleet can't be reached: this replica probes for itself"
            );
        }
    }
}

/// Exchanges verdicts as long as the service runs. The first exchange is at a random time, so that
/// replicas do not exchange all at once.
pub(super) async fn exchange(runner: Arc<Runner>) {
    let Some(member) = &runner.fleet else { return };
    tokio::time::sleep(member.pause.mul_f64(fastrand::f64())).await;
    loop {
        let began = tokio::time::Instant::now();
        let pause = if runner.exchange_once(member).await {
            member.pause
        } else {
            Duration::from_secs_f64(RETRY.start + (RETRY.end - RETRY.start) * fastrand::f64())
        };
        // Own probes go on while the fleet can't be reached.
        let end = began + pause;
        loop {
            runner.probe_due(member);
            let next = tokio::time::Instant::now() + member.pause;
            let has_news = tokio::select! {
                () = tokio::time::sleep_until(next.min(end)) => false,
                () = member.news.notified() => true,
            };
            if has_news {
                tokio::time::sleep(SHORTEST).await; // for the checks that fail together
            }
            if has_news || next >= end {
                break;
            }
        }
    }
}

impl Runner {
    /// Tells the fleet that this replica leaves it, so that its leases need not expire.
    pub(crate) async fn leave_fleet(&self) {
        if let Some(member) = self
            .fleet
            .as_ref()
            .filter(|member| lock(&member.state).last.is_some())
        {
            let exchange = Exchange {
                leaves: true,
                ..self.next_exchange(member, self.clock.now())
            };
            let _ = tokio::time::timeout(LIMIT, member.fleet.exchange(&exchange)).await; // if this fails, the leases expire
        }
    }

    /// Exchanges at once, because this replica has seen a failure that the fleet does not know. So
    /// the others confirm it and show it within about two TTLs.
    pub(super) fn tell_fleet(&self) {
        if let Some(member) = &self.fleet {
            member.news.notify_one();
        }
    }

    fn next_exchange(&self, member: &Member, now: Instant) -> Exchange {
        let mut exchange = Exchange {
            me: member.me.to_string(),
            ..Exchange::default()
        };
        for &position in &member.shared {
            self.cells[position].share(|share, sharing| {
                exchange.wanted.push(share.wanted(sharing));
                exchange.publications.extend(share.publication(now));
                Next::Keep
            });
        }
        exchange
    }

    /// Exchanges verdicts once. Returns `true` if the fleet answered.
    async fn exchange_once(self: &Arc<Self>, member: &Member) -> bool {
        let asked = self.clock.now();
        let exchange = self.next_exchange(member, asked);
        let silence = || {
            let message = format!("no answer within {}", super::verdict::seconds(LIMIT));
            ServiceUnavailable::new(message)
                .with_kind(FailureKind::TimedOut)
                .into()
        };
        let answer = tokio::time::timeout(LIMIT, member.fleet.exchange(&exchange)).await;
        match answer.unwrap_or_else(|_| Err(silence())) {
            Ok(answer) => {
                self.take_answer(member, answer, asked);
                true
            }
            Err(error) => {
                let now = self.clock.now();
                member.lost(&error, self.clock.time());
                self.changed();
                for &position in &member.shared {
                    self.share(position, |share, sharing| {
                        share.lose(sharing, now, fastrand::f64());
                        Next::Keep
                    });
                }
                false
            }
        }
    }

    fn take_answer(self: &Arc<Self>, member: &Member, answer: Answer, asked: Instant) {
        let now = self.clock.now();
        let sleeps = self.awake.sleeps();
        member.taken(answer.replicas, (now, self.clock.time()));
        let mut granted = Vec::new();
        for (&position, entry) in member.shared.iter().zip(answer.entries) {
            granted.extend(entry.grant.map(|_| position));
            self.share(position, |share, sharing| {
                share.take(
                    sharing,
                    answer.replicas,
                    entry,
                    asked,
                    (now, sleeps),
                    fastrand::f64(),
                )
            });
        }
        self.changed(); // the report of the fleet has changed, too
        for position in granted {
            self.join_or_start(position);
        }
    }

    /// Starts this replica's own probes that are due, and replaces shared verdicts that are too old
    /// by its own.
    fn probe_due(self: &Arc<Self>, member: &Member) {
        for &position in &member.shared {
            self.fall_back(position);
            let now = self.clock.now();
            let mut is_due = false;
            self.cells[position].share(|share, _| {
                is_due = share.is_due(now);
                Next::Keep
            });
            if is_due {
                self.join_or_start(position);
            }
        }
    }

    /// Shows the replica's own verdict of a check if the shared one is no longer valid.
    pub(super) fn fall_back(&self, position: usize) {
        let now = self.clock.now();
        let sleeps = self.awake.sleeps();
        self.share(position, |share, sharing| {
            share.fall_back(sharing, now, sleeps)
        });
    }

    fn share(
        &self,
        position: usize,
        step: impl FnOnce(&mut super::share::Share, &super::share::Sharing) -> Next,
    ) {
        let cell = &self.cells[position];
        if let Some(record) = cell.share(step) {
            self.check_changed(position);
            self.notify(&cell.identifier, &record);
        }
    }
}
