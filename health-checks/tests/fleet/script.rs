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

/// The answer about a check: the lease that was granted, the number of the verdict, its age, `true`
/// if it works, and its body.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    grant: i64,
    seq: i64,
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
        known: i64,
    ) -> RedisResult<(i64, Told)> {
        let mut command = redis::cmd("EVAL");
        command
            .arg(SCRIPT)
            .arg(2)
            .arg(self.key("v"))
            .arg(self.key("m"))
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
        command.arg(1).arg(ID).arg(TTL).arg(LEASE).arg(known);
        let value: Vec<Value> = command.query_async(&mut self.redis.clone()).await?;
        let (grant, seq, age, ok, body): (i64, i64, i64, i64, String) =
            redis::from_redis_value(value[1].clone())?;
        let replicas = redis::from_redis_value(value[0].clone())?;
        Ok((
            replicas,
            Told {
                grant,
                seq,
                age,
                ok: ok == 1,
                body,
            },
        ))
    }

    async fn asks(&self) -> Told {
        self.run(false, &[], 0).await.unwrap().1
    }

    async fn publishes(&self, seq: i64, ok: bool, body: &str) -> Told {
        self.run(false, &[(ID, seq, ok, 0, body)], 0)
            .await
            .unwrap()
            .1
    }

    async fn replicas(&self) -> i64 {
        self.run(false, &[], 0).await.unwrap().0
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
    let asked = (0..50).map(|_| {
        let replica = a.clone();
        tokio::spawn(async move { replica.asks().await.grant })
    });
    let grants: Vec<i64> = futures::future::join_all(asked)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        grants.iter().filter(|grant| **grant == 1).count(),
        1,
        "{grants:?}"
    );
    assert_eq!(grants.iter().sum::<i64>(), 1);
    let b = Replica::of(&server, "b").await;
    assert_eq!(
        b.asks().await,
        Told {
            grant: 0,
            seq: 0,
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
    let known = b.run(false, &[], 1).await.unwrap().1;
    assert_eq!(known.body, "", "it knows the verdict");
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
        .run(false, &[(ID, 1, true, 600, "fine")], 0)
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
        a.asks().await.grant,
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
    a.run(true, &[], 0).await.unwrap();
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
    assert_eq!(keys.len(), 4, "{keys:?}");
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
    let error = a.run(false, &[], 0).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}
