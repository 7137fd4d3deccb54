use Status::{Unavailable, Working};

use health_core::Evidence;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A replica that has just started, with a TTL of a second and its own probes once a minute.
struct Replica {
    machine: Machine,
    start: Instant,
    date: SystemTime,
    seq: u64,
}

impl Replica {
    fn new() -> Self {
        Self::with(SECOND, 60 * SECOND)
    }

    fn with(ttl: Duration, own: Duration) -> Self {
        let sharing = Sharing {
            id: "orders#1".into(),
            me: "me-0123456789abcdef".into(),
            ttl,
            timeout: 5 * SECOND,
            own,
            confirm: 40 * SECOND,
        };
        Self {
            machine: Machine::new(sharing),
            start: Instant::now(),
            date: SystemTime::now(),
            seq: 0,
        }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    /// Ends an own run at this second. Returns the status that the row shows.
    fn probes(&mut self, second: f64, status: Status) -> Status {
        let verdict = Arc::new(Verdict::new(status, self.at(second), self.date));
        self.machine.probed(&verdict, 0.5);
        self.shows(second).expect("it has an own verdict")
    }

    fn shows(&mut self, second: f64) -> Option<Status> {
        let now = self.at(second);
        Some(self.machine.show(now)?.verdict.status)
    }

    fn evidence(&mut self, second: f64) -> Evidence {
        let now = self.at(second);
        self.machine.show(now).expect("it shows something").evidence
    }

    /// Reads this from the fleet: the number of replicas, and the verdict of another replica, with
    /// its age. Returns the status that the row shows.
    fn reads(&mut self, second: f64, peers: u32, verdict: Option<(Status, f64)>) -> Option<Status> {
        let verdict = verdict.map(|(status, age)| {
            self.seq += 1;
            self.told(status, age, "peer-0123456789abcdef")
        });
        self.takes(second, peers, verdict)
    }

    fn told(&self, status: Status, age: f64, by: &str) -> Told {
        let body = Body::of(&Verdict::new(status, self.start, self.date), by);
        Told {
            number: Number {
                seq: self.seq,
                stamp: self.seq,
            },
            age: Duration::from_secs_f64(age),
            ok: status <= Status::Warning,
            body: Some(body.to_text()),
        }
    }

    fn takes(&mut self, second: f64, peers: u32, verdict: Option<Told>) -> Option<Status> {
        let now = self.at(second);
        let entry = Entry {
            grant: None,
            peers,
            verdict,
        };
        self.machine.read(entry, now, (now, self.date), 0.5);
        self.shows(second)
    }

    /// Gets a lease.
    fn is_granted(&mut self, second: f64, seq: u64) {
        let now = self.at(second);
        let entry = Entry {
            grant: Some(seq),
            peers: 3,
            verdict: None,
        };
        self.machine.read(entry, now, (now, self.date), 0.5);
    }

    /// Returns the seconds until the next own probe.
    fn next(&self, second: f64) -> f64 {
        self.machine.next().map_or(0.0, |next| {
            next.saturating_duration_since(self.at(second))
                .as_secs_f64()
        })
    }

    fn is_due(&self, second: f64) -> bool {
        self.machine.is_due(self.at(second))
    }
}

#[test]
fn the_first_verdict_is_the_own_one_and_the_next_ones_are_those_of_the_fleet() {
    let mut replica = Replica::new();
    assert!(replica.is_due(0.0));
    assert_eq!(
        replica.reads(0.0, 3, Some((Unavailable, 0.1))),
        None,
        "nothing is shown before an own verdict"
    );
    assert_eq!(
        replica.probes(0.1, Working),
        Unavailable,
        "it works for us, and the fleet answers"
    );
    assert_eq!(replica.evidence(0.1), Evidence::Elsewhere);
    assert_eq!(replica.reads(1.0, 3, Some((Working, 0.1))), Some(Working));
    assert_eq!(replica.evidence(1.0), Evidence::Own);
}

#[test]
fn a_failure_that_the_fleet_does_not_know_is_news() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.5)));
    assert!(!replica.machine.has_news());
    replica.probes(2.0, Unavailable);
    assert!(replica.machine.has_news());
    replica.machine.publication(replica.at(2.1));
    assert!(!replica.machine.has_news(), "it is told");
    replica.reads(2.2, 3, Some((Unavailable, 0.1)));
    replica.probes(3.0, Unavailable);
    assert!(!replica.machine.has_news(), "the fleet knows");
}

#[test]
fn what_never_worked_is_not_answered_by_others() {
    let mut replica = Replica::new();
    assert_eq!(replica.probes(0.0, Unavailable), Unavailable);
    assert_eq!(
        replica.reads(1.0, 3, Some((Working, 0.1))),
        Some(Unavailable)
    );
    assert_eq!(replica.evidence(1.0), Evidence::Own);
    assert_eq!(replica.probes(2.0, Working), Working);
    assert_eq!(
        replica.reads(3.0, 3, Some((Unavailable, 0.1))),
        Some(Unavailable)
    );
    assert_eq!(replica.evidence(3.0), Evidence::Elsewhere);
}

#[test]
fn a_failure_is_mine_after_a_later_success_of_a_peer_and_a_second_failure() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.5)));
    assert_eq!(
        replica.probes(2.0, Unavailable),
        Working,
        "once is not enough"
    );
    assert_eq!(
        replica.probes(3.5, Unavailable),
        Working,
        "no peer has looked later"
    );
    assert_eq!(
        replica.reads(4.0, 3, Some((Working, 0.1))),
        Some(Working),
        "one has, and it has to fail after that"
    );
    assert_eq!(
        replica.evidence(4.0),
        Evidence::Elsewhere,
        "the others work"
    );
    assert_eq!(replica.probes(5.0, Unavailable), Unavailable);
    assert_eq!(replica.evidence(5.0), Evidence::Alone);
    assert_eq!(
        replica.reads(5.5, 3, Some((Working, 0.1))),
        Some(Unavailable),
        "it stays so"
    );
    assert_eq!(replica.evidence(5.5), Evidence::Alone);
    assert!(!replica.machine.wanted().claims, "it takes no lease");
    assert_eq!(replica.probes(6.0, Working), Working, "until it works");
    assert_eq!(replica.evidence(6.0), Evidence::Own);
    assert!(replica.machine.wanted().claims);
}

#[test]
fn a_second_failure_within_a_second_is_not_mine() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.5)));
    replica.probes(2.0, Unavailable);
    replica.reads(2.3, 3, Some((Working, 0.1)));
    assert_eq!(replica.probes(2.9, Unavailable), Working);
    assert_eq!(replica.probes(3.0, Unavailable), Unavailable);
}

#[test]
fn a_failure_of_all_is_nobodys_own() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.5)));
    replica.probes(2.0, Unavailable);
    replica.reads(3.0, 3, Some((Unavailable, 0.1)));
    replica.probes(4.0, Unavailable);
    assert_eq!(replica.evidence(4.0), Evidence::Own, "it has seen it, too");
    assert_eq!(replica.reads(5.0, 3, Some((Working, 0.1))), Some(Working));
    assert_eq!(
        replica.evidence(5.0),
        Evidence::Elsewhere,
        "it failed twice, and then the others were the first to work again"
    );
    assert_eq!(replica.probes(6.0, Unavailable), Unavailable);
    assert_eq!(
        replica.evidence(6.0),
        Evidence::Alone,
        "now it fails, and they do not"
    );
    assert_eq!(
        replica.reads(7.0, 3, Some((Unavailable, 0.1))),
        Some(Unavailable)
    );
    assert_eq!(replica.evidence(7.0), Evidence::Own, "now they fail, too");
}

#[test]
fn a_shared_verdict_that_is_too_old_is_none_and_is_replaced_by_a_new_own_one() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Unavailable, 0.0)));
    // The timeout, two seconds and two TTLs.
    assert_eq!(replica.shows(9.9), Some(Unavailable));
    assert!(
        replica.is_due(10.1),
        "the own one is older than what was shown"
    );
    assert_eq!(replica.probes(10.2, Working), Working);
    assert_eq!(replica.evidence(10.2), Evidence::Own);
    assert!(
        (2.0..=4.0).contains(&replica.next(10.2)),
        "as without Redis"
    );
}

#[test]
fn nothing_from_before_a_suspend_is_shown_as_fresh() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.0)));
    assert!(!replica.is_due(1.5));
    replica.machine.resume();
    assert!(replica.is_due(1.5), "it looks for itself first");
    let mut away = Replica::new();
    away.probes(0.0, Working);
    away.reads(1.0, 3, Some((Working, 0.0)));
    away.machine.lose(away.at(1.2), 0.5);
    away.machine.resume();
    assert!(away.is_due(1.5));
}

#[test]
fn own_probes_are_rare_while_the_fleet_answers() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(0.5, 3, Some((Working, 0.1)));
    assert!(
        (1.0..=60.0).contains(&replica.next(0.5)),
        "the first time at a random moment: {}",
        replica.next(0.5)
    );
    replica.probes(30.0, Working);
    replica.reads(30.5, 3, Some((Working, 0.1)));
    replica.probes(31.0, Working);
    assert!((57.0..=63.0).contains(&replica.next(31.0)));
    replica.reads(32.0, 3, Some((Unavailable, 0.1)));
    assert!(replica.next(32.0) <= 20.1, "{}", replica.next(32.0));
    replica.probes(40.0, Unavailable);
    replica.reads(40.5, 3, Some((Unavailable, 0.1)));
    replica.probes(41.0, Unavailable);
    assert!(
        replica.next(41.0) >= 57.0,
        "once is enough for a failure of all: {}",
        replica.next(41.0)
    );
    replica.reads(42.0, 3, Some((Working, 0.1)));
    assert!(
        replica.next(42.0) >= 56.0,
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
    replica.reads(299.9, 3, Some((Working, 0.1)));
    replica.probes(300.0, Unavailable);
    assert!(
        (15.0..=22.5).contains(&replica.next(300.0)),
        "{}",
        replica.next(300.0)
    );
}

/// No other replica asks for this check, however many are in the fleet.
#[test]
fn a_check_that_no_other_replica_shares_is_probed_once_in_each_ttl() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    for (second, status) in [(1.0, Working), (2.0, Unavailable), (3.0, Working)] {
        replica.reads(second, 1, Some((Working, 0.1)));
        assert_eq!(replica.probes(second, status), status, "its own one counts");
        assert!((0.9..=1.0).contains(&replica.next(second)));
        assert_eq!(replica.evidence(second), Evidence::Own);
    }
}

#[test]
fn without_the_fleet_all_replicas_together_probe_once_in_a_ttl() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 10, Some((Working, 0.1)));
    replica.probes(1.5, Working);
    let now = replica.at(2.0);
    replica.machine.lose(now, 0.5);
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
    replica.machine.peers = 5000;
    replica.probes(20.0, Working);
    assert!(replica.next(20.0) <= 16.5, "and at least every 15 s");
}

/// Redis and the dependency are lost together: the own failure is newer than what the fleet said.
#[test]
fn without_the_fleet_a_newer_verdict_of_its_own_is_shown() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.1)));
    replica.machine.lose(replica.at(1.5), 0.5);
    assert_eq!(replica.shows(1.6), Some(Working));
    assert_eq!(replica.probes(3.0, Unavailable), Unavailable);
    assert_eq!(replica.evidence(3.0), Evidence::Own);
    assert_eq!(
        replica
            .machine
            .show(replica.at(3.0))
            .and_then(|showing| showing.origin),
        None
    );
}

/// Redis answers without a verdict, or with one that can't be read.
#[test]
fn a_missing_or_unreadable_verdict_is_as_if_redis_were_away() {
    for body in [None, Some(String::new()), Some("garbage".into())] {
        let mut replica = Replica::new();
        replica.probes(0.0, Working);
        replica.reads(1.0, 3, Some((Working, 0.1)));
        assert!(replica.next(1.0) > 10.0);
        let verdict = body.clone().map(|body| Told {
            body: Some(body),
            number: Number { seq: 9, stamp: 9 },
            ..replica.told(Working, 0.1, "x")
        });
        replica.takes(2.0, 3, verdict);
        assert!(
            replica.next(2.0) <= 3.0,
            "{body:?}: it probes for itself: {}",
            replica.next(2.0)
        );
        replica.seq = 20;
        replica.reads(2.5, 3, Some((Working, 0.1)));
        assert!(
            replica.next(2.5) > 10.0,
            "{body:?}: not once the fleet answers"
        );
    }
}

#[test]
fn a_verdict_with_a_lease_is_published_and_so_is_a_failure_without_one() {
    let mut replica = Replica::new();
    replica.is_granted(0.0, 7);
    assert!(!replica.machine.wanted().claims, "one at a time");
    replica.probes(0.5, Working);
    let published = replica
        .machine
        .publication(replica.at(1.5))
        .expect("it has the lease");
    assert_eq!(published.seq, 7);
    assert!(published.ok);
    assert_eq!(published.age, SECOND);
    assert!(
        replica.machine.publication(replica.at(2.0)).is_none(),
        "once"
    );
    replica.probes(3.0, Working);
    assert!(
        replica.machine.publication(replica.at(3.0)).is_none(),
        "a success without a lease is nobody's business"
    );
    replica.probes(4.0, Unavailable);
    let told = replica
        .machine
        .publication(replica.at(4.0))
        .expect("a failure is");
    assert_eq!(told.seq, 0);
    assert!(!told.ok);
}

/// A verdict that is shown again has the same time, so that it is no new run.
#[test]
fn a_verdict_that_comes_again_keeps_its_time() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.1)));
    let finished = |replica: &mut Replica, second: f64| {
        let now = replica.at(second);
        let showing = replica.machine.show(now).expect("it shows something");
        showing.verdict.finished
    };
    let first = finished(&mut replica, 1.0);
    let again = Told {
        body: None,
        ..replica.told(Working, 0.82, "x")
    };
    replica.takes(2.0, 3, Some(again));
    assert_eq!(finished(&mut replica, 2.0), first);
    replica.reads(2.0, 3, Some((Working, 1.5)));
    assert!(finished(&mut replica, 2.0) > first, "it never goes back");

    replica.is_granted(3.0, 9);
    let own = Arc::new(Verdict::new(Working, replica.at(3.1), replica.date));
    replica.machine.probed(&own, 0.5);
    replica.machine.publication(replica.at(3.2));
    replica.seq = 9;
    let mine = replica.told(Working, 0.5, "me-0123456789abcdef");
    replica.takes(4.0, 3, Some(mine));
    let showing = replica.machine.show(replica.at(4.0)).expect("it has one");
    assert!(
        Arc::ptr_eq(&showing.verdict, &own),
        "its own one is no copy"
    );
    assert_eq!(
        showing.origin.as_deref(),
        Some("3 replicas, seen by me"),
        "and it is the fleet's"
    );
}

/// After a failover, Redis may count the same numbers again.
#[test]
fn the_same_number_with_another_time_is_another_verdict() {
    let mut replica = Replica::new();
    replica.probes(0.0, Working);
    replica.reads(1.0, 3, Some((Working, 0.1)));
    let other = Told {
        number: Number { seq: 1, stamp: 5 },
        ..replica.told(Unavailable, 0.1, "peer-0123456789abcdef")
    };
    assert_eq!(replica.takes(2.0, 3, Some(other)), Some(Unavailable));
}

#[test]
fn no_interval_is_too_long() {
    for (ttl, own) in [
        (SECOND, Duration::MAX),
        (Duration::MAX, Duration::MAX),
        (SECOND, SECOND / 2),
    ] {
        for drawn in [0.0, 0.5, 1.0] {
            let mut replica = Replica::with(ttl, own);
            replica.machine.sharing.confirm = Duration::MAX;
            for second in 0..4_u8 {
                let second = f64::from(second);
                let status = if second > 2.0 { Unavailable } else { Working };
                let at = replica.at(second);
                let verdict = Arc::new(Verdict::new(status, at, replica.date));
                replica.machine.probed(&verdict, drawn);
                replica.reads(second, 3, Some((status, 0.1)));
                replica.machine.lose(at, drawn);
            }
        }
    }
    let mut replica = Replica::with(Duration::MAX, Duration::MAX);
    replica.probes(0.0, Working);
    assert!(!replica.is_due(1e9), "never is not now");
}
