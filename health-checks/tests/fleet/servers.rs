//! Tests a fleet on a server with an ACL, behind sentinels, in a cluster, and with passwords that
//! change.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use health_checks::RedisFleet;
use health_core::{CheckExt as _, Health, check_fn};
use redis::AsyncTypedCommands as _;

use crate::row::{observed, row};
use crate::server::{Process, Redis, free_port};

const TTL: Duration = Duration::from_millis(200);

fn replica(fleet: &RedisFleet) -> Health {
    let check = check_fn("orders", || async { Ok(()) }).ttl(TTL);
    let health = Health::builder()
        .check(fleet.share("1", check))
        .check(fleet.check())
        .build()
        .unwrap();
    health.start();
    health
}

/// Returns `true` once the fleet can't be reached.
async fn is_away(health: &Health) -> bool {
    let row = row(health, "Fleet").await;
    row.pretty_status()
        .starts_with("warning: the fleet can't be reached, so this replica probes for itself: ")
}

async fn until_away(health: &Health, what: &str) {
    let began = Instant::now();
    while !is_away(health).await {
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the replicas know each other.
async fn meet(replicas: &[Health]) {
    let began = Instant::now();
    let number = f64::from(u32::try_from(replicas.len()).unwrap());
    for replica in replicas {
        loop {
            let members = observed(replica, "replicas").await;
            let origin = row(replica, "orders").await.origin;
            let origin = origin.unwrap_or_default();
            let shares = origin.starts_with(&format!("{} replicas, seen by ", replicas.len()))
                && !origin.ends_with("seen by this one");
            if !is_away(replica).await && members == Some(number) && shares {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "they do not meet: {members:?} {origin}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The rights that are not needed for the first exchanges of a replica.
const RARE: [&str; 4] = ["+eval", "+hdel", "+hkeys", "+zrem"];

/// The rights that docs/fleet.md lists.
fn documented_acl() -> Vec<String> {
    let page = include_str!("../../../docs/fleet.md");
    let line = page
        .lines()
        .find(|line| line.starts_with("ACL SETUSER health"))
        .expect("the page has an ACL");
    line.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_and_all_are_needed() {
    let redis = Redis::start().await;
    let mut admin = redis.connect().await;
    let url = format!("redis://health:s3cret@127.0.0.1:{}/0", redis.port);
    let acl = documented_acl();
    let set = async |admin: &mut redis::aio::MultiplexedConnection, acl: &[String]| {
        let mut command = redis::cmd("ACL");
        let _: i64 = redis::cmd("ACL")
            .arg("DELUSER")
            .arg("health")
            .query_async(admin)
            .await
            .unwrap();
        acl[1..]
            .iter()
            .fold(&mut command, |command, word| command.arg(word));
        let _: () = command.query_async(admin).await.unwrap();
    };
    set(&mut admin, &acl).await;
    let replicas: Vec<_> = (0..2)
        .map(|_| {
            replica(
                &RedisFleet::from_url(url.as_str())
                    .unwrap()
                    .name("shop-prod"),
            )
        })
        .collect();
    meet(&replicas).await;
    for replica in replicas {
        assert!(replica.shutdown(Duration::from_secs(1)).await);
    }
    let keys: Vec<String> = admin.keys("*").await.unwrap();
    assert!(
        keys.iter().all(|key| key.starts_with("hc1:{shop-prod}:")),
        "{keys:?}"
    );
    let other = replica(&RedisFleet::from_url(url.as_str()).unwrap().name("bank"));
    until_away(&other, "the keys of another fleet are forbidden").await;
    for right in acl
        .iter()
        .filter(|word| word.starts_with('+') && !RARE.contains(&word.as_str()))
    {
        let less: Vec<_> = acl.iter().filter(|word| *word != right).cloned().collect();
        set(&mut admin, &less).await;
        let alone = replica(
            &RedisFleet::from_url(url.as_str())
                .unwrap()
                .name("shop-prod"),
        );
        until_away(&alone, &format!("{right} is not needed")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_a_file_is_read_for_each_connection() {
    let redis = Redis::with(&["--requirepass", "new"]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "old\n").unwrap();
    let url = format!("redis://127.0.0.1:{}/0", redis.port);
    let fleet = RedisFleet::from_url(url)
        .unwrap()
        .password_file(None, &path)
        .unwrap()
        .name("shop");
    let health = replica(&fleet);
    until_away(&health, "the password is wrong").await;
    std::fs::write(&path, "new\n").unwrap();
    let began = Instant::now();
    while observed(&health, "exchange_age").await.is_none() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the password is right"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A cluster of two nodes, each with half of the slots. The replicas know only one of the nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_a_fleet_is_in_one_slot_whichever_node_has_it() {
    let nodes = [
        Redis::with(&["--cluster-enabled", "yes"]).await,
        Redis::with(&["--cluster-enabled", "yes"]).await,
    ];
    for (node, (first, last)) in nodes.iter().zip([(0, 8191), (8192, 16383)]) {
        let mut node = node.connect().await;
        let mut command = redis::cmd("CLUSTER");
        let _: () = command
            .arg("ADDSLOTSRANGE")
            .arg(first)
            .arg(last)
            .query_async(&mut node)
            .await
            .unwrap();
    }
    let mut first = nodes[0].connect().await;
    let mut command = redis::cmd("CLUSTER");
    let _: () = command
        .arg("MEET")
        .arg("127.0.0.1")
        .arg(nodes[1].port)
        .query_async(&mut first)
        .await
        .unwrap();
    let began = Instant::now();
    for node in &nodes {
        let mut node = node.connect().await;
        loop {
            let info: String = redis::cmd("CLUSTER")
                .arg("INFO")
                .query_async(&mut node)
                .await
                .unwrap();
            if info.contains("cluster_state:ok") {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "no cluster: {info}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut slots = Vec::new();
    for name in ["shop", "bank", "a", "b"] {
        let replicas: Vec<_> = (0..2)
            .map(|_| replica(&RedisFleet::from_url(nodes[0].url()).unwrap().name(name)))
            .collect();
        meet(&replicas).await;
        for part in ["v", "m", "a"] {
            let mut command = redis::cmd("CLUSTER");
            command.arg("KEYSLOT").arg(format!("hc1:{{{name}}}:{part}"));
            slots.push(command.query_async::<u16>(&mut first).await.unwrap());
        }
    }
    assert!(
        slots
            .chunks(3)
            .all(|keys| keys.iter().all(|slot| *slot == keys[0])),
        "{slots:?}"
    );
    assert!(
        slots.iter().any(|slot| *slot < 8192) && slots.iter().any(|slot| *slot >= 8192),
        "both nodes: {slots:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_a_fleet_follows_the_master() {
    let mut master = Redis::start().await;
    let follows = ["--replicaof", &format!("127.0.0.1 {}", master.port)];
    let follower = Redis::with(&follows).await;
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {} 1\nsentinel down-after-milliseconds shop 1000\n\
         sentinel failover-timeout shop 5000\n",
        master.port
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("redis-server");
    command
        .arg(&config)
        .arg("--sentinel")
        .stdout(Stdio::null())
        .current_dir(folder.path());
    let _sentinel = Process::new(command.spawn().unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let url = format!("redis+sentinel://127.0.0.1:{port}/shop/0");
    let replicas: Vec<_> = (0..2)
        .map(|_| replica(&RedisFleet::from_url(url.as_str()).unwrap().name("shop")))
        .collect();
    meet(&replicas).await;
    master.kill();
    let began = Instant::now();
    loop {
        for replica in &replicas {
            assert_eq!(row(replica, "orders").await.pretty_status(), "working");
        }
        let mut reader = follower.connect().await; // a server that is promoted closes its connections
        let role: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut reader)
            .await
            .unwrap_or_default();
        if role.contains("role:master") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no failover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    meet(&replicas).await;
}
