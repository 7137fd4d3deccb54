//! Tests the script alone, as Redis runs it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncTypedCommands as _, RedisResult, Value};

use crate::server::Redis;

const SCRIPT: &str = include_str!("../../src/fleet/exchange.lua");

/// The check of most tests, with a TTL of a second and a lease of seven.
const ID: &str = "orders#1";
const TTL: u64 = 1000;
const LEASE: u64 = 7000;

/// The number of the verdict that a replica knows, if it knows none.
const NONE: (i64, i64) = (0, 0);

/// The answer about a check: the lease that was granted, the number of replicas that share it, the
/// number of the verdict, its age, `true` if it works, and its body.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    grant: i64,
    peers: i64,
    seq: i64,
    stamp: i64,
    age: i64,
    ok: bool,
    body: String,
}

/// A replica that only runs the script.
#[derive(Clone)]
struct Replica {
    redis: MultiplexedConnection,
    fleet: &'static str,
    me: &'static str,
}

/// A verdict: the check, the lease, `true` if it works, its age in milliseconds, and the body.
type Verdict<'a> = (&'a str, i64, bool, u64, &'a str);

impl Replica {
    async fn of(server: &Redis, me: &'static str) -> Self {
        Self {
            redis: server.connect().await,
            fleet: "shop",
            me,
        }
    }

    fn key(&self, part: &str) -> String {
        format!("hc1:{{{}}}:{part}", self.fleet)
    }

    async fn run(
        &self,
        leaves: bool,
        verdicts: &[Verdict<'_>],
        known: (i64, i64),
    ) -> RedisResult<(i64, Told)> {
        self.run_for(ID, leaves, verdicts, known, true).await
    }

    async fn run_for(
        &self,
        check: &str,
        leaves: bool,
        verdicts: &[Verdict<'_>],
        known: (i64, i64),
        claims: bool,
    ) -> RedisResult<(i64, Told)> {
        let mut command = redis::cmd("EVAL");
        command
            .arg(SCRIPT)
            .arg(3)
            .arg(self.key("v"))
            .arg(self.key("m"))
            .arg(self.key("a"))
            .arg(self.me)
            .arg(u8::from(leaves));
        command.arg(verdicts.len());
        for (id, seq, ok, age, body) in verdicts {
            command
                .arg(id)
                .arg(seq)
                .arg(u8::from(*ok))
                .arg(age)
                .arg(body);
        }
        command.arg(1).arg(check).arg(TTL).arg(LEASE);
        command.arg(u8::from(claims)).arg(known.0).arg(known.1);
        let value: Vec<Value> = command.query_async(&mut self.redis.clone()).await?;
        let (grant, peers, seq, stamp, age, ok, body): (i64, i64, i64, i64, i64, i64, String) =
            redis::from_redis_value(value[1].clone())?;
        let replicas = redis::from_redis_value(value[0].clone())?;
        Ok((
            replicas,
            Told {
                grant,
                peers,
                seq,
                stamp,
                age,
                ok: ok == 1,
                body,
            },
        ))
    }

    async fn asks(&self) -> Told {
        self.run(false, &[], NONE).await.unwrap().1
    }

    async fn publishes(&self, seq: i64, ok: bool, body: &str) -> Told {
        self.run(false, &[(ID, seq, ok, 0, body)], NONE)
            .await
            .unwrap()
            .1
    }

    async fn replicas(&self) -> i64 {
        self.run(false, &[], NONE).await.unwrap().0
    }

    /// Writes the field of the check, as another client of Redis could.
    async fn plants(&self, field: &str) {
        let _: usize = self
            .redis
            .clone()
            .hset(self.key("v"), ID, field)
            .await
            .unwrap();
    }

    /// Returns the milliseconds of Redis' clock.
    async fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME")
            .query_async(&mut self.redis.clone())
            .await
            .unwrap();
        seconds * 1000 + micros / 1000
    }
}

async fn sleep(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test]
async fn one_of_all_gets_the_lease_and_the_others_read_its_verdict() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let asked = (0..50).map(|number| {
        let replica = Replica {
            me: format!("a{number}").leak(),
            ..a.clone()
        };
        tokio::spawn(async move { (replica.asks().await.grant, replica) })
    });
    let asked = futures::future::join_all(asked).await;
    let mut granted = asked
        .into_iter()
        .map(Result::unwrap)
        .filter(|(grant, _)| *grant != 0);
    let (grant, a) = granted.next().unwrap();
    assert_eq!(grant, 1);
    assert!(granted.next().is_none(), "one of all");
    let b = Replica::of(&server, "b").await;
    assert_eq!(
        b.asks().await,
        Told {
            grant: 0,
            peers: 51,
            seq: 0,
            stamp: 0,
            age: -1,
            ok: false,
            body: String::new()
        }
    );
    a.publishes(1, true, "fine").await;
    let read = b.asks().await;
    assert_eq!(read.grant, 0);
    assert_eq!(read.seq, 1);
    assert!(read.ok);
    assert_eq!(read.body.as_str(), "fine");
    assert!((0..500).contains(&read.age), "{}", read.age);
    let known = (read.seq, read.stamp);
    let known = b.run(false, &[], known).await.unwrap().1;
    assert_eq!(known.body, "", "it knows the verdict");
    let other = b.run(false, &[], (read.seq, read.stamp - 1)).await;
    assert_eq!(
        other.unwrap().1.body,
        "fine",
        "the same number of another time is another verdict"
    );
    sleep(TTL).await;
    assert_eq!(b.asks().await.grant, 2, "the verdict is older than the TTL");
    assert_eq!(a.asks().await.grant, 0);
}

#[tokio::test]
async fn the_age_of_a_verdict_counts_from_the_end_of_its_run() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    assert_eq!(a.asks().await.grant, 1);
    let (_, told) = a
        .run(false, &[(ID, 1, true, 600, "fine")], NONE)
        .await
        .unwrap();
    assert!(
        (600..1000).contains(&told.age) && told.grant == 0,
        "{told:?}"
    );
    sleep(450).await;
    assert_eq!(a.asks().await.grant, 2);
}

#[tokio::test]
async fn a_replica_that_dies_with_the_lease_is_replaced_when_it_ends() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    assert_eq!(a.asks().await.grant, 1);
    let now = a.now().await;
    a.plants(&format!("1 0 0 0 - - a {}\n", now + 300)).await;
    assert_eq!(b.asks().await.grant, 0);
    sleep(350).await;
    assert_eq!(b.asks().await.grant, 2);
    // The verdict of the first replica is late, but is used as long as there is no newer one.
    a.publishes(1, true, "late").await;
    assert_eq!(b.asks().await.body, "late");
    b.publishes(2, true, "newer").await;
    a.publishes(1, false, "too late").await;
    assert_eq!(b.asks().await.body, "newer");
}

#[tokio::test]
async fn a_failure_is_confirmed_by_another_replica_before_it_counts() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    b.asks().await;
    a.asks().await;
    b.publishes(1, true, "fine").await;
    sleep(TTL).await;
    assert_eq!(a.asks().await.grant, 2);
    let told = a.publishes(2, false, "refused").await;
    assert_eq!(told.grant, 0, "the suspect does not get the next lease");
    assert!(told.ok, "the suspect does not get the next lease");
    assert_eq!(
        told.body.as_str(),
        "fine",
        "the suspect does not get the next lease"
    );
    let told = b.asks().await;
    assert_eq!(told.grant, 3, "the other one does, at once");
    assert!(told.ok, "the other one does, at once");
    let told = b.publishes(3, false, "refused as well").await;
    assert_eq!(told.seq, 3);
    assert!(!told.ok);
    assert_eq!(told.body.as_str(), "refused as well");
    sleep(TTL).await;
    assert_eq!(a.asks().await.grant, 4);
    assert!(
        !a.publishes(4, false, "still refused").await.ok,
        "a failure that lasts needs no second opinion"
    );
    sleep(TTL).await;
    assert_eq!(b.asks().await.grant, 5);
    assert!(
        b.publishes(5, true, "back").await.ok,
        "a success needs none"
    );
}

#[tokio::test]
async fn a_failure_that_another_replica_does_not_see_is_not_the_verdict() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    b.asks().await;
    a.asks().await;
    b.publishes(1, true, "fine").await;
    a.publishes(0, false, "refused, without a lease").await;
    let told = b.asks().await;
    assert_eq!(
        told.grant, 2,
        "b has to look, although the verdict is young"
    );
    assert!(told.ok, "b has to look, although the verdict is young");
    assert_eq!(told.seq, 1, "b has to look, although the verdict is young");
    let told = b.publishes(2, true, "fine for me").await;
    assert!(told.ok);
    assert_eq!(told.body.as_str(), "fine for me");
    assert_eq!(a.asks().await.grant, 0, "nobody is suspect any more");
    assert_eq!(b.asks().await.grant, 0, "nobody is suspect any more");
}

#[tokio::test]
async fn without_a_lease_a_failure_changes_nothing_but_the_suspect() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    b.asks().await;
    a.publishes(0, false, "refused").await;
    assert_eq!(b.asks().await.age, -1, "there is no verdict");
    b.publishes(1, true, "fine").await;
    for _ in 0..10 {
        let told = a.publishes(0, false, "refused").await;
        assert!(told.ok);
        assert_eq!(told.seq, 1);
        assert_eq!(told.body.as_str(), "fine");
    }
}

#[tokio::test]
async fn a_replica_that_is_alone_needs_no_confirmation() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    a.asks().await;
    a.publishes(1, true, "fine").await;
    sleep(TTL).await;
    assert_eq!(a.asks().await.grant, 2);
    assert!(!a.publishes(2, false, "refused").await.ok);
}

#[tokio::test]
async fn what_was_forgotten_is_not_published() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    assert_eq!(a.asks().await.grant, 1);
    let _: () = redis::cmd("FLUSHALL")
        .query_async(&mut a.redis.clone())
        .await
        .unwrap();
    let told = a.publishes(1, true, "fine").await;
    assert_eq!(told.age, -1, "it may look again");
    assert_eq!(told.grant, 1, "it may look again");
}

/// After a failover, the new server may lack the last writes.
#[tokio::test]
async fn a_server_that_lost_its_last_writes_goes_on() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    let now = a.now().await;
    a.plants(&format!("3 3 3 {now} 1 - - 0\nfine")).await;
    a.publishes(9, true, "from the future").await;
    assert_eq!(b.asks().await.body, "from the future");
    sleep(TTL).await;
    let grant = b.asks().await.grant;
    assert_eq!(grant, 10);
    assert_eq!(b.publishes(grant, true, "and on").await.body, "and on");
}

#[tokio::test]
async fn garbage_is_no_verdict_and_is_replaced() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let huge = format!("1 1 1 1 1 - - 0\n{}", "x".repeat(5000));
    let digits = "9".repeat(30);
    let long = format!("{digits} 1 1 1 1 - - 0\nx");
    for garbage in [
        "",
        "garbage",
        "1 1 1 1 1 - -\nx",
        "-1 1 1 1 1 - - 0\nx",
        "1 1 1 1 7 - - 0\nx",
        &huge,
        &long,
    ] {
        a.plants(garbage).await;
        let told = a.asks().await;
        assert_eq!(told.age, -1, "{garbage:.40}");
        assert_eq!(told.grant, 1, "{garbage:.40}");
        assert!(a.publishes(1, true, "fine").await.ok);
    }
    // If this number were ahead of the leases, every verdict would be late.
    a.plants("1 900 1 1 1 - - 0\nfine").await;
    let grant = a.asks().await.grant;
    assert_eq!(a.publishes(grant, true, "again").await.body, "again");
}

#[tokio::test]
async fn times_that_are_an_hour_off_block_nothing() {
    const HOUR: i64 = 3_600_000;
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let now = a.now().await;
    a.plants(&format!("1 1 1 {} 1 - - 0\nfine", now + HOUR))
        .await;
    assert_eq!(a.asks().await.grant, 2, "a verdict from the future is due");
    a.plants(&format!("1 1 1 {} 1 - - 0\nfine", now - HOUR))
        .await;
    let told = a.asks().await;
    assert!(told.age >= HOUR && told.grant == 2, "{told:?}");
    a.plants(&format!("1 1 1 0 1 - b {}\nfine", now + HOUR))
        .await;
    assert_eq!(
        a.asks().await.grant,
        2,
        "a lease that would last for an hour is none"
    );
    a.plants(&format!("1 1 1 0 1 - b {}\nfine", now - HOUR))
        .await;
    assert_eq!(a.asks().await.grant, 2);
    let members = a.key("m");
    let _: usize = a
        .redis
        .clone()
        .zadd(&members, "ahead", now + HOUR)
        .await
        .unwrap();
    let _: usize = a
        .redis
        .clone()
        .zadd(&members, "behind", now - HOUR)
        .await
        .unwrap();
    assert_eq!(a.replicas().await, 1);
}

#[tokio::test]
async fn replicas_count_until_they_leave_or_are_silent_for_fifteen_seconds() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    assert_eq!(a.replicas().await, 1);
    assert_eq!(b.replicas().await, 2);
    assert_eq!(
        b.asks().await.grant,
        0,
        "the first exchange has the lease already"
    );
    let now = a.now().await;
    let _: usize = a
        .redis
        .clone()
        .zadd(a.key("m"), "c", now - 14_000)
        .await
        .unwrap();
    let _: usize = a
        .redis
        .clone()
        .zadd(a.key("m"), "d", now - 15_001)
        .await
        .unwrap();
    assert_eq!(b.replicas().await, 3);
    a.run(true, &[], NONE).await.unwrap();
    assert_eq!(
        b.asks().await.grant,
        2,
        "the lease of the one that left has ended"
    );
    assert_eq!(b.replicas().await, 2);
}

#[tokio::test]
async fn two_fleets_share_nothing_and_all_expires() {
    let server = Redis::start().await;
    let shop = Replica::of(&server, "a").await;
    let bank = Replica {
        fleet: "bank",
        ..shop.clone()
    };
    assert_eq!(shop.asks().await.grant, 1);
    assert_eq!(bank.asks().await.grant, 1);
    shop.publishes(1, true, "fine").await;
    assert_eq!(bank.asks().await.age, -1);
    let keys: Vec<String> = shop.redis.clone().keys("*").await.unwrap();
    assert_eq!(keys.len(), 6, "{keys:?}");
    for key in keys {
        let left: i64 = redis::cmd("PTTL")
            .arg(&key)
            .query_async(&mut shop.redis.clone())
            .await
            .unwrap();
        assert!((500_000..=600_000).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn keys_of_another_type_are_an_error() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    a.redis.clone().set(a.key("v"), "not a hash").await.unwrap();
    let error = a.run(false, &[], NONE).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

/// An exchange may have taken longer than the replica waits, so that the lease did not arrive.
#[tokio::test]
async fn the_holder_of_a_lease_may_claim_it_again() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    assert_eq!(a.asks().await.grant, 1);
    assert_eq!(b.asks().await.grant, 0);
    assert_eq!(a.asks().await.grant, 2);
    let (_, told) = a.run_for(ID, false, &[], NONE, false).await.unwrap();
    assert_eq!(told.grant, 0, "it does not want one");
    assert_eq!(b.asks().await.grant, 0);
    assert!(a.publishes(2, true, "fine").await.ok);
}

/// A canary with another URL, or the only worker, in a fleet of many.
#[tokio::test]
async fn a_check_that_no_other_replica_asks_for_has_no_peers() {
    let server = Redis::start().await;
    let canary = Replica::of(&server, "canary").await;
    let others = [
        Replica::of(&server, "b").await,
        Replica::of(&server, "c").await,
    ];
    for other in &others {
        other
            .run_for("orders#old", false, &[], NONE, true)
            .await
            .unwrap();
    }
    let (replicas, told) = canary.run(false, &[], NONE).await.unwrap();
    assert_eq!(replicas, 3);
    assert_eq!(told.peers, 1);
    assert_eq!(told.grant, 1);
    assert!(canary.publishes(1, true, "fine").await.ok);
    sleep(TTL).await;
    assert_eq!(canary.asks().await.grant, 2);
    let told = canary.publishes(2, false, "refused").await;
    assert!(!told.ok, "nobody else could confirm it");
    sleep(TTL).await;
    assert_eq!(canary.asks().await.grant, 3, "it goes on");
    assert_eq!(others[0].asks().await.peers, 3, "now it has a peer");
    others[0].run(true, &[], NONE).await.unwrap();
    assert_eq!(canary.asks().await.peers, 1, "and now it has left");
}

/// The asker of the other slot is remembered for fifteen seconds.
#[tokio::test]
async fn who_asked_lately_is_a_peer_and_is_written_rarely() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let now = a.now().await;
    let askers = a.key("a");
    for (slots, peers) in [
        (format!("a {} b {}", now - 1000, now - 14_000), 2),
        (format!("a {} b {}", now - 1000, now - 15_500), 1),
        (format!("b {} c {}", now - 1000, now - 2000), 2),
        (format!("- 0 b {}", now + 3_600_000), 1),
        ("garbage".to_owned(), 1),
        ("x".repeat(5000), 1),
    ] {
        let _: usize = a.redis.clone().hset(&askers, ID, &slots).await.unwrap();
        assert_eq!(a.asks().await.peers, peers, "{slots:.40}");
        let kept: Option<String> = a.redis.clone().hget(&askers, ID).await.unwrap();
        let is_written = kept.as_deref() != Some(&slots);
        assert_eq!(
            is_written,
            !slots.contains(&format!(" {}", now - 1000)),
            "{slots:.40}"
        );
    }
}

/// No peer answers: it has died, or its probe hangs.
#[tokio::test]
async fn a_suspect_that_nobody_answers_may_look_again_and_its_failure_stands() {
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    let b = Replica::of(&server, "b").await;
    b.asks().await;
    a.asks().await;
    let now = a.now().await;
    let lease = i64::try_from(LEASE).unwrap();
    let ttl = i64::try_from(TTL).unwrap();
    for (age, grant) in [(0, 0), (lease + ttl - 500, 0), (lease + ttl, 4)] {
        a.plants(&format!("3 3 3 {now} 1 a@{} - 0\nfine", now - age))
            .await;
        assert_eq!(a.asks().await.grant, grant, "after {age} ms");
    }
    assert!(a.publishes(4, false, "refused").await.ok, "not yet");
    let since = now - lease - 2 * ttl;
    a.plants(&format!("5 4 3 {now} 1 a@{since} a {}\nfine", now + lease))
        .await;
    let told = a.publishes(5, false, "refused").await;
    assert!(!told.ok, "the failure stands");
}

#[tokio::test]
async fn what_no_replica_has_asked_for_in_an_hour_is_removed() {
    const MINUTE: i64 = 60_000;
    let server = Redis::start().await;
    let a = Replica::of(&server, "a").await;
    a.asks().await;
    let now = a.now().await;
    let mut redis = a.redis.clone();
    let ages = [("old", 61), ("young", 59)];
    for (id, age) in ages {
        let slots = format!("b {} - 0", now - age * MINUTE);
        let _: usize = redis.hset(a.key("a"), id, slots).await.unwrap();
        let _: usize = redis
            .hset(a.key("v"), id, "1 1 1 1 1 - - 0\nx")
            .await
            .unwrap();
    }
    a.asks().await;
    assert_eq!(redis.hlen(a.key("v")).await.unwrap(), 3, "rarely");
    let _: usize = redis
        .hset(a.key("a"), "", (now - 11 * MINUTE).to_string())
        .await
        .unwrap();
    a.asks().await;
    let mut left: Vec<String> = redis.hkeys(a.key("v")).await.unwrap();
    left.sort();
    assert_eq!(left, [ID, "young"]);
    let mut left: Vec<String> = redis.hkeys(a.key("a")).await.unwrap();
    left.sort();
    assert_eq!(left, ["", ID, "young"]);
}
