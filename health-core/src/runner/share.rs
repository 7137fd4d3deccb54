//! The state of a shared check: the replica's own last verdict, the fleet's verdict, and the choice
//! between the two.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::Body;
use super::verdict::Verdict;
use crate::Status;
use crate::fleet::{Entry, Publication, Wanted};
use crate::report::SharedVerdict;

/// The time by which a lease is longer than the timeout of the check.
const LEASE: Duration = Duration::from_secs(2);

/// The shortest time between two probes of a replica that fails alone.
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

/// The state of a shared check in a replica.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they change independently of each other"
)]
pub(crate) struct Share {
    own: Option<Own>,
    seen: Option<Seen>,
    /// The number of replicas, this one included; 0 before the first exchange.
    replicas: u32,
    /// `true` while the fleet can't be reached.
    is_away: bool,
    /// `true` while the row shows the shared verdict.
    shows_shared: bool,
    /// The end of the first run of another replica that succeeded after a run of this one had
    /// failed.
    refuted: Option<Instant>,
    /// `true` while only this replica fails.
    is_mine: bool,
    /// `true` once its own probes are spread over their interval, so that replicas that start
    /// together do not stay together.
    is_spread: bool,
    /// The lease that was granted to this replica.
    grant: Option<u64>,
    /// The verdict to publish, with the end of its run.
    outbox: Option<(Publication, Instant)>,
    /// The time of the next probe of its own; `None` before the first one.
    next: Option<Instant>,
}

/// The results of a replica's own runs.
#[derive(Debug)]
struct Own {
    last: Arc<Verdict>,
    /// `true` if a run of this process has succeeded.
    has_worked: bool,
    /// The end of the first run of the current series of failures.
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

/// The change of the row.
#[derive(Debug)]
pub(crate) enum Next {
    /// Show this verdict.
    Show(Arc<Verdict>),
    /// Leave the row as it is.
    Keep,
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

impl Share {
    /// Returns the request for the fleet's verdict.
    pub(crate) fn wanted(&self, sharing: &Sharing) -> Wanted {
        let known = self.seen.as_ref().map_or(0, |seen| seen.seq);
        Wanted {
            id: sharing.id.clone(),
            ttl: sharing.ttl,
            lease: sharing.lease(),
            known,
        }
    }

    /// Takes the verdict to publish.
    pub(crate) fn publication(&mut self, now: Instant) -> Option<Publication> {
        let (publication, ended) = self.outbox.take()?;
        Some(Publication {
            age: now.saturating_duration_since(ended),
            ..publication
        })
    }

    /// Returns `true` if the row shows the shared verdict: it is not too old, there are other
    /// replicas, and this one has reached the service before and does not fail alone.
    fn answers(&self, sharing: &Sharing, now: Instant, sleeps: u64) -> bool {
        let is_recent = |seen: &Seen| {
            seen.sleeps >= sleeps && now.saturating_duration_since(seen.at) < sharing.oldest()
        };
        let has_worked = self.own.as_ref().is_some_and(|own| own.has_worked);
        has_worked
            && self.replicas > 1
            && !self.is_mine
            && self.seen.as_ref().is_some_and(is_recent)
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

    /// Called when an own run has ended. `drawn` is a random number between 0 and 1.
    pub(crate) fn own_ended(
        &mut self,
        sharing: &Sharing,
        verdict: &Arc<Verdict>,
        drawn: f64,
    ) -> Next {
        let now = verdict.finished;
        let sleeps = verdict.sleeps;
        let is_ok = is_ok(verdict.status);
        let before = self.own.take();
        let failed = (!is_ok).then(|| {
            before
                .as_ref()
                .and_then(|own| own.failed)
                .unwrap_or(verdict.finished)
        });
        let has_worked = is_ok || before.is_some_and(|own| own.has_worked);
        self.own = Some(Own {
            last: Arc::clone(verdict),
            has_worked,
            failed,
        });
        let seq = self.grant.take();
        if seq.is_some() || !is_ok && self.replicas > 1 {
            let body = Body::of(verdict, &sharing.me).to_text();
            let publication = Publication {
                id: sharing.id.clone(),
                seq: seq.unwrap_or(0),
                ok: is_ok,
                age: Duration::ZERO,
                body,
            };
            self.outbox = Some((publication, verdict.finished));
        }
        self.judge(&sharing.me);
        let pause = self.pause(sharing, drawn);
        self.next = now.checked_add(pause);
        if !self.answers(sharing, now, sleeps) {
            self.shows_shared = false;
            return Next::Show(Arc::clone(verdict));
        }
        self.show_shared(false, now, sleeps)
    }

    /// Returns `true` if there is a failure to publish that the fleet does not know.
    pub(crate) fn has_news(&self) -> bool {
        let fails = self
            .outbox
            .as_ref()
            .is_some_and(|(publication, _)| !publication.ok);
        fails && !self.is_away && self.seen.as_ref().is_some_and(|seen| seen.ok)
    }

    /// Shows the shared verdict, unless the row shows it already and it is not new.
    fn show_shared(&mut self, is_new: bool, now: Instant, sleeps: u64) -> Next {
        let was_shown = std::mem::replace(&mut self.shows_shared, true);
        match &self.seen {
            Some(seen) if is_new || !was_shown => {
                Next::Show(Arc::new(seen.body.verdict(seen.at, now, sleeps)))
            }
            _ => Next::Keep,
        }
    }

    /// Returns the time until the next own probe.
    fn pause(&mut self, sharing: &Sharing, drawn: f64) -> Duration {
        let alone = sharing.ttl.max(AGAIN);
        let Some(own) = &self.own else {
            return Duration::ZERO;
        };
        let shared_ok = self.seen.as_ref().map(|seen| seen.ok);
        if self.is_away {
            return self.spread(sharing).mul_f64(0.9 + 0.2 * drawn);
        }
        if self.replicas <= 1 {
            return sharing.ttl;
        }
        match (own.failed, shared_ok) {
            // The replica fails alone, or has never worked: try again, with growing pauses.
            (Some(since), Some(true) | None) => {
                let failing = own.last.finished.saturating_duration_since(since);
                alone
                    .max(failing / 2)
                    .min(LONGEST)
                    .mul_f64(1.0 + 0.5 * drawn)
            }
            (Some(_), Some(false)) if !own.has_worked => {
                self.spread(sharing).mul_f64(0.9 + 0.2 * drawn)
            }
            _ if std::mem::replace(&mut self.is_spread, true) => {
                sharing.own.mul_f64(0.95 + 0.1 * drawn)
            }
            _ => sharing.own.mul_f64(drawn).max(alone),
        }
    }

    /// Returns the interval at which all replicas together probe about once per TTL.
    fn spread(&self, sharing: &Sharing) -> Duration {
        sharing
            .ttl
            .saturating_mul(self.replicas.max(1))
            .min(LONGEST.max(sharing.ttl))
    }

    /// Takes the fleet's answer. `asked` is the time at which the exchange began.
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
            self.seen = body.map(|body| Seen {
                seq: shared.seq,
                ok: shared.ok,
                at,
                body,
                sleeps,
            });
        } else {
            self.seen = None;
        }
        self.judge(&sharing.me);
        let is_new = self.seen.as_ref().map(|seen| (seen.seq, seen.ok)) != was;
        let Some(seen) = &self.seen else {
            return self.fall_back(sharing, now, sleeps);
        };
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

    /// Shows the own verdict again once the shared one is no longer valid.
    pub(crate) fn fall_back(&mut self, sharing: &Sharing, now: Instant, sleeps: u64) -> Next {
        if !self.shows_shared || self.answers(sharing, now, sleeps) {
            return Next::Keep;
        }
        self.shows_shared = false;
        self.own
            .as_ref()
            .map_or(Next::Keep, |own| Next::Show(Arc::clone(&own.last)))
    }

    /// Called when the fleet can't be reached. From now on the replica probes for itself, the first
    /// time after a random delay.
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

    /// Decides whether this replica fails alone: it failed, a later run of another one succeeded,
    /// and after that it failed again. At the end of an outage of all replicas, one that recovers
    /// later than the others does not fail alone.
    fn judge(&mut self, me: &str) {
        let failed = self.own.as_ref().and_then(|own| own.failed);
        let (Some(failed), Some(own), Some(seen)) = (failed, &self.own, &self.seen) else {
            (self.is_mine, self.refuted) = (false, None);
            return;
        };
        if !seen.ok {
            (self.is_mine, self.refuted) = (false, None);
            return;
        }
        if seen.at > failed && seen.body.by != me {
            self.refuted.get_or_insert(seen.at);
        }
        let is_again = own.last.started.saturating_duration_since(failed) >= AGAIN;
        self.is_mine |= is_again && self.refuted.is_some_and(|at| own.last.started >= at);
    }

    /// Returns `true` while this replica fails and the others do not.
    pub(crate) fn is_mine(&self) -> bool {
        self.is_mine
    }

    /// Returns `true` while the row shows a failure of the fleet that this replica has not seen
    /// itself.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.shows_shared && self.own.as_ref().is_some_and(|own| own.failed.is_none())
    }

    /// Returns the fleet's part of the row; `None` before the first exchange.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Shared;

    const SECOND: Duration = Duration::from_secs(1);

    /// A replica that has just started, with a TTL of a second and its own probes once a minute.
    struct Replica {
        share: Share,
        sharing: Sharing,
        start: Instant,
        seq: u64,
    }

    impl Replica {
        fn new() -> Self {
            let sharing = Sharing {
                id: "orders#1".into(),
                me: "me-0123456789abcdef".into(),
                ttl: SECOND,
                timeout: 5 * SECOND,
                own: 60 * SECOND,
                confirm: 40 * SECOND,
            };
            Self {
                share: Share::default(),
                sharing,
                start: Instant::now(),
                seq: 0,
            }
        }

        fn at(&self, seconds: f64) -> Instant {
            self.start + Duration::from_secs_f64(seconds)
        }

        /// Ends an own run at this second. Returns the status that the row shows from now on, if it
        /// changes.
        fn probes(&mut self, second: f64, status: Status) -> Option<Status> {
            let at = self.at(second);
            let verdict = Arc::new(Verdict {
                started: at,
                finished: at,
                ..Verdict::of(status)
            });
            shown(&self.share.own_ended(&self.sharing, &verdict, 0.5))
        }

        /// Reads this from the fleet: the number of replicas, and the verdict of another replica,
        /// with its age.
        fn reads(
            &mut self,
            second: f64,
            replicas: u32,
            verdict: Option<(Status, f64)>,
        ) -> Option<Status> {
            let now = self.at(second);
            let verdict = verdict.map(|(status, age)| {
                self.seq += 1;
                let body = Body::of(&Verdict::of(status), "peer-0123456789abcdef").to_text();
                Shared {
                    seq: self.seq,
                    age: Duration::from_secs_f64(age),
                    ok: is_ok(status),
                    body: Some(body),
                }
            });
            shown(&self.share.take(
                &self.sharing,
                replicas,
                Entry {
                    grant: None,
                    verdict,
                },
                now,
                (now, 0),
                0.5,
            ))
        }

        /// Returns the seconds until the next own probe.
        fn next(&self, second: f64) -> f64 {
            self.share.next.map_or(0.0, |next| {
                next.saturating_duration_since(self.at(second))
                    .as_secs_f64()
            })
        }
    }

    fn shown(next: &Next) -> Option<Status> {
        match next {
            Next::Show(verdict) => Some(verdict.status),
            Next::Keep => None,
        }
    }

    use Status::{Unavailable, Working};

    #[test]
    fn the_first_verdict_is_the_own_one_and_the_next_ones_are_those_of_the_fleet() {
        let mut replica = Replica::new();
        assert_eq!(
            replica.reads(0.0, 3, Some((Unavailable, 0.1))),
            None,
            "nothing is shown before an own verdict"
        );
        assert_eq!(
            replica.probes(0.1, Working),
            Some(Unavailable),
            "it works for us, and the fleet answers"
        );
        assert!(replica.share.shows_shared && replica.share.is_unconfirmed());
        assert_eq!(replica.reads(1.0, 3, Some((Working, 0.1))), Some(Working));
        assert_eq!(
            replica.reads(1.5, 3, None),
            Some(Working),
            "without a shared verdict, the own one answers"
        );
    }

    #[test]
    fn a_failure_that_the_fleet_does_not_know_is_news() {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        replica.reads(1.0, 3, Some((Working, 0.5)));
        assert!(!replica.share.has_news());
        replica.probes(2.0, Unavailable);
        assert!(replica.share.has_news());
        replica.share.publication(replica.at(2.1));
        assert!(!replica.share.has_news(), "it is told");
        replica.reads(2.2, 3, Some((Unavailable, 0.1)));
        replica.probes(3.0, Unavailable);
        assert!(!replica.share.has_news(), "the fleet knows");
    }

    #[test]
    fn what_never_worked_is_not_answered_by_others() {
        let mut replica = Replica::new();
        assert_eq!(replica.probes(0.0, Unavailable), Some(Unavailable));
        assert_eq!(replica.reads(1.0, 3, Some((Working, 0.1))), None);
        assert!(!replica.share.shows_shared);
        assert_eq!(replica.probes(2.0, Working), Some(Working));
        assert!(replica.share.shows_shared);
    }

    #[test]
    fn a_failure_is_mine_after_a_later_success_of_a_peer_and_a_second_failure() {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        replica.reads(1.0, 3, Some((Working, 0.5)));
        assert_eq!(replica.probes(2.0, Unavailable), None, "once is not enough");
        assert_eq!(
            replica.probes(3.5, Unavailable),
            None,
            "no peer has looked later"
        );
        assert_eq!(
            replica.reads(4.0, 3, Some((Working, 0.1))),
            Some(Working),
            "one has, and it has to fail after that"
        );
        assert!(!replica.share.is_mine());
        assert_eq!(replica.probes(5.0, Unavailable), Some(Unavailable));
        assert!(replica.share.is_mine());
        assert_eq!(
            replica.reads(5.5, 3, Some((Working, 0.1))),
            None,
            "it stays so"
        );
        assert!(replica.share.is_mine());
        assert_eq!(
            replica.probes(6.0, Working),
            Some(Working),
            "until it works"
        );
        assert!(!replica.share.is_mine());
    }

    #[test]
    fn a_failure_of_all_is_nobodys_own() {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        replica.reads(1.0, 3, Some((Working, 0.5)));
        replica.probes(2.0, Unavailable);
        replica.reads(3.0, 3, Some((Unavailable, 0.1)));
        replica.probes(4.0, Unavailable);
        assert!(!replica.share.is_mine() && !replica.share.is_unconfirmed());
        assert_eq!(replica.reads(5.0, 3, Some((Working, 0.1))), Some(Working));
        assert!(
            !replica.share.is_mine(),
            "it failed twice, and then the others were the first to work again"
        );
        assert_eq!(replica.probes(6.0, Unavailable), Some(Unavailable));
        assert!(replica.share.is_mine(), "now it fails, and they do not");
        assert_eq!(
            replica.reads(7.0, 3, Some((Unavailable, 0.1))),
            Some(Unavailable)
        );
        assert!(!replica.share.is_mine(), "now they fail, too");
    }

    #[test]
    fn a_shared_verdict_that_is_too_old_is_replaced_by_the_own_one() {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        assert_eq!(
            replica.reads(1.0, 3, Some((Unavailable, 0.0))),
            Some(Unavailable)
        );
        let fall_back = |replica: &mut Replica, second: f64| {
            let sharing = replica.sharing.clone();
            let at = replica.at(second);
            shown(&replica.share.fall_back(&sharing, at, 0))
        };
        // The timeout, two seconds and two TTLs.
        assert_eq!(fall_back(&mut replica, 9.9), None);
        assert_eq!(fall_back(&mut replica, 10.1), Some(Working));
        assert_eq!(fall_back(&mut replica, 11.0), None, "once");
        let mut suspended = Replica::new();
        suspended.probes(0.0, Working);
        suspended.reads(1.0, 3, Some((Working, 0.0)));
        let at = suspended.at(1.5);
        assert!(
            !suspended.share.answers(&suspended.sharing, at, 1),
            "the machine was suspended meanwhile"
        );
    }

    #[test]
    fn own_probes_are_rare_while_the_fleet_answers() {
        let mut replica = Replica::new();
        replica.reads(0.0, 3, None);
        replica.probes(0.0, Working);
        assert!(
            (1.0..=60.0).contains(&replica.next(0.0)),
            "the first time at a random moment"
        );
        replica.reads(1.0, 3, Some((Working, 0.1)));
        replica.probes(30.0, Working);
        assert!((57.0..=63.0).contains(&replica.next(30.0)));
        replica.reads(31.0, 3, Some((Unavailable, 0.1)));
        assert!(
            replica.next(31.0) <= 40.0,
            "within the first half of a hold"
        );
        replica.probes(40.0, Unavailable);
        assert!(
            replica.next(40.0) >= 57.0,
            "once is enough for a failure of all: {}",
            replica.next(40.0)
        );
        replica.reads(41.0, 3, Some((Working, 0.1)));
        assert!(
            replica.next(41.0) >= 56.0,
            "and none is needed when all is well again"
        );
    }

    #[test]
    fn a_replica_that_fails_alone_probes_again_soon_and_then_with_growing_pauses() {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        replica.reads(1.0, 3, Some((Working, 0.1)));
        replica.probes(2.0, Unavailable);
        assert!(
            (1.0..=1.5).contains(&replica.next(2.0)),
            "{}",
            replica.next(2.0)
        );
        replica.probes(3.5, Unavailable);
        replica.probes(300.0, Unavailable);
        assert!(
            (15.0..=22.5).contains(&replica.next(300.0)),
            "{}",
            replica.next(300.0)
        );
    }

    #[test]
    fn without_the_fleet_all_replicas_together_probe_once_in_a_ttl() {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        replica.reads(1.0, 10, Some((Working, 0.1)));
        replica.probes(1.5, Working);
        let sharing = replica.sharing.clone();
        let now = replica.at(2.0);
        replica.share.lose(&sharing, now, 0.5);
        assert!(
            replica.next(2.0) <= 5.0,
            "the first time at a random moment: {}",
            replica.next(2.0)
        );
        replica.probes(7.0, Working);
        assert!(
            (9.0..=11.0).contains(&replica.next(7.0)),
            "{}",
            replica.next(7.0)
        );
        replica.share.replicas = 5000;
        replica.probes(20.0, Working);
        assert!(replica.next(20.0) <= 16.5, "and at least every 15 s");
    }

    #[test]
    fn a_verdict_with_a_lease_is_published_and_so_is_a_failure_without_one() {
        let mut replica = Replica::new();
        let now = replica.at(0.0);
        let entry = Entry {
            grant: Some(7),
            verdict: None,
        };
        replica
            .share
            .take(&replica.sharing.clone(), 3, entry, now, (now, 0), 0.5);
        replica.probes(0.5, Working);
        let published = replica
            .share
            .publication(replica.at(1.5))
            .expect("it has the lease");
        assert_eq!(published.seq, 7);
        assert!(published.ok);
        assert_eq!(published.age, SECOND);
        assert!(replica.share.publication(replica.at(2.0)).is_none(), "once");
        replica.probes(3.0, Working);
        assert!(
            replica.share.publication(replica.at(3.0)).is_none(),
            "a success without a lease is nobody's business"
        );
        replica.probes(4.0, Unavailable);
        let told = replica
            .share
            .publication(replica.at(4.0))
            .expect("a failure is");
        assert_eq!(told.seq, 0);
        assert!(!told.ok);
    }
}
