//! Counts what a check with a connection of its own costs its server, in health and in each failure:
//! connections by a proxy, and requests by the server's own counters.

use std::time::{Duration, Instant};

use health_core::Health;
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

/// A database with a sequence, which counts how often a statement has run, whatever became of the
/// answer.
enum Counting {
    Postgres(PgPool),
    MariaDb(MySqlPool),
}

impl Counting {
    async fn all() -> [Self; 2] {
        ["postgres", "mariadb"].into_iter().for_each(up);
        let postgres = Self::Postgres(PgPool::connect(&variable("POSTGRES_URL")).await.unwrap());
        let mariadb = Self::MariaDb(MySqlPool::connect(&variable("MYSQL_URL")).await.unwrap());
        for database in [&postgres, &mariadb] {
            database
                .run("DROP SEQUENCE IF EXISTS health_check_runs")
                .await;
            database.run("CREATE SEQUENCE health_check_runs").await;
        }
        [postgres, mariadb]
    }

    async fn run(&self, sql: &'static str) {
        match self {
            Self::Postgres(pool) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
            Self::MariaDb(pool) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
        }
    }

    async fn number(&self, sql: &'static str) -> i64 {
        match self {
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            Self::MariaDb(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        }
    }

    /// Returns how often the sequence was used, with this time.
    async fn used(&self) -> i64 {
        self.number(match self {
            Self::Postgres(_) => "SELECT nextval('health_check_runs')",
            Self::MariaDb(_) => "SELECT NEXTVAL(health_check_runs)",
        })
        .await
    }

    fn url(&self) -> String {
        variable(match self {
            Self::Postgres(_) => "POSTGRES_URL",
            Self::MariaDb(_) => "MYSQL_URL",
        })
    }

    /// Returns a check whose query uses the sequence, and takes this time.
    fn check(&self, proxy: &Proxy, seconds: f64) -> Health {
        let query = match self {
            Self::Postgres(_) => {
                format!("SELECT nextval('health_check_runs'), pg_sleep({seconds})")
            }
            Self::MariaDb(_) => format!("SELECT NEXTVAL(health_check_runs), SLEEP({seconds})"),
        };
        let query = format!("query = \"{query}\"");
        check("database", &through(&self.url(), proxy), &query)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_query_is_sent_once_in_each_run() {
    let _alone = alone().await;
    for database in Counting::all().await {
        for seconds in [1.2, 1.6] {
            let proxy = Proxy::to(port(&database.url()), Duration::ZERO).await;
            let subject = database.check(&proxy, seconds);
            let before = database.used().await;
            for run in 1..=3 {
                assert_eq!(says(&subject).await, "working", "{seconds} s, run {run}");
            }
            assert_eq!(proxy.taken(), 1, "{seconds} s: connections");
            assert_eq!(database.used().await - before, 3 + 1, "{seconds} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_sent_once_in_each_run_on_whichever_connection() {
    let _alone = alone().await;
    for database in Counting::all().await {
        let proxy = Proxy::to(port(&database.url()), Duration::ZERO).await;
        let subject = database.check(&proxy, 0.0);
        let before = database.used().await;
        assert_eq!(says(&subject).await, "working");
        proxy.forget();
        assert_eq!(says(&subject).await, "working", "forgotten");
        proxy.cut();
        assert_eq!(says(&subject).await, "working", "lost");
        assert_eq!(database.used().await - before, 3 + 1);
        let subject = database.check(&proxy, 5.0);
        for run in 1..=2 {
            assert!(says(&subject).await.contains("does not answer"), "{run}");
        }
        assert_eq!(database.used().await - before, 3 + 1 + 2 + 1, "too slow");
    }
}

/// The connection is kept, so what the run has locked must be free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_leaves_no_transaction_open() {
    let _alone = alone().await;
    for database in Counting::all().await {
        for sql in [
            "DROP TABLE IF EXISTS health_check_db_testmodel",
            "CREATE TABLE health_check_db_testmodel (id BIGINT, title VARCHAR(4))", // too short
        ] {
            database.run(sql).await;
        }
        let proxy = Proxy::to(port(&database.url()), Duration::ZERO).await;
        let subject = check(
            "database",
            &through(&database.url(), &proxy),
            "write = true",
        );
        for run in 1..=3 {
            assert_eq!(
                says(&subject).await,
                "unavailable: Database error",
                "run {run}"
            );
        }
        if let Counting::Postgres(_) = database {
            let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in trans%'";
            assert_eq!(database.number(open).await, 0, "transactions");
        }
        assert_eq!(proxy.taken(), 1, "connections");
        // In MariaDB, an open transaction keeps its tables from being dropped.
        let dropping = database.run("DROP TABLE health_check_db_testmodel");
        tokio::time::timeout(Duration::from_secs(2), dropping)
            .await
            .expect("no transaction holds the table");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_ends_is_replaced_within_the_run() {
    let _alone = alone().await;
    ["redis", "rabbitmq"].into_iter().for_each(up);
    let [postgres, mariadb] = Counting::all().await;
    for (kind, url) in [
        ("database", postgres.url()),
        ("database", mariadb.url()),
        ("redis", variable("REDIS_URL")),
        ("rabbitmq", variable("BROKER_URL")),
    ] {
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "");
        assert_eq!(says(&subject).await, "working", "{url}");
        match url.split(':').next().unwrap() {
            "postgres" | "postgresql" => {
                let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                           WHERE pid <> pg_backend_pid() AND state = 'idle' \
                           AND query LIKE '%pg_is_in_recovery%'";
                assert!(postgres.number(end).await > 0);
            }
            "mysql" => {
                let find = "SELECT CAST(MAX(id) AS SIGNED) FROM information_schema.processlist \
                            WHERE command = 'Sleep' AND id <> CONNECTION_ID()";
                let id = mariadb.number(find).await;
                let Counting::MariaDb(pool) = &mariadb else {
                    unreachable!()
                };
                let kill = sqlx::AssertSqlSafe(format!("KILL {id}"));
                sqlx::raw_sql(kill).execute(pool).await.unwrap();
            }
            "redis" => drop(redis_cli(&["CLIENT", "KILL", "TYPE", "normal"])),
            _ => exec(
                "rabbitmq",
                &["sh", "-c", "rabbitmqctl close_all_connections maintenance"],
            ),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(says(&subject).await, "working", "{url}, ended");
        assert_eq!(proxy.taken(), 2, "{url}: connections");
    }
}

/// Returns a counter of the server: a field of `INFO`, or the calls of a command.
fn counter(section: &str, name: &str) -> u64 {
    let info = redis_cli(&["INFO", section]);
    let found = info.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        let value = value.strip_prefix("calls=").unwrap_or(value);
        Some(value.split(',').next().unwrap_or_default().trim())
    });
    found.map_or(0, |value| value.parse().unwrap())
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
            counter("commandstats", "cmdstat_set"),
        )
    };
    let before = count();
    for _ in 0..20 {
        assert_eq!(says(&subject).await, "working");
    }
    let after = count();
    // Each call of `counter` is a connection as well. A sentinel sends PING, but nobody sends SET.
    assert_eq!(after.0 - before.0, 1 + 2, "connections");
    assert_eq!(after.1 - before.1, 20, "SET");
}
