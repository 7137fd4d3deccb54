//! The state machine of a shared check in a replica: it decides which verdict the row shows, and
//! when the replica has to probe for itself. It has no clock, no lock and no connection.
//!
//! The state of the replica's own probes:
//!
//! ```text
//!             fails            a later run of a peer works      fails again, 1 s after the first time
//!   Works ───────────► Fails ────────────────────────► Refuted ────────────────────────► Alone
//!     ▲  ▲               │  ▲                            │ │                              │ │
//!     │  └──── works ────┘  └── the fleet fails, or ─────┘ │                              │ │
//!     │                         no longer answers ◄────────┼──────────────────────────────┘ │
//!     └──────────────────────── works ─────────────────────┴────────────────────────────────┘
//! ```
//!
//! The state of the fleet, as this replica sees it:
//!
//! ```text
//!   Unasked ──► Answers ◄──► Silent (no verdict, an unreadable or an old one)
//!      │           ▲ │          │
//!      └─► Away ───┘ └► Away ◄──┘  (Redis can't be reached)
//! ```
//!
//! The row shows the verdict of the fleet while that is young, unless the replica is alone with its
//! check, was never successful, or is in the state `Alone`. In `Silent` and `Away`, a newer verdict
//! of its own takes precedence.

mod pace;
mod showing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use health_core::{Status, Verdict};

use self::pace::{Due, scaled};
use super::body::Body;
use super::message::{Entry, Number, Publication, Told, Wanted};

/// The time by which a lease is longer than the timeout of the check.
const LEASE: Duration = Duration::from_secs(2);

/// The shortest time between the failures that show that a replica fails alone.
const AGAIN: Duration = Duration::from_secs(1);

/// The options of a shared check.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    /// The name of the check within the fleet.
    pub(super) id: String,
    /// The name of this process within the fleet.
    pub(super) me: Arc<str>,
    pub(super) ttl: Duration,
    pub(super) timeout: Duration,
    /// The interval of the replica's own probes.
    pub(super) own: Duration,
    /// The time within which the replica has to confirm a failure of the fleet.
    pub(super) confirm: Duration,
}

impl Sharing {
    fn lease(&self) -> Duration {
        self.timeout.saturating_add(LEASE)
    }

    /// Returns the age at which a shared verdict is no longer valid. By then, another replica has
    /// had time to take over from one that died.
    fn oldest(&self) -> Duration {
        self.lease().saturating_add(self.ttl.saturating_mul(2))
    }
}

/// The state of the replica's own probes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    /// The last one worked, or there was none.
    Works,
    /// The last one failed; since the end of the first one that did.
    Fails { since: Instant },
    /// A run of a peer, which ended at `at`, worked afterwards.
    Refuted { since: Instant, at: Instant },
    /// It failed again after that: the failure is this replica's own.
    Alone { since: Instant },
}

/// The state of the fleet, as this replica sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reach {
    Unasked,
    Answers,
    /// Redis answers, and has no valid verdict.
    Silent,
    /// Redis can't be reached.
    Away,
}

/// A verdict of the fleet.
#[derive(Debug)]
struct Seen {
    number: Number,
    ok: bool,
    /// `true` if this replica has published it.
    is_mine: bool,
    host: String,
    verdict: Arc<Verdict>,
}

/// The state of a shared check in a replica.
#[derive(Debug)]
pub(super) struct Machine {
    sharing: Sharing,
    standing: Standing,
    reach: Reach,
    /// The last own verdict.
    own: Option<Arc<Verdict>>,
    /// `true` once an own run was successful.
    has_worked: bool,
    /// The number of replicas that share the check, this one included; 0 before the first exchange.
    peers: u32,
    seen: Option<Seen>,
    /// The lease that was granted to this replica.
    grant: Option<u64>,
    /// The verdict to publish, with the number of its lease.
    outbox: Option<(u64, Arc<Verdict>)>,
    /// The last verdict that was published with a lease.
    published: Option<(u64, Arc<Verdict>)>,
    /// The next own probe.
    due: Due,
    /// The first own probe after the fleet no longer answers.
    relief: Due,
    /// `true` once its own probes are spread over their interval, so that replicas that start
    /// together do not stay together.
    is_spread: bool,
    /// The end of the run whose verdict the row shows.
    shown: Option<Instant>,
}

impl Machine {
    pub(super) fn new(sharing: Sharing) -> Self {
        Self {
            sharing,
            standing: Standing::Works,
            reach: Reach::Unasked,
            own: None,
            has_worked: false,
            peers: 0,
            seen: None,
            grant: None,
            outbox: None,
            published: None,
            due: Due::Now,
            relief: Due::Never,
            is_spread: false,
            shown: None,
        }
    }

    /// Returns `true` once there is an own verdict.
    pub(super) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Returns the request for the fleet's verdict. A replica that fails alone takes no lease: it
    /// could only publish what the others refute.
    pub(super) fn wanted(&self) -> Wanted {
        let is_refuted = matches!(self.standing, Standing::Alone { .. }) && self.peers > 1;
        Wanted {
            id: self.sharing.id.clone(),
            ttl: self.sharing.ttl,
            lease: self.sharing.lease(),
            claims: self.grant.is_none() && !is_refuted,
            known: self
                .seen
                .as_ref()
                .map_or_else(Number::default, |seen| seen.number),
        }
    }

    /// Takes the verdict to publish.
    pub(super) fn publication(&mut self, now: Instant) -> Option<Publication> {
        let (seq, verdict) = self.outbox.take()?;
        let publication = Publication {
            id: self.sharing.id.clone(),
            seq,
            ok: is_ok(&verdict),
            age: now.saturating_duration_since(verdict.finished),
            body: Body::of(&verdict, &self.sharing.me).to_text(),
        };
        if seq > 0 {
            self.published = Some((seq, verdict));
        }
        Some(publication)
    }

    /// Returns `true` if there is a failure to publish that contradicts the fleet.
    pub(super) fn has_news(&self) -> bool {
        let fails = matches!(&self.outbox, Some((_, verdict)) if !is_ok(verdict));
        fails && self.reach == Reach::Answers && self.seen.as_ref().is_some_and(|seen| seen.ok)
    }

    /// Returns `true` if the replica has to probe for itself.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.grant.is_some()
            || self.due.is_past(now)
            || self.relief.is_past(now)
            || !self.follows(now) && self.is_behind()
    }

    /// Returns the time of the next own probe; `None` if that is later than any time.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.earlier(self.relief).at()
    }

    /// Returns `true` if the own verdict is older than the one that the row shows.
    fn is_behind(&self) -> bool {
        let own = self.own.as_ref().map(|own| own.finished);
        own.is_none_or(|own| self.shown.is_some_and(|shown| own < shown))
    }

    /// Called when an own run has ended. `drawn` is a random number between 0 and 1.
    pub(super) fn probed(&mut self, verdict: &Arc<Verdict>, drawn: f64) {
        let is_ok = is_ok(verdict);
        self.has_worked |= is_ok;
        self.standing = if is_ok {
            Standing::Works
        } else {
            self.failed(verdict)
        };
        self.own = Some(Arc::clone(verdict));
        let seq = self.grant.take();
        if seq.is_some() || !is_ok && self.peers > 1 {
            self.outbox = Some((seq.unwrap_or(0), Arc::clone(verdict)));
        }
        self.weigh();
        let pause = self.pause(verdict.finished, drawn);
        self.due = Due::after(verdict.finished, pause);
        self.relief = Due::Never;
    }

    fn failed(&self, verdict: &Verdict) -> Standing {
        match self.standing {
            Standing::Works => Standing::Fails {
                since: verdict.finished,
            },
            Standing::Refuted { since, at } if self.reach == Reach::Answers => {
                let started = verdict.started();
                let is_again = started.saturating_duration_since(since) >= AGAIN;
                if started >= at && is_again {
                    Standing::Alone { since }
                } else {
                    self.standing
                }
            }
            standing => standing,
        }
    }

    /// Compares the own failure with what the fleet says.
    fn weigh(&mut self) {
        let answer = self.seen.as_ref().filter(|_| self.reach == Reach::Answers);
        self.standing = match (self.standing, answer) {
            (Standing::Fails { since }, Some(seen))
                if seen.ok && !seen.is_mine && seen.verdict.finished > since =>
            {
                let at = seen.verdict.finished;
                Standing::Refuted { since, at }
            }
            (Standing::Refuted { since, .. } | Standing::Alone { since }, answer)
                if answer.is_none_or(|seen| !seen.ok) =>
            {
                Standing::Fails { since }
            }
            (standing, _) => standing,
        };
    }

    /// Takes the fleet's answer. `asked` is the time at which the exchange began.
    pub(super) fn read(
        &mut self,
        entry: Entry,
        asked: Instant,
        (now, time): (Instant, SystemTime),
        drawn: f64,
    ) {
        let is_new = self.reach != Reach::Answers;
        let was_ok = self.seen.as_ref().is_none_or(|seen| seen.ok);
        self.peers = entry.peers;
        self.grant = entry.grant.or(self.grant);
        let has_verdict = entry
            .verdict
            .is_some_and(|told| self.see(told, asked, now, time));
        if !has_verdict || !self.is_recent(now) {
            self.part(Reach::Silent, now, drawn);
            return;
        }
        self.reach = Reach::Answers;
        self.relief = Due::Never;
        self.weigh();
        let works = self.standing == Standing::Works && self.own.is_some();
        if let Some(own) = self.own.as_ref().filter(|_| is_new && works) {
            // The last pause was that of a replica without the fleet.
            let from = own.finished;
            self.due = Due::after(from, self.pause(now, drawn));
        }
        let fails = self.seen.as_ref().is_some_and(|seen| !seen.ok);
        if fails && was_ok && works {
            let confirm = scaled(self.sharing.confirm, drawn);
            self.due = self.due.earlier(Due::after(now, confirm));
        }
    }

    /// Keeps a verdict of the fleet. Returns `false` if it is unreadable.
    fn see(&mut self, told: Told, asked: Instant, now: Instant, time: SystemTime) -> bool {
        let last = self.seen.as_ref();
        if last.is_some_and(|seen| seen.number == told.number && seen.ok == told.ok) {
            return true; // with its first time: the one of this answer differs by a few milliseconds
        }
        if self.is_recent(now) && last.is_some_and(|seen| seen.number.stamp > told.number.stamp) {
            return true; // a server that has lost its last writes
        }
        let body = told.body.and_then(|text| Body::from_text(&text, told.ok));
        let Some(body) = body else {
            return false;
        };
        let is_mine = *body.by == *self.sharing.me;
        let own = self
            .published
            .as_ref()
            .filter(|(seq, own)| is_mine && *seq == told.number.seq && is_ok(own) == told.ok);
        let verdict = if let Some((_, own)) = own {
            Arc::clone(own)
        } else {
            let at = asked.checked_sub(told.age).unwrap_or(asked);
            let after = last.and_then(|seen| seen.verdict.finished.checked_add(STEP));
            let at = after.map_or(at, |after| at.max(after)).min(now);
            let age = now.saturating_duration_since(at);
            let date = time.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            Arc::new(body.verdict(at, date))
        };
        self.seen = Some(Seen {
            number: told.number,
            ok: told.ok,
            is_mine,
            host: body.host().to_owned(),
            verdict,
        });
        true
    }

    /// Called when Redis can't be reached.
    pub(super) fn lose(&mut self, now: Instant, drawn: f64) {
        self.grant = None;
        self.outbox = None;
        self.part(Reach::Away, now, drawn);
    }

    /// Called when the fleet no longer answers. From now on the replica probes for itself, the first
    /// time at a random moment before the last verdict of the fleet is too old.
    fn part(&mut self, reach: Reach, now: Instant, drawn: f64) {
        let was_cut_off = matches!(self.reach, Reach::Away | Reach::Silent);
        self.reach = reach;
        if !was_cut_off && self.own.is_some() && self.peers > 1 {
            let left = self.seen.as_ref().map_or(Duration::MAX, |seen| {
                let age = now.saturating_duration_since(seen.verdict.finished);
                self.sharing.oldest().saturating_sub(age)
            });
            self.relief = Due::after(now, scaled(self.spread().min(left), drawn));
        }
        self.weigh();
    }

    /// Called when the machine was suspended: nothing from before is true any more.
    pub(super) fn resume(&mut self) {
        self.seen = None;
        self.grant = None;
        self.due = Due::Now;
        self.weigh();
    }

    fn is_recent(&self, now: Instant) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            now.saturating_duration_since(seen.verdict.finished) < self.sharing.oldest()
        })
    }
}

/// The least time between two different verdicts.
const STEP: Duration = Duration::from_millis(1);

fn is_ok(verdict: &Verdict) -> bool {
    verdict.status <= Status::Warning
}
