//! Tests servers at an IPv6 address. Each is behind a listener on `[::1]`.

use std::time::Duration;

use crate::harness::{Server, alone, port, variable};
use crate::proxy::Proxy;
use crate::scenario::{health_within, says};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_reaches_an_ipv6_address() {
    let _alone = alone().await;
    let s3 = format!(
        "bucket = \"{}\"\nregion = \"us-east-1\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        variable("S3_BUCKET"),
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY")
    );
    let queue = "queues = [\"celery\"]\n";
    for (kind, server, key, name, more) in [
        ("redis", "redis", "url", "REDIS_URL", ""),
        ("cache", "redis", "url", "REDIS_URL", ""),
        ("celery", "celery", "broker_url", "BROKER_URL", queue),
        (
            "celery_ping",
            "celery-redis",
            "broker_url",
            "CELERY_REDIS_URL",
            queue,
        ),
        ("rabbitmq", "rabbitmq", "url", "BROKER_URL", ""),
        ("database", "postgres", "url", "POSTGRES_URL", ""),
        ("database", "mariadb", "url", "MYSQL_URL", ""),
        ("http", "s3", "url", "S3_ENDPOINT_URL", "status = 400\n"),
        ("s3", "s3", "endpoint_url", "S3_ENDPOINT_URL", &s3),
        ("cache", "memcached", "url", "MEMCACHED_URL", ""),
        ("mail", "smtp", "url", "SMTP_URL", ""),
        ("grpc", "grpc", "url", "GRPC_URL", ""),
        ("nats", "nats", "url", "NATS_URL", "jetstream = true\n"),
        ("tcp", "redis", "address", "REDIS_URL", ""),
    ] {
        tokio::task::block_in_place(|| Server(server).up());
        let url = variable(name);
        let proxy = Proxy::between("::1", port(&url), Duration::ZERO).await;
        let place = format!("[::1]:{}", proxy.port);
        let url = if kind == "tcp" {
            place
        } else {
            url.replacen(&format!("127.0.0.1:{}", port(&url)), &place, 1)
        };
        let check = format!("kind = \"{kind}\"\n{key} = \"{url}\"\n{more}");
        let subject = health_within(&check, Duration::from_secs(5));
        let mut said = says(&subject).await;
        // A worker whose broker an earlier test has stopped comes back after a pause, or ends and
        // has to be started again.
        for _ in 0..30 {
            if said == "working" || !kind.starts_with("celery") {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            tokio::task::block_in_place(|| Server(server).up());
            said = says(&subject).await;
        }
        assert_eq!(said, "working", "{kind} on {server}");
    }
}
