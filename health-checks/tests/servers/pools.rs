//! Tests pools of the application: what a check takes from them, and what it costs the server.

use std::time::{Duration, Instant};

use health_checks::DatabaseBackend;
use health_checks::pool::PoolHealthCheck;
use health_core::{CheckExt, FailureKind, Health};
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::harness::{Server, alone, port, variable};
use crate::proxy::{Proxy, through};

fn subject(check: impl CheckExt) -> Health {
    Health::builder()
        .check(check.timeout(Duration::from_secs(2)).ttl(Duration::ZERO))
        .build()
        .unwrap()
}

async fn says(health: &Health) -> String {
    health
        .read(&health_core::Selection::default())
        .await
        .unwrap()
        .checks[0]
        .pretty_status()
}

async fn value(sql: &'static str) -> i64 {
    let mut connection = sqlx::MySqlConnection::connect(&variable("MYSQL_URL"))
        .await
        .unwrap();
    let (_, value): (String, String) = sqlx::query_as(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    value.parse().unwrap()
}

/// The pool needs a while to hand out a connection, because its server is 120 ms away. The check
/// opens no direct connection, and it interrupts no handshake: MariaDB counts those until it locks
/// the host out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_way_to_mariadb_costs_no_connection_and_locks_nobody_out() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("mariadb").up());
    let url = variable("MYSQL_URL");
    let proxy = Proxy::to(port(&url), Duration::from_millis(60)).await;
    let aborted = value("SHOW GLOBAL STATUS LIKE 'Aborted_connects'").await;
    let pool = MySqlPoolOptions::new()
        .max_connections(2)
        .connect(&through(&url, &proxy))
        .await
        .unwrap();
    let subject = subject(DatabaseBackend::new(pool));
    for run in 0..20 {
        assert_eq!(says(&subject).await, "working", "run {run}");
    }
    assert!(
        (1..=2).contains(&proxy.taken()),
        "the pool's own, and no other: {}",
        proxy.taken()
    );
    assert_eq!(
        value("SHOW GLOBAL STATUS LIKE 'Aborted_connects'").await,
        aborted
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_used_up_costs_one_connection_in_half_a_minute() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("postgres").up());
    let url = variable("POSTGRES_URL");
    let proxy = Proxy::to(port(&url), Duration::ZERO).await;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&through(&url, &proxy))
        .await
        .unwrap();
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let subject = subject(DatabaseBackend::new(pool.clone()));
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(
            says(&subject).await,
            "unavailable: no free connection in the pool (2 of 2 in use)"
        );
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "before the timeout"
        );
    }
    assert_eq!(
        proxy.taken(),
        3,
        "the pool's two, and one to look at the server"
    );
    drop(held);
    assert_eq!(says(&subject).await, "working");
}

/// Slow queries of the application take all connections for half a minute. No replica becomes
/// unready because of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_slow_queries_use_up_is_held() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("postgres").up());
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&variable("POSTGRES_URL"))
        .await
        .unwrap();
    let check = DatabaseBackend::new(pool.clone()).named("orders");
    let health = Health::builder()
        .check(check.timeout(Duration::from_secs(1)))
        .build()
        .unwrap();
    assert!(health.group_report("ready").await.unwrap().healthy);
    let queries: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { sqlx::query("SELECT pg_sleep(30)").execute(&pool).await })
        })
        .collect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(27) {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(
            !health.report().await.healthy,
            "red at once, in the budget of the whole"
        );
        let report = health.group_report("ready").await.unwrap();
        let row = &report.checks[0];
        assert!(report.healthy && row.held, "{row:?}");
        assert_eq!(row.errors[0].kind, FailureKind::Saturated, "{row:?}");
    }
    for query in queries {
        query.await.unwrap().unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        health.group_report("ready").await.unwrap().checks[0].pretty_status(),
        "working"
    );
}

/// The check reports the server's error on the direct connection, and the log has the cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_more_connections_is_told_from_one_that_is_silent() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("postgres").up());
    let options: PgConnectOptions = variable("POSTGRES_URL").parse().unwrap();
    let mut boss = options.connect().await.unwrap();
    sqlx::raw_sql(
        "DROP ROLE IF EXISTS crowded; CREATE ROLE crowded LOGIN PASSWORD 'x' CONNECTION LIMIT 0",
    )
    .execute(&mut boss)
    .await
    .unwrap();
    let pool = PgPoolOptions::new().connect_lazy_with(options.username("crowded").password("x"));
    let health = subject(PoolHealthCheck::new(pool));
    let report = health.report().await;
    assert_eq!(
        report.checks[0].pretty_status(),
        "unavailable: the server takes no more connections"
    );
    assert_eq!(report.checks[0].errors[0].kind, FailureKind::Saturated);
    assert!(report.checks[0].errors[0].reference.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_behind_pgbouncer_works_in_both_modes() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("pgbouncer").up());
    for name in ["PGBOUNCER_URL", "PGBOUNCER_SESSION_URL"] {
        let options: PgConnectOptions = variable(name).parse().unwrap();
        let options = options.extra_float_digits(None);
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy_with(options);
        let subject = subject(DatabaseBackend::new(pool));
        for run in 0..10 {
            assert_eq!(says(&subject).await, "working", "{name}, run {run}");
        }
    }
    let refused: PgConnectOptions = variable("PGBOUNCER_URL").parse().unwrap();
    let subject = subject(DatabaseBackend::new(
        PgPoolOptions::new().connect_lazy_with(refused),
    ));
    let words = "unavailable: the pooler refused a startup parameter: see its setting ignore_startup_parameters";
    assert_eq!(says(&subject).await, words);
}
