//! What a check knows through its fleet: its own last verdict, the shared one, and which of the two answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::Body;
use super::verdict::Verdict;
use crate::Status;
use crate::fleet::{Entry, Publication, Wanted};
use crate::report::SharedVerdict;

/// The time that a lease is longer than the timeout of the check.
const LEASE: Duration = Duration::from_secs(2);

/// The shortest time between two failures that are this replica's alone.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest time between two probes of a replica that can't rely on the others.
const LONGEST: Duration = Duration::from_secs(15);

/// The options of a shared check.
#[derive(Debug, Clone)]
pub(crate) struct Sharing {
    /// The name of the check within the fleet.
    pub(crate) id: String,
    /// The name of this process within the fleet.
    pub(crate) me: Arc<str>,
    pub(crate) ttl: Duration,
    pub(crate) timeout: Duration,
    /// The interval of the replica's own probes.
    pub(crate) own: Duration,
    /// The time within which the replica has to confirm a failure of the fleet.
    pub(crate) confirm: Duration,
}

/// What a replica knows of a shared check.
#[derive(Debug, Default)]
pub(crate) struct Share {
    own: Option<Own>,
    seen: Option<Seen>,
    /// The number of replicas, this one included; 0 before the first exchange.
    replicas: u32,
    /// `true` while the fleet can't be reached.
    is_away: bool,
    /// `true` while the row shows the shared verdict.
    shows_shared: bool,
    /// `true` while this replica fails alone.
    is_mine: bool,
    /// The lease that was granted to this replica.
    grant: Option<u64>,
    /// The verdict to publish, with the end of its run.
    outbox: Option<(Publication, Instant)>,
    /// The time of the next probe of its own; `None` before the first one.
    next: Option<Instant>,
}

/// The own verdicts of a replica.
#[derive(Debug)]
struct Own {
    last: Arc<Verdict>,
    /// `true` if a run of this process ended well.
    has_worked: bool,
    /// The end of the first of the runs that have failed in a row.
    failed: Option<Instant>,
}

/// A verdict of the fleet.
#[derive(Debug)]
struct Seen {
    seq: u64,
    ok: bool,
    /// The end of its run, by the clock of this process.
    at: Instant,
    body: Body,
    /// The number of suspends of the machine before it was read.
    sleeps: u64,
}

/// What to do with a verdict.
#[derive(Debug)]
pub(crate) enum Next {
    /// Show it.
    Show(Arc<Verdict>),
    /// Leave the row as it is.
    Keep,
}

impl Sharing {
    fn lease(&self) -> Duration {
        self.timeout.saturating_add(LEASE)
    }

    /// Returns the age at which a shared verdict is too old to answer: by then another replica has had the time to replace one that died.
    fn oldest(&self) -> Duration {
        self.lease().saturating_add(self.ttl.saturating_mul(2))
    }
}

impl Share {
    /// Returns what to ask the fleet for.
    pub(crate) fn wanted(&self, sharing: &Sharing) -> Wanted {
        let known = self.seen.as_ref().map_or(0, |seen| seen.seq);
        Wanted { id: sharing.id.clone(), ttl: sharing.ttl, lease: sharing.lease(), known }
    }

    /// Takes the verdict to publish.
    pub(crate) fn publication(&mut self, now: Instant) -> Option<Publication> {
        let (publication, ended) = self.outbox.take()?;
        Some(Publication { age: now.saturating_duration_since(ended), ..publication })
    }

    /// Returns `true` if the shared verdict answers in place of the own one: it is not too old, there are other replicas, and this one has
    /// reached the service before.
    fn answers(&self, sharing: &Sharing, now: Instant, sleeps: u64) -> bool {
        let is_recent =
            |seen: &Seen| seen.sleeps >= sleeps && now.saturating_duration_since(seen.at) < sharing.oldest();
        let has_worked = self.own.as_ref().is_some_and(|own| own.has_worked);
        has_worked && self.replicas > 1 && !self.is_mine && self.seen.as_ref().is_some_and(is_recent)
    }

    /// Returns `true` if a read has to wait for a run of its own.
    pub(crate) fn needs_run(&self, sharing: &Sharing, now: Instant, sleeps: u64) -> bool {
        self.is_due(now) && !self.answers(sharing, now, sleeps)
    }

    /// Returns the time until which reads may use the verdict that the row shows.
    pub(crate) fn fresh_until(&self, sharing: &Sharing) -> Option<Instant> {
        match &self.seen {
            Some(seen) if self.shows_shared => seen.at.checked_add(sharing.oldest()),
            _ => self.next,
        }
    }

    /// Returns `true` if the replica has to probe for itself.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// Takes the end of an own run. `drawn` is a random number between 0 and 1.
    pub(crate) fn own_ended(&mut self, sharing: &Sharing, verdict: &Arc<Verdict>, drawn: f64) -> Next {
        let (now, sleeps) = (verdict.finished, verdict.sleeps);
        let is_ok = is_ok(verdict.status);
        let before = self.own.take();
        let is_first = before.is_none();
        let failed = (!is_ok).then(|| before.as_ref().and_then(|own| own.failed).unwrap_or(verdict.finished));
        let has_worked = is_ok || before.is_some_and(|own| own.has_worked);
        self.own = Some(Own { last: Arc::clone(verdict), has_worked, failed });
        let seq = self.grant.take();
        if seq.is_some() || !is_ok && self.replicas > 1 {
            let body = Body::of(verdict, &sharing.me).to_text();
            let publication =
                Publication { id: sharing.id.clone(), seq: seq.unwrap_or(0), ok: is_ok, age: Duration::ZERO, body };
            self.outbox = Some((publication, verdict.finished));
        }
        self.judge(&sharing.me);
        let pause = self.pause(sharing, is_first, drawn);
        self.next = now.checked_add(pause);
        if !self.answers(sharing, now, sleeps) {
            self.shows_shared = false;
            return Next::Show(Arc::clone(verdict));
        }
        self.show_shared(false, now, sleeps)
    }

    /// Shows the shared verdict, unless the row shows it already and it `is_new` in no respect.
    fn show_shared(&mut self, is_new: bool, now: Instant, sleeps: u64) -> Next {
        let was_shown = std::mem::replace(&mut self.shows_shared, true);
        match &self.seen {
            Some(seen) if is_new || !was_shown => Next::Show(Arc::new(seen.body.verdict(seen.at, now, sleeps))),
            _ => Next::Keep,
        }
    }

    /// Returns the time until the next own probe.
    fn pause(&self, sharing: &Sharing, is_first: bool, drawn: f64) -> Duration {
        let alone = sharing.ttl.max(AGAIN);
        let Some(own) = &self.own else { return Duration::ZERO };
        let shared_ok = self.seen.as_ref().map(|seen| seen.ok);
        if self.is_away {
            return self.spread(sharing).mul_f64(0.9 + 0.2 * drawn);
        }
        if self.replicas <= 1 {
            return sharing.ttl;
        }
        match (own.failed, shared_ok) {
            // It has failed alone, or has never worked: try again, ever less often.
            (Some(since), Some(true) | None) => {
                let failing = own.last.finished.saturating_duration_since(since);
                alone.max(failing / 2).min(LONGEST).mul_f64(1.0 + 0.5 * drawn)
            }
            (Some(_), Some(false)) if !own.has_worked => self.spread(sharing).mul_f64(0.9 + 0.2 * drawn),
            // The second probe of a replica is at any time of the interval, so that replicas that start together do not stay together.
            _ if is_first => sharing.own.mul_f64(drawn).max(alone),
            _ => sharing.own.mul_f64(0.95 + 0.1 * drawn),
        }
    }

    /// Returns the interval at which all replicas together probe about once per TTL.
    fn spread(&self, sharing: &Sharing) -> Duration {
        sharing.ttl.saturating_mul(self.replicas.max(1)).min(LONGEST.max(sharing.ttl))
    }

    /// Takes what the fleet answered. `asked` is the time at which the exchange began.
    pub(crate) fn take(
        &mut self,
        sharing: &Sharing,
        replicas: u32,
        entry: Entry,
        asked: Instant,
        (now, sleeps): (Instant, u64),
        drawn: f64,
    ) -> Next {
        (self.replicas, self.is_away) = (replicas, false);
        self.grant = entry.grant.or(self.grant);
        let was = self.seen.as_ref().map(|seen| (seen.seq, seen.ok));
        if let Some(shared) = entry.verdict
            && let Some(at) = asked.checked_sub(shared.age)
        {
            let body = match (shared.body, self.seen.take()) {
                (Some(text), _) => Body::from_text(&text, shared.ok),
                (None, Some(seen)) if seen.seq == shared.seq => Some(seen.body),
                (None, _) => None,
            };
            self.seen = body.map(|body| Seen { seq: shared.seq, ok: shared.ok, at, body, sleeps });
        } else {
            self.seen = None;
        }
        self.judge(&sharing.me);
        let is_new = self.seen.as_ref().map(|seen| (seen.seq, seen.ok)) != was;
        let Some(seen) = &self.seen else { return self.fall_back(sharing, now, sleeps) };
        let turned = !seen.ok && was.is_none_or(|(_, was_ok)| was_ok);
        let own_works = self.own.as_ref().is_some_and(|own| own.failed.is_none());
        if turned && own_works {
            self.probe_before(now, sharing.confirm.max(sharing.ttl).mul_f64(drawn));
        }
        if !self.answers(sharing, now, sleeps) {
            return self.fall_back(sharing, now, sleeps);
        }
        self.show_shared(is_new, now, sleeps)
    }

    /// Shows the own verdict again once the shared one no longer answers.
    pub(crate) fn fall_back(&mut self, sharing: &Sharing, now: Instant, sleeps: u64) -> Next {
        if !self.shows_shared || self.answers(sharing, now, sleeps) {
            return Next::Keep;
        }
        self.shows_shared = false;
        self.own.as_ref().map_or(Next::Keep, |own| Next::Show(Arc::clone(&own.last)))
    }

    /// Notes that the fleet can't be reached: from now on the replica probes for itself, the first time at a random moment.
    pub(crate) fn lose(&mut self, sharing: &Sharing, now: Instant, drawn: f64) {
        if !std::mem::replace(&mut self.is_away, true) {
            (self.grant, self.outbox) = (None, None);
            if self.next.is_some() {
                self.probe_before(now, self.spread(sharing).mul_f64(drawn));
            }
        }
    }

    fn probe_before(&mut self, now: Instant, pause: Duration) {
        let at = now.checked_add(pause);
        self.next = match (self.next, at) {
            (Some(next), Some(at)) => Some(next.min(at)),
            (next, at) => next.or(at),
        };
    }

    /// Decides whether this replica fails alone: it failed, another one that looked later did not, and it failed again.
    fn judge(&mut self, me: &str) {
        let (Some(own), Some(seen)) = (&self.own, &self.seen) else {
            self.is_mine = false;
            return;
        };
        let Some(failed) = own.failed else {
            self.is_mine = false;
            return;
        };
        let is_again = own.last.started.saturating_duration_since(failed) >= AGAIN;
        let is_refuted = seen.ok && seen.body.by != me && seen.at > failed;
        // It stays alone until it works, or until the others fail as well.
        self.is_mine = is_again && is_refuted || self.is_mine && seen.ok;
    }

    /// Returns `true` while this replica fails and the others do not.
    pub(crate) fn is_mine(&self) -> bool {
        self.is_mine
    }

    /// Returns `true` while the row shows a failure of the fleet that this replica has not seen itself.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.shows_shared && self.own.as_ref().is_some_and(|own| own.failed.is_none())
    }

    /// Returns `true` if the row shows the shared verdict.
    pub(crate) fn shows_shared(&self) -> bool {
        self.shows_shared
    }

    /// Returns what a row says about the fleet; `None` before the first exchange.
    pub(crate) fn row(&self) -> Option<SharedVerdict> {
        if self.replicas == 0 || self.is_away && !self.shows_shared {
            return None;
        }
        let seen = self.seen.as_ref().filter(|_| self.shows_shared);
        Some(SharedVerdict {
            replicas: self.replicas,
            seen_by: seen.map(|seen| seen.body.host().to_owned()),
            alone: self.is_mine,
        })
    }
}

fn is_ok(status: Status) -> bool {
    status <= Status::Warning
}
