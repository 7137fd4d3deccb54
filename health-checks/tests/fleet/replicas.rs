//! Tests replicas within one process, each of which is a `Health`. Their dependency is a fake that
//! counts its probes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use health_checks::RedisFleet;
use health_core::{
    CheckExt as _, CheckReport, Evidence, GroupSettings, Health, Heartbeat, Hold, Scope,
    ServiceUnavailable, Settings, Status, check_fn,
};
use redis::AsyncTypedCommands as _;

use crate::row::{observed, row};
use crate::server::Redis;

const TTL: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

/// A dependency of all replicas.
#[derive(Default)]
struct Dependency {
    is_down: AtomicBool,
    is_stuck: AtomicBool,
    probes: AtomicU32,
}

impl Dependency {
    fn probes(&self) -> u32 {
        self.probes.load(Ordering::SeqCst)
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }
}

struct Replica {
    health: Health,
    /// `true` once this replica alone can't reach the dependency.
    is_cut: Arc<AtomicBool>,
    probes: Arc<AtomicU32>,
}

/// The settings of a test's replicas.
#[derive(Clone)]
struct Setup {
    fleet: String,
    own: Duration,
    hold: Hold,
    key: &'static str,
    /// `true` if the replica can't reach the dependency from its start.
    is_cut: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            fleet: "shop".into(),
            own: 60 * SECOND,
            hold: Hold::from(120 * SECOND),
            key: "1",
            is_cut: false,
        }
    }
}

impl Setup {
    fn replica(&self, redis: &Redis, dependency: &Arc<Dependency>) -> Replica {
        let is_cut = Arc::new(AtomicBool::new(self.is_cut));
        let probes = Arc::new(AtomicU32::new(0));
        let cut = Arc::clone(&is_cut);
        let own = Arc::clone(&probes);
        let all = Arc::clone(dependency);
        let check = check_fn("orders", move || {
            let cut = Arc::clone(&cut);
            let own = Arc::clone(&own);
            let all = Arc::clone(&all);
            async move {
                own.fetch_add(1, Ordering::SeqCst);
                all.probes.fetch_add(1, Ordering::SeqCst);
                while all.is_stuck.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                if all.is_down.load(Ordering::SeqCst) || cut.load(Ordering::SeqCst) {
                    return Err(ServiceUnavailable::new("connection refused").into());
                }
                Ok(())
            }
        });
        let fleet = RedisFleet::from_url(redis.url())
            .unwrap()
            .name(&self.fleet)
            .own(self.own);
        let health = Health::builder()
            .check(fleet.share(self.key, check).ttl(TTL).timeout(SECOND))
            .check(fleet.check())
            .group("ready", GroupSettings::default().hold(self.hold))
            .build()
            .unwrap();
        health.start();
        Replica {
            health,
            is_cut,
            probes,
        }
    }

    /// Starts replicas, and waits until each has a verdict of its own and counts all others.
    async fn replicas(
        &self,
        redis: &Redis,
        dependency: &Arc<Dependency>,
        number: usize,
    ) -> Vec<Replica> {
        let replicas: Vec<_> = (0..number)
            .map(|_| self.replica(redis, dependency))
            .collect();
        for replica in &replicas {
            replica.row().await;
            until("all replicas know each other", || replica.follows(number)).await;
        }
        replicas
    }
}

impl Replica {
    async fn row(&self) -> CheckReport {
        row(&self.health, "orders").await
    }

    /// Returns `true` if the row shows the verdict of this many replicas.
    async fn follows(&self, number: usize) -> bool {
        let origin = self.row().await.origin.unwrap_or_default();
        let plural = if number == 1 { "" } else { "s" };
        origin.starts_with(&format!("{number} replica{plural}, seen by "))
            && !origin.ends_with("seen by this one")
    }

    /// Returns `true` while Redis can't be reached.
    async fn is_away(&self) -> bool {
        row(&self.health, "Fleet").await.status == Status::Warning
    }

    async fn says(&self) -> String {
        self.row().await.pretty_status()
    }

    async fn is_ready(&self) -> bool {
        self.health.group_report("ready").await.unwrap().healthy
    }

    fn probes(&self) -> u32 {
        self.probes.load(Ordering::SeqCst)
    }
}

async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < 20 * SECOND, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_replicas_probe_about_once_in_each_ttl() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 20).await;
    let before = dependency.probes();
    let began = Instant::now();
    while began.elapsed() < 4 * SECOND {
        for replica in &replicas {
            assert_eq!(replica.says().await, "working");
        }
        sleep(TTL / 4).await;
    }
    let probes = dependency.probes() - before;
    let ttls = began.elapsed().as_secs_f64() / TTL.as_secs_f64();
    let own = 20.0 * began.elapsed().as_secs_f64() / 60.0;
    assert!(
        f64::from(probes) < 1.1 * ttls + own + 4.0,
        "{probes} probes in {ttls} TTLs"
    );
    assert!(
        f64::from(probes) > 0.4 * ttls,
        "{probes} probes in {ttls} TTLs: somebody has to look"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_shown_at_once_and_takes_no_replica_out_while_it_is_held() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 6).await;
    let before: Vec<u32> = replicas.iter().map(Replica::probes).collect();
    dependency.set_down(true);
    let all = dependency.probes();
    for replica in &replicas {
        until("the outage is shown", || async {
            replica.says().await == "unavailable: connection refused"
        })
        .await;
    }
    for _ in 0..10 {
        for replica in &replicas {
            assert!(replica.is_ready().await, "it is held");
        }
        sleep(TTL).await;
    }
    let probes = dependency.probes() - all;
    assert!(
        probes < 30,
        "{probes}: one probe in each TTL, and at most one of each replica"
    );
    let most = replicas
        .iter()
        .zip(before)
        .map(|(replica, before)| replica.probes() - before)
        .max()
        .unwrap();
    assert!(most < 20, "no replica probes for all the others: {most}");
    dependency.set_down(false);
    for replica in &replicas {
        until("it works again", || async {
            replica.says().await == "working"
        })
        .await;
        assert!(replica.is_ready().await);
    }
}

/// Each replica has seen the outage several times when it ends. None of them must then take it for
/// a failure of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_long_outage_takes_no_replica_out() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let replicas = Setup {
        own: SECOND,
        ..Setup::default()
    }
    .replicas(&redis, &dependency, 5)
    .await;
    for _ in 0..2 {
        dependency.set_down(true);
        for replica in &replicas {
            until("the outage is shown", || async {
                replica.says().await == "unavailable: connection refused"
            })
            .await;
        }
        sleep(4 * SECOND).await;
        dependency.set_down(false);
        let began = Instant::now();
        while began.elapsed() < 3 * SECOND {
            for replica in &replicas {
                assert!(replica.is_ready().await, "after {:?}", began.elapsed());
            }
            sleep(TTL / 4).await;
        }
        assert_eq!(replicas[0].says().await, "working");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_hold_a_failure_counts_where_the_replica_has_seen_it_itself() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let setup = Setup {
        hold: Hold::from(2 * SECOND),
        ..Setup::default()
    };
    let replicas = setup.replicas(&redis, &dependency, 3).await;
    dependency.set_down(true);
    let began = Instant::now();
    for replica in &replicas {
        until("the hold is over", || async { !replica.is_ready().await }).await;
        assert!(
            began.elapsed() > 2 * SECOND,
            "it was held for {:?}",
            began.elapsed()
        );
    }
    dependency.set_down(false);
    for replica in &replicas {
        until("it works again", || replica.is_ready()).await;
    }
}

/// A client that can write to Redis can change what the page shows. It can't make a replica unready
/// whose own probe works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_failure_is_shown_and_makes_no_replica_unready() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let setup = Setup {
        hold: Hold::from(SECOND),
        ..Setup::default()
    };
    let replicas = setup.replicas(&redis, &dependency, 2).await;
    let mut writer = redis.connect().await;
    let forge = async |writer: &mut redis::aio::MultiplexedConnection, number: u64| {
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(writer).await.unwrap();
        let now = seconds * 1000 + micros / 1000;
        let body = r#"{"by":"<b>evil</b>-0123456789abcdef","status":"unavailable","duration":0.1,
            "errors":[{"message_type":"unavailable","message":"all is lost","kind":"refused"}]}"#;
        let field = format!(
            "{number} {number} {number} {now} 0 - evil {}\n{body}",
            now + 5000
        );
        let _: usize = writer
            .hset("hc1:{shop}:v", "orders#1", field)
            .await
            .unwrap();
    };
    let began = Instant::now();
    let mut number = 1000;
    while began.elapsed() < 4 * SECOND {
        number += 1;
        forge(&mut writer, number).await;
        for replica in &replicas {
            assert!(replica.is_ready().await, "its own probe works");
        }
        sleep(TTL / 2).await;
    }
    assert_eq!(replicas[0].says().await, "unavailable: all is lost");
    assert_eq!(
        replicas[0].row().await.origin.as_deref(),
        Some("2 replicas, seen by <b>evil</b>")
    );
    assert!(!replicas[0].health.report().await.healthy);
    let page = page(&replicas[0].health).await;
    assert!(
        page.contains("&lt;b&gt;evil") && !page.contains("<b>evil"),
        "it is escaped"
    );
}

async fn page(health: &Health) -> String {
    let mut page = String::new();
    health
        .renderers()
        .get("html")
        .unwrap()
        .render(&*health.report().await, &mut page)
        .unwrap();
    page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_fails_alone_leaves_at_once_and_comes_back() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let replicas = Setup {
        own: SECOND,
        ..Setup::default()
    }
    .replicas(&redis, &dependency, 3)
    .await;
    let (alone, others) = replicas.split_first().unwrap();
    alone.is_cut.store(true, Ordering::SeqCst);
    let began = Instant::now();
    until("it leaves", || async { !alone.is_ready().await }).await;
    assert!(
        began.elapsed() < 5 * SECOND,
        "it is not held: {:?}",
        began.elapsed()
    );
    let row = alone.row().await;
    assert_eq!(row.pretty_status(), "unavailable: connection refused");
    assert_eq!(row.evidence, Evidence::Alone);
    assert_eq!(
        row.origin.as_deref(),
        Some("3 replicas, failing in this one alone")
    );
    for _ in 0..10 {
        for other in others {
            assert_eq!(other.says().await, "working", "they are not affected");
            assert!(other.is_ready().await);
        }
        sleep(TTL).await;
    }
    assert!(!alone.is_ready().await);
    alone.is_cut.store(false, Ordering::SeqCst);
    until("it comes back", || alone.is_ready()).await;
    assert_eq!(alone.says().await, "working");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_never_reached_the_dependency_gets_no_traffic() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let _replicas = Setup::default().replicas(&redis, &dependency, 2).await;
    let late = Setup {
        is_cut: true,
        ..Setup::default()
    }
    .replica(&redis, &dependency);
    let began = Instant::now();
    while began.elapsed() < 4 * SECOND {
        assert!(
            !late.is_ready().await,
            "the others reach it, and this one does not"
        );
        sleep(TTL / 2).await;
    }
    late.is_cut.store(false, Ordering::SeqCst);
    until("it is ready", || late.is_ready()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_verdict_is_always_the_own_one() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let _replicas = Setup::default().replicas(&redis, &dependency, 2).await;
    for _ in 0..3 {
        let new = Setup::default().replica(&redis, &dependency);
        assert_eq!(new.says().await, "working");
        assert!(new.probes() >= 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_replica_probes_for_itself_and_no_reader_waits() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 4).await;
    redis.signal("STOP");
    for replica in &replicas {
        until("it notices", || replica.is_away()).await;
        assert!(observed(&replica.health, "errors").await.unwrap() > 0.0);
        assert!(
            replica.health.report().await.healthy,
            "the fleet is not critical"
        );
    }
    let before = dependency.probes();
    let began = Instant::now();
    while began.elapsed() < 6 * SECOND {
        for replica in &replicas {
            let asked = Instant::now();
            assert_eq!(replica.says().await, "working");
            assert!(
                asked.elapsed() < Duration::from_millis(100),
                "{:?}",
                asked.elapsed()
            );
        }
        sleep(TTL / 2).await;
    }
    let probes = dependency.probes() - before;
    // Four replicas, each about once in four TTLs.
    assert!((10..=40).contains(&probes), "{probes}");
    assert!(
        page(&replicas[0].health)
            .await
            .contains("this replica probes for itself")
    );
    dependency.set_down(true);
    for replica in &replicas {
        until("an outage is noticed", || async {
            replica.says().await.starts_with("unavailable")
        })
        .await;
        assert!(
            replica.is_ready().await,
            "it is held, as it is without a fleet"
        );
    }
    dependency.set_down(false);
    redis.signal("CONT");
    for replica in &replicas {
        until("the fleet is back", || async { !replica.is_away().await }).await;
        until("it works", || async { replica.says().await == "working" }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_restarts_empty_or_refuses_writes_stops_nothing() {
    let mut redis = Redis::start().await;
    let dependency = Arc::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 2).await;
    redis.restart().await;
    for replica in &replicas {
        assert_eq!(replica.says().await, "working");
        until("they share again", || replica.follows(2)).await;
    }
    let mut writer = redis.connect().await;
    let _: () = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(1)
        .query_async(&mut writer)
        .await
        .unwrap();
    for replica in &replicas {
        until("READONLY is an error", || replica.is_away()).await;
        assert_eq!(replica.says().await, "working");
    }
}

/// A lease holder that hangs delays no reader, and one that has died is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_waits_for_the_holder_of_a_lease() {
    let redis = Redis::start().await;
    let dependency = Arc::<Dependency>::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 3).await;
    dependency.is_stuck.store(true, Ordering::SeqCst);
    let began = Instant::now();
    while began.elapsed() < SECOND {
        for replica in &replicas {
            let asked = Instant::now();
            replica.says().await;
            assert!(
                asked.elapsed() < Duration::from_millis(100),
                "{:?}",
                asked.elapsed()
            );
        }
        sleep(TTL / 4).await;
    }
    dependency.is_stuck.store(false, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_lost_in_the_middle_of_its_probe_is_replaced() {
    let redis = Redis::start().await;
    let dependency = Arc::<Dependency>::default();
    let mut replicas = Setup::default().replicas(&redis, &dependency, 3).await;
    dependency.is_stuck.store(true, Ordering::SeqCst);
    let probes: Vec<u32> = replicas.iter().map(Replica::probes).collect();
    let holder = loop {
        let at = replicas
            .iter()
            .zip(&probes)
            .position(|(replica, before)| replica.probes() > *before);
        match at {
            Some(at) => break at,
            None => sleep(Duration::from_millis(5)).await,
        }
    };
    drop(replicas.remove(holder)); // without leaving the fleet
    dependency.is_stuck.store(false, Ordering::SeqCst);
    let before = dependency.probes();
    until("another one probes", || async {
        dependency.probes() > before
    })
    .await;
    assert_eq!(replicas[0].says().await, "working");
}

/// All replicas show the same verdict, and it does not change from one request to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_agree() {
    let redis = Redis::start().await;
    let dependency = Arc::<Dependency>::default();
    let replicas = Setup {
        own: SECOND,
        ..Setup::default()
    }
    .replicas(&redis, &dependency, 5)
    .await;
    replicas[0].is_cut.store(true, Ordering::SeqCst);
    let mut changes = 0;
    let mut last: Vec<String> = Vec::new();
    for _ in 0..60 {
        let mut said = Vec::new();
        for replica in &replicas {
            said.push(replica.says().await);
        }
        changes += usize::from(!last.is_empty() && said != last);
        assert!(said[1..].iter().all(|said| said == "working"), "{said:?}");
        last = said;
        sleep(TTL / 4).await;
    }
    assert!(
        changes <= 1,
        "only the one that fails alone has changed, and once: {changes}"
    );
}

/// A rolling deployment: the new replicas check something else under the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_that_are_configured_differently_are_not_shared() {
    let redis = Redis::start().await;
    let old = Arc::<Dependency>::default();
    let new = Arc::<Dependency>::default();
    old.set_down(true);
    let old_replica = Setup::default().replica(&redis, &old);
    let new_replica = Setup {
        key: "2",
        ..Setup::default()
    }
    .replica(&redis, &new);
    for _ in 0..20 {
        assert_eq!(old_replica.says().await, "unavailable: connection refused");
        assert_eq!(new_replica.says().await, "working");
        sleep(TTL / 2).await;
    }
    assert_eq!(
        observed(&new_replica.health, "replicas").await,
        Some(2.0),
        "they are in one fleet"
    );
    assert_eq!(
        new_replica.row().await.origin.as_deref(),
        Some("1 replica, seen by this one"),
        "and share nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_sends_one_command_in_each_ttl_and_writes_only_what_it_has_probed() {
    let redis = Redis::start().await;
    let dependency = Arc::<Dependency>::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 5).await;
    let mut reader = redis.connect().await;
    let _: () = redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .query_async(&mut reader)
        .await
        .unwrap();
    let before = dependency.probes();
    let began = Instant::now();
    sleep(4 * SECOND).await;
    let stats: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(&mut reader)
        .await
        .unwrap();
    let ttls = began.elapsed().as_secs_f64() / TTL.as_secs_f64();
    let calls = |name: &str| {
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0.0, |line| {
            line.split(',').next().unwrap().parse::<f64>().unwrap()
        })
    };
    let probes = f64::from(dependency.probes() - before);
    assert!(
        calls("evalsha") <= 5.0 * ttls + 5.0 && calls("evalsha") > 3.0 * ttls,
        "{} in {ttls}",
        calls("evalsha")
    );
    assert!(calls("eval") < 1.0);
    assert!(
        calls("hset") <= 2.0 * probes + 5.0,
        "a lease and a verdict: {} for {probes} probes",
        calls("hset")
    );
    assert_eq!(replicas.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_shuts_down_leaves_the_fleet() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let mut replicas = Setup::default().replicas(&redis, &dependency, 3).await;
    let leaving = replicas.remove(0);
    assert!(leaving.health.shutdown(2 * SECOND).await);
    let members = redis.connect().await.zcard("hc1:{shop}:m").await.unwrap();
    assert_eq!(members, 2);
    until("the others know", || replicas[0].follows(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_alone_is_as_fast_as_without_a_fleet() {
    let redis = Redis::start().await;
    let dependency = Arc::<Dependency>::default();
    let replica = Setup::default().replica(&redis, &dependency);
    assert_eq!(replica.says().await, "working");
    sleep(2 * SECOND).await;
    dependency.set_down(true);
    let began = Instant::now();
    until("it is noticed", || async {
        replica.says().await != "working"
    })
    .await;
    assert!(began.elapsed() < 2 * TTL, "{:?}", began.elapsed());
}

/// Whoever decides by a group without a hold, such as a balancer, loses no replica to what only the
/// others see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_hold_a_replica_whose_own_probe_works_stays_ready() {
    let redis = Redis::start().await;
    let dependency = Arc::default();
    let setup = Setup {
        hold: Hold::NONE,
        own: SECOND,
        ..Setup::default()
    };
    let replicas = setup.replicas(&redis, &dependency, 3).await;
    let (works, cut) = replicas.split_first().unwrap();
    for replica in cut {
        replica.is_cut.store(true, Ordering::SeqCst);
    }
    let began = Instant::now();
    let mut has_shown = false;
    while began.elapsed() < 5 * SECOND {
        assert!(works.is_ready().await, "its own probe works");
        let row = works.row().await;
        if row.status == Status::Unavailable {
            assert_eq!(row.evidence, Evidence::Elsewhere);
            has_shown = true;
        }
        sleep(TTL / 4).await;
    }
    assert!(has_shown, "the failure of the others is shown");
    for replica in cut {
        assert!(!replica.is_ready().await, "theirs fail");
    }
}

/// A canary with another URL, beside replicas of the old release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_one_replica_alone_has_is_probed_in_each_ttl_after_a_failure_too() {
    let redis = Redis::start().await;
    let old = Arc::<Dependency>::default();
    let new = Arc::<Dependency>::default();
    let _others = Setup::default().replicas(&redis, &old, 2).await;
    let canary = Setup {
        key: "2",
        ..Setup::default()
    }
    .replica(&redis, &new);
    assert_eq!(canary.says().await, "working");
    until("they are in one fleet", || async {
        observed(&canary.health, "replicas").await == Some(3.0)
    })
    .await;
    for _ in 0..3 {
        new.set_down(true);
        let began = Instant::now();
        until("the outage is noticed", || async {
            canary.says().await != "working"
        })
        .await;
        assert!(began.elapsed() < 3 * TTL, "{:?}", began.elapsed());
        new.set_down(false);
        let began = Instant::now();
        until("its end is noticed", || async {
            canary.says().await == "working"
        })
        .await;
        assert!(began.elapsed() < 3 * TTL, "{:?}", began.elapsed());
        let before = new.probes();
        sleep(10 * TTL).await;
        let probes = new.probes() - before;
        assert!((8..=12).contains(&probes), "once in each TTL: {probes}");
    }
}

/// The verdict of a holder that fails goes to the others although its probe hangs or panics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_hangs_is_a_verdict_for_all() {
    let redis = Redis::start().await;
    let dependency = Arc::<Dependency>::default();
    let replicas = Setup::default().replicas(&redis, &dependency, 3).await;
    dependency.is_stuck.store(true, Ordering::SeqCst);
    for replica in &replicas {
        until("the timeout is shown", || async {
            replica.says().await == "unavailable: timed out after 1 s"
        })
        .await;
    }
    dependency.is_stuck.store(false, Ordering::SeqCst);
    for replica in &replicas {
        until("it works again", || async {
            replica.says().await == "working"
        })
        .await;
    }
}

#[test]
fn what_differs_in_each_replica_is_refused_at_the_build() {
    let fleet = RedisFleet::from_url("redis://cache.internal/0").unwrap();
    let check = || fleet.share("1", check_fn("orders", || async { Ok(()) }));
    for (check, reason) in [
        (
            check().scoped(Scope::Process),
            "it checks this process or this machine, which differs in each replica",
        ),
        (check().groups(["live"]), "live is about this process alone"),
        (
            check().ttl(Duration::ZERO),
            "with ttl = 0, each request runs it",
        ),
    ] {
        let live = GroupSettings::default().allow_in_live("orders");
        let error = Health::builder()
            .check(check)
            .group("live", live)
            .build()
            .unwrap_err();
        let expected = format!("check \"orders\": it can't be shared in the fleet: {reason}");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    let beat = Heartbeat::new("worker", SECOND);
    let row = || fleet.check();
    let error = Health::builder()
        .check(fleet.share("1", beat.check()))
        .check(fleet.share("2", row()))
        .build()
        .unwrap_err();
    assert_eq!(error.faults().len(), 2, "{error}");
    let all = Settings::default().ttl(Duration::ZERO);
    let error = Health::builder()
        .settings(all)
        .check(check())
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("with ttl = 0"), "{error}");
}

#[tokio::test]
async fn the_options_of_a_shared_check_are_kept_whether_they_were_set_before_or_after() {
    let fleet = RedisFleet::from_url("redis://cache.internal/0").unwrap();
    let check = check_fn("orders", || async { Ok(()) })
        .named("stock")
        .timeout(3 * SECOND)
        .non_critical();
    let check = fleet.share("1", check).every(7 * SECOND).groups(["ready"]);
    let health = Health::builder().check(check).build().unwrap();
    let info = health.checks().next().unwrap();
    assert_eq!(info.identifier, "stock");
    assert_eq!(info.timeout, 3 * SECOND);
    assert_eq!(info.ttl, 7 * SECOND);
    assert!(!info.critical);
}

/// Nobody reads, and the verdict of the others arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interval_may_be_as_long_as_it_likes_in_a_fleet_too() {
    let redis = Redis::start().await;
    let probes = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&probes);
    let check = check_fn("once", move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    let fleet = RedisFleet::from_url(redis.url())
        .unwrap()
        .name("shop")
        .own(Duration::MAX);
    let health = Health::builder()
        .check(fleet.share("1", check).every(Duration::MAX))
        .build()
        .unwrap();
    for _ in 0..20 {
        assert_eq!(row(&health, "once").await.pretty_status(), "working");
        sleep(TTL / 2).await;
    }
    assert!(
        probes.load(Ordering::SeqCst) <= 2,
        "{} probes",
        probes.load(Ordering::SeqCst)
    );
    health.shutdown(SECOND).await;
}
