//! Tests a fleet on a server with an ACL, behind sentinels, in a cluster, and with passwords that
//! change.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use health_checks::RedisFleet;
use health_core::{CheckExt as _, Health, check_fn};
use redis::AsyncTypedCommands as _;

use crate::server::{Process, Redis, free_port};

const TTL: Duration = Duration::from_millis(200);

fn replica(fleet: RedisFleet) -> Health {
    let check = check_fn("orders", || async { Ok(()) }).ttl(TTL).shared("1");
    let health = Health::builder().fleet(fleet).check(check).build().unwrap();
    health.start();
    health
}

/// Waits until the replicas know each other.
async fn meet(replicas: &[Health]) {
    let began = Instant::now();
    for replica in replicas {
        loop {
            let report = replica.report().await;
            let fleet = report.fleet.as_ref().unwrap();
            let shared = report.checks[0].shared.as_ref();
            let knows = fleet.away_since.is_none() && fleet.replicas as usize == replicas.len();
            if knows && shared.is_some_and(|shared| shared.seen_by.is_some()) {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "they do not meet: {fleet:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

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
                RedisFleet::from_url(url.as_str())
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
    let other = replica(RedisFleet::from_url(url.as_str()).unwrap().name("bank"));
    let began = Instant::now();
    while other
        .report()
        .await
        .fleet
        .as_ref()
        .unwrap()
        .away_since
        .is_none()
    {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the keys of another fleet are forbidden"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for right in acl
        .iter()
        .filter(|word| word.starts_with('+') && *word != "+eval" && *word != "+zrem")
    {
        let less: Vec<_> = acl.iter().filter(|word| *word != right).cloned().collect();
        set(&mut admin, &less).await;
        let alone = replica(
            RedisFleet::from_url(url.as_str())
                .unwrap()
                .name("shop-prod"),
        );
        let began = Instant::now();
        while alone
            .report()
            .await
            .fleet
            .as_ref()
            .unwrap()
            .away_since
            .is_none()
        {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{right} is not needed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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
    let health = replica(fleet);
    let began = Instant::now();
    while health
        .report()
        .await
        .fleet
        .as_ref()
        .unwrap()
        .away_since
        .is_none()
    {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the password is wrong"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(&path, "new\n").unwrap();
    while health
        .report()
        .await
        .fleet
        .as_ref()
        .unwrap()
        .last_exchange
        .is_none()
    {
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
            .map(|_| replica(RedisFleet::from_url(nodes[0].url()).unwrap().name(name)))
            .collect();
        meet(&replicas).await;
        for part in ["v", "m"] {
            let mut command = redis::cmd("CLUSTER");
            command.arg("KEYSLOT").arg(format!("hc1:{{{name}}}:{part}"));
            slots.push(command.query_async::<u16>(&mut first).await.unwrap());
        }
    }
    assert!(slots.chunks(2).all(|pair| pair[0] == pair[1]), "{slots:?}");
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
        .map(|_| replica(RedisFleet::from_url(url.as_str()).unwrap().name("shop")))
        .collect();
    meet(&replicas).await;
    master.kill();
    let began = Instant::now();
    loop {
        for replica in &replicas {
            assert_eq!(replica.report().await.checks[0].pretty_status(), "working");
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
