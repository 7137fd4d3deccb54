//! Tests `redis`, `cache` on Redis and memcached, and `s3`.

use std::process::Command;
use std::time::Duration;

use bb8_redis::RedisConnectionManager;
use bb8_redis::bb8::Pool;
use health_checks::RedisHealthCheck;
use health_core::{CheckExt as _, Health};

use crate::harness::{Server, alone, nobody, password, port, variable};
use crate::scenario::{Scenario, health, health_within, says};

fn on_redis(kind: &str) -> Scenario {
    let url = variable("REDIS_URL");
    let check = |url: &str| format!("kind = \"{kind}\"\nurl = \"{url}\"");
    Scenario {
        server: Server("redis"),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: Unable to connect to Redis: Connection was refused.",
        wrong_password: Some((
            check(&url.replace(password(&url), "wrong")),
            "unavailable: Unable to connect to Redis: Authentication error.",
        )),
        secret: Some(password(&url).to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    let _alone = alone().await;
    let redis = on_redis("redis");
    redis.play().await;
    let unknown = health_within(
        "kind = \"redis\"\nurl = \"redis://no-such-host.invalid/0\"",
        Duration::from_secs(20),
    );
    assert_eq!(
        says(&unknown).await,
        "unavailable: Unable to connect to Redis: the host name can't be resolved."
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_on_redis() {
    let _alone = alone().await;
    let cache = on_redis("cache");
    cache.play().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_takes_no_writes_says_so() {
    let _alone = alone().await;
    let cache = on_redis("cache");
    let config = |setting: &str, value: &str| {
        let url = variable("REDIS_URL");
        let port = port(&url).to_string();
        let mut command = Command::new("redis-cli");
        command
            .args([
                "-p",
                &port,
                "-a",
                password(&url),
                "--no-auth-warning",
                setting,
            ])
            .args(value.split(' '));
        assert!(command.output().unwrap().status.success());
    };
    tokio::task::block_in_place(|| Server("redis").up());
    let subject = health(&cache.check);
    config("REPLICAOF", "127.0.0.1 1");
    let outcome = tokio::spawn(async move { says(&subject).await }).await;
    config("REPLICAOF", "NO ONE"); // in any case, for the tests after this one
    let said = outcome.unwrap();
    assert_eq!(said, "unavailable: Redis is read-only");
    assert_eq!(says(&health(&cache.check)).await, "working");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_redis_that_is_used_up_says_so() {
    let _alone = alone().await;
    let manager = RedisConnectionManager::new(variable("REDIS_URL")).unwrap();
    let pool = Pool::builder().max_size(2).build(manager).await.unwrap();
    let first = pool.get_owned().await.unwrap();
    let second = pool.get_owned().await.unwrap();
    let check = RedisHealthCheck::new(pool)
        .timeout(Duration::from_secs(1))
        .ttl(Duration::ZERO);
    let health = Health::builder().check(check).build().unwrap();
    let text = health.report().await.checks[0].pretty_status();
    assert_eq!(
        text,
        "unavailable: no free connection in the pool (2 of 2 in use)"
    );
    drop((first, second));
    assert!(health.report().await.healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cache_on_memcached() {
    let _alone = alone().await;
    let url = variable("MEMCACHED_URL");
    let check = |url: &str| format!("kind = \"cache\"\nurl = \"{url}\"");
    let memcached = Scenario {
        server: Server("memcached"),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: connection refused",
        wrong_password: None,
        secret: None,
    };
    memcached.play().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3() {
    let _alone = alone().await;
    let url = variable("S3_ENDPOINT_URL");
    let id = variable("AWS_ACCESS_KEY_ID");
    let secret = variable("AWS_SECRET_ACCESS_KEY");
    let bucket = variable("S3_BUCKET");
    let region = variable("AWS_REGION");
    let check = |url: &str, bucket: &str, id: &str, secret: &str| {
        format!(
            "kind = \"s3\"\nendpoint_url = \"{url}\"\nbucket = \"{bucket}\"\nregion = \"{region}\"\n\
             access_key_id = \"{id}\"\nsecret_access_key = \"{secret}\"\nprefix = \"checks/\""
        )
    };
    let wrong = check(&url, &bucket, &id, &"0".repeat(64));
    let s3 = Scenario {
        server: Server("s3"),
        check: check(&url, &bucket, &id, &secret),
        nobody: check(&nobody(&url), &bucket, &id, &secret),
        refused: "unavailable: connection refused",
        wrong_password: Some((
            wrong,
            "unavailable: the signature was refused: the secret key is wrong",
        )),
        secret: Some(secret.clone()),
    };
    s3.play().await;
    for (check, message) in [
        (
            check(&url, "nowhere", &id, &secret),
            "unavailable: the bucket does not exist",
        ),
        (
            check(&url, &bucket, &format!("GK{}", "0".repeat(24)), &secret),
            "unavailable: the access key is unknown",
        ),
    ] {
        s3.expect(&health(&check), message, "something else is wrong")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_with_a_write() {
    let _alone = alone().await;
    let check = |url: &str| format!("kind = \"redis\"\nurl = \"{url}\"\nwrite = true");
    for (server, name) in [
        ("redis", "REDIS_URL"),
        ("cluster", "CLUSTER_URL"),
        ("cluster-2", "CLUSTER_2_URL"),
    ] {
        tokio::task::block_in_place(|| Server(server).up());
        let subject = health(&check(&variable(name)));
        for run in 0..3 {
            assert_eq!(says(&subject).await, "working", "{name}, run {run}");
        }
    }
    let url = variable("REDIS_URL");
    crate::connection::redis_cli(&[
        "ACL",
        "SETUSER",
        "reader",
        "on",
        ">first",
        "+ping",
        "+@connection",
        "+select",
        "~*",
    ]);
    let reader = crate::connection::user(&url, "reader");
    assert_eq!(
        says(&health(&check(&reader))).await,
        "unavailable: Redis: permission denied"
    );
    assert_eq!(
        says(&health(&check(&reader).replace("true", "false"))).await,
        "working"
    );
    let set = ["ACL", "SETUSER", "shop", "on", ">first", "+@all", "~shop:*"];
    crate::connection::redis_cli(&set);
    let shop = check(&crate::connection::user(&url, "shop"));
    assert_eq!(
        says(&health(&shop)).await,
        "unavailable: Redis: permission denied"
    );
    let own = format!("{shop}\nkey_prefix = \"shop:\"");
    assert_eq!(says(&health(&own)).await, "working");
    crate::connection::redis_cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = says(&health(&check(&url))).await;
    let only_ping = says(&health(&check(&url).replace("true", "false"))).await;
    crate::connection::redis_cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(full.as_str(), "unavailable: Redis has no memory left");
    assert_eq!(only_ping.as_str(), "working");
}
