//! Tests that a thousand runs of every check leave this process and the servers as they were.

use std::time::{Duration, Instant};

use health_checks::config::{Config, Options};
use health_core::{Health, Selection};

use crate::harness::{Held, Server, alone, port, variable};

/// Builds a `Health` of every check that has a server, on its server.
fn everything() -> Health {
    let value = variable;
    let text = format!(
        r#"
        checks = [
            {{ ttl = 0, kind = "cache", url = "{redis}", name = "cache in Redis" }},
            {{ ttl = 0, kind = "cache", url = "{memcached}", name = "cache in memcached" }},
            {{ ttl = 0, kind = "celery", broker_url = "{amqp}", name = "task over RabbitMQ" }},
            {{ ttl = 0, kind = "celery", broker_url = "{celery_redis}", name = "task over Redis" }},
            {{ ttl = 0, kind = "celery_ping", broker_url = "{amqp}", queues = ["celery"], name = "ping over RabbitMQ" }},
            {{ ttl = 0, kind = "celery_ping", broker_url = "{celery_redis}", queues = ["celery"], name = "ping over Redis" }},
            {{ ttl = 0, kind = "database", url = "{postgres}", name = "PostgreSQL" }},
            {{ ttl = 0, kind = "database", url = "{mysql}", name = "MariaDB" }},
            {{ ttl = 0, kind = "dns", hostname = "health.test.", nameservers = ["{dns}"] }},
            {{ ttl = 0, kind = "grpc", url = "{grpc}" }},
            {{ ttl = 0, kind = "http", url = "{s3}", status = 400 }},
            {{ ttl = 0, kind = "mail", url = "{smtp}" }},
            {{ ttl = 0, kind = "nats", url = "{nats}", jetstream = true }},
            {{ ttl = 0, kind = "rabbitmq", url = "{amqp}" }},
            {{ ttl = 0, kind = "redis", url = "{redis}" }},
            {{ ttl = 0, kind = "s3", bucket = "{bucket}", region = "us-east-1", endpoint_url = "{s3}", access_key_id = "{id}", secret_access_key = "{key}" }},
            {{ ttl = 0, kind = "tcp", address = "{dns}" }},
        ]

        [settings]
        timeout = "20s"
        "#,
        redis = value("REDIS_URL"),
        memcached = value("MEMCACHED_URL"),
        amqp = value("BROKER_URL"),
        celery_redis = value("CELERY_REDIS_URL"),
        postgres = value("POSTGRES_URL"),
        mysql = value("MYSQL_URL"),
        dns = value("DNS_ADDRESS"),
        grpc = value("GRPC_URL"),
        nats = value("NATS_URL"),
        s3 = value("S3_ENDPOINT_URL"),
        smtp = value("SMTP_URL"),
        bucket = value("S3_BUCKET"),
        id = value("AWS_ACCESS_KEY_ID"),
        key = value("AWS_SECRET_ACCESS_KEY"),
    );
    Config::from_text("thousand.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap()
}

async fn all_work(health: &Health, run: usize) {
    let report = health.read(&Selection::default()).await.unwrap();
    let failing: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.pretty_status() != "working")
        .collect();
    let failing: Vec<_> = failing
        .iter()
        .map(|check| format!("{}: {}", check.identifier, check.line()))
        .collect();
    assert!(failing.is_empty(), "run {run}: {failing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_of_every_check_leave_nothing_behind() {
    let _alone = alone().await;
    for server in [
        "memcached",
        "s3",
        "smtp",
        "dns",
        "grpc",
        "nats",
        "postgres",
        "mariadb",
        "celery",
        "celery-redis",
    ] {
        tokio::task::block_in_place(|| Server(server).up()); // in case an earlier test has stopped it
    }
    let health = everything();
    let servers = [
        "REDIS_URL",
        "MEMCACHED_URL",
        "BROKER_URL",
        "POSTGRES_URL",
        "MYSQL_URL",
        "S3_ENDPOINT_URL",
        "SMTP_URL",
        "GRPC_URL",
        "NATS_URL",
    ];
    let ports: Vec<_> = servers
        .into_iter()
        .map(|server| (server, port(&variable(server))))
        .collect();
    let began = Instant::now();
    while health
        .read(&Selection::default())
        .await
        .is_ok_and(|report| !report.healthy)
    {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "the workers do not come back after an earlier test"
        );
    }
    for run in 0..10 {
        all_work(&health, run).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await; // until a client's last task has ended
    let before = Held::now(&ports);
    let began = Instant::now();
    for run in 0..1000 {
        all_work(&health, run).await;
    }
    println!(
        "1,000 runs of {} checks in {:?}",
        health.identifiers().count(),
        began.elapsed()
    );
    if let Err(now) = Held::settles(&before, &ports).await {
        panic!("1,000 runs turn {before:?} into {now:?}");
    }
}
