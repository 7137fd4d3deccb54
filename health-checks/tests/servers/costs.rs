//! Counts what a check with a connection of its own costs its server, in health and in each failure:
//! connections by a proxy, and requests by the server's own counters.

use std::time::{Duration, Instant};

use sqlx::{MySqlPool, PgPool};

use crate::connection::{check, exec, kept, redis_cli, up, user};
use crate::harness::{Server, alone, port, variable};
use crate::proxy::{Proxy, through};
use crate::scenario::{TIMEOUT, says};

/// A kind of check, its server, the keys of the check, the URL, and the message of a run to which
/// the server answers with an error.
type Refusal = (&'static str, &'static str, String, String, &'static str);

/// Returns a check of each kind to which its server answers with an error.
fn refusals() -> Vec<Refusal> {
    let redis = variable("REDIS_URL");
    let nats = variable("NATS_URL").replace("//health:", "//without:");
    let query = "query = \"SELECT 1 FROM missing\"".to_owned();
    let too_long = format!("key_prefix = \"{}\"", "x".repeat(300));
    let failed = "the query of the check failed";
    let jetstream = "jetstream = true".to_owned();
    let nobody = "service = \"nobody\"".to_owned();
    let denied = "Redis: permission denied";
    vec![
        (
            "database",
            "postgres",
            variable("POSTGRES_URL"),
            query.clone(),
            failed,
        ),
        (
            "database",
            "pgbouncer",
            variable("PGBOUNCER_URL"),
            query.clone(),
            failed,
        ),
        ("database", "mariadb", variable("MYSQL_URL"), query, failed),
        (
            "redis",
            "redis",
            user(&redis, "mute"),
            String::new(),
            denied,
        ),
        (
            "cache",
            "redis",
            user(&redis, "mute"),
            String::new(),
            denied,
        ),
        (
            "cache",
            "memcached",
            variable("MEMCACHED_URL"),
            too_long,
            "memcached refused the command",
        ),
        (
            "grpc",
            "grpc",
            variable("GRPC_URL"),
            nobody,
            "the server does not know this service",
        ),
        ("nats", "nats", nats, jetstream, "JetStream is not enabled"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_a_server_sends_keeps_the_connection() {
    let _alone = alone().await;
    up("redis");
    redis_cli(&[
        "ACL", "SETUSER", "mute", "on", ">first", "~*", "+@all", "-ping", "-get",
    ]);
    for (kind, server, url, more, message) in refusals() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), &more);
        for run in 1..=5 {
            assert_eq!(
                says(&subject).await,
                format!("unavailable: {message}"),
                "{kind} on {server}, run {run}"
            );
        }
        assert_eq!(proxy.taken(), 1, "{kind} on {server}: 5 runs, connections");
    }
}

/// Blocks the publishers of the broker until it is dropped.
struct Alarm;

impl Alarm {
    fn set() -> Self {
        Self::watermark("0.00001");
        Self
    }

    fn watermark(share: &str) {
        let set = format!("rabbitmqctl set_vm_memory_high_watermark {share}");
        exec("rabbitmq", &["sh", "-c", &set]);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        Self::watermark("0.6");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_blocks_its_publishers_keeps_the_connection() {
    let _alone = alone().await;
    up("rabbitmq");
    let url = variable("BROKER_URL");
    let proxy = Proxy::to(port(&url), Duration::ZERO).await;
    let subject = check("rabbitmq", &through(&url, &proxy), "");
    assert_eq!(says(&subject).await, "working");
    let alarm = tokio::task::block_in_place(Alarm::set);
    for run in 1..=5 {
        assert_eq!(
            says(&subject).await,
            "unavailable: RabbitMQ blocks publishers: an alarm of memory or disk is set",
            "run {run}"
        );
    }
    tokio::task::block_in_place(|| drop(alarm));
    let began = Instant::now();
    while says(&subject).await != "working" {
        assert!(began.elapsed() < Duration::from_secs(10), "after the alarm");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(proxy.taken(), 1, "connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_or_forgotten_costs_one_more() {
    let _alone = alone().await;
    for (kind, server, url) in kept() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "");
        assert_eq!(says(&subject).await, "working", "{kind} on {server}");
        proxy.cut();
        assert_eq!(says(&subject).await, "working", "{kind} on {server}, lost");
        assert_eq!(proxy.taken(), 2, "{kind} on {server}, lost: connections");
        proxy.forget();
        let began = Instant::now();
        assert_eq!(
            says(&subject).await,
            "working",
            "{kind} on {server}, forgotten"
        );
        assert!(
            began.elapsed() < TIMEOUT * 3 / 4,
            "{kind} on {server}, forgotten: {:?}",
            began.elapsed()
        );
        assert_eq!(
            proxy.taken(),
            3,
            "{kind} on {server}, forgotten: connections"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_has_one_connection_more_in_each_run() {
    let _alone = alone().await;
    for (kind, server, url) in kept() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "");
        assert_eq!(says(&subject).await, "working", "{kind} on {server}");
        let frozen = tokio::task::block_in_place(|| Server(server).freeze());
        for run in 1..=2 {
            let said = says(&subject).await;
            assert!(
                said.contains("does not answer") || said.contains("Timeout."),
                "{kind} on {server}, frozen: {said}"
            );
            assert!(
                proxy.taken() <= 1 + run,
                "{kind} on {server}: {} connections after {run} frozen runs",
                proxy.taken()
            );
        }
        drop(frozen);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(
            says(&subject).await,
            "working",
            "{kind} on {server}, thawed"
        );
    }
}

/// A sequence counts how often its statement has run, whatever became of the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_sent_once_in_each_run_however_slow_the_database_is() {
    let _alone = alone().await;
    ["postgres", "mariadb"].into_iter().for_each(up);
    let postgres = PgPool::connect(&variable("POSTGRES_URL")).await.unwrap();
    let mariadb = MySqlPool::connect(&variable("MYSQL_URL")).await.unwrap();
    for (url, sleep) in [("POSTGRES_URL", "pg_sleep"), ("MYSQL_URL", "SLEEP")] {
        let url = variable(url);
        let is_postgres = sleep == "pg_sleep";
        let next = if is_postgres {
            "nextval('health_check_runs')"
        } else {
            "NEXTVAL(health_check_runs)"
        };
        let counted = async || -> i64 {
            let last = format!("SELECT {next}");
            if is_postgres {
                let last = sqlx::query_scalar(sqlx::AssertSqlSafe(last));
                last.fetch_one(&postgres).await.unwrap()
            } else {
                let last = sqlx::query_scalar(sqlx::AssertSqlSafe(last));
                last.fetch_one(&mariadb).await.unwrap()
            }
        };
        for sql in [
            "DROP SEQUENCE IF EXISTS health_check_runs",
            if is_postgres {
                "CREATE SEQUENCE health_check_runs"
            } else {
                "CREATE SEQUENCE health_check_runs NOCACHE"
            },
        ] {
            if is_postgres {
                sqlx::raw_sql(sql).execute(&postgres).await.unwrap();
            } else {
                sqlx::raw_sql(sql).execute(&mariadb).await.unwrap();
            }
        }
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let of = |seconds: f64| {
            let query = format!("query = \"SELECT {next}, {sleep}({seconds})\"");
            check("database", &through(&url, &proxy), &query)
        };
        for seconds in [1.2, 1.6] {
            let before = (proxy.taken(), counted().await);
            let subject = of(seconds);
            for run in 1..=3 {
                assert_eq!(
                    says(&subject).await,
                    "working",
                    "{sleep}({seconds}), run {run}"
                );
            }
            assert_eq!(
                proxy.taken() - before.0,
                1,
                "{sleep}({seconds}): connections"
            );
            assert_eq!(
                counted().await - before.1,
                3 + 1,
                "{sleep}({seconds}): one in each run"
            );
        }
        let before = counted().await;
        let subject = of(0.0);
        assert_eq!(says(&subject).await, "working");
        proxy.forget();
        assert_eq!(says(&subject).await, "working", "forgotten");
        proxy.cut();
        assert_eq!(says(&subject).await, "working", "lost");
        assert_eq!(counted().await - before, 3 + 1, "one in each run");
        let subject = of(5.0);
        assert!(says(&subject).await.contains("does not answer"), "too slow");
        assert_eq!(counted().await - before, 5 + 1, "too slow");
    }
}

/// Returns a counter of the server: a field of `INFO`, or the calls of a command.
fn counter(section: &str, name: &str) -> u64 {
    let info = redis_cli(&["INFO", section]);
    let Some(line) = info.lines().find(|line| line.starts_with(name)) else {
        return 0;
    };
    let value = line[name.len()..].trim_start_matches(":calls=");
    let value = value.trim_start_matches(':');
    let end = value.find(|c: char| !c.is_ascii_digit());
    value[..end.unwrap_or(value.len())].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counters_of_redis_agree() {
    let _alone = alone().await;
    up("redis");
    let url = variable("REDIS_URL");
    let subject = check("redis", &url, "write = true");
    let count = || {
        (
            counter("stats", "total_connections_received"),
            counter("commandstats", "cmdstat_ping"),
            counter("commandstats", "cmdstat_set"),
        )
    };
    let before = count();
    for _ in 0..20 {
        assert_eq!(says(&subject).await, "working");
    }
    let after = count();
    // Each call of `counter` is a connection as well.
    assert_eq!(after.0 - before.0, 1 + 3, "connections");
    assert_eq!(after.1 - before.1, 20, "PING");
    assert_eq!(after.2 - before.2, 20, "SET");
}
