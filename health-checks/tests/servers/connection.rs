//! Tests the connections of a check's own with a proxy that forgets them, a password that is
//! rotated, a server that is gone, and a reply that is an error.

use std::process::Command;
use std::time::Duration;

use health_core::Health;

use crate::harness::{Server, alone, password, port, variable};
use crate::proxy::{Proxy, through};
use crate::scenario::{health, says};

/// Returns the checks that keep a connection: the kind, the server, and the URL of the server.
pub(crate) fn kept() -> [(&'static str, &'static str, String); 9] {
    [
        ("database", "postgres", variable("POSTGRES_URL")),
        ("database", "pgbouncer", variable("PGBOUNCER_URL")),
        ("database", "mariadb", variable("MYSQL_URL")),
        ("redis", "redis", variable("REDIS_URL")),
        ("cache", "redis", variable("REDIS_URL")),
        ("cache", "memcached", variable("MEMCACHED_URL")),
        ("rabbitmq", "rabbitmq", variable("BROKER_URL")),
        ("grpc", "grpc", variable("GRPC_URL")),
        ("nats", "nats", variable("NATS_URL")),
    ]
}

pub(crate) fn check(kind: &str, url: &str, more: &str) -> Health {
    health(&format!("kind = \"{kind}\"\nurl = \"{url}\"\n{more}"))
}

pub(crate) fn up(server: &'static str) {
    tokio::task::block_in_place(|| Server(server).up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_opened_once_and_one_that_was_forgotten_is_replaced_within_the_run() {
    let _alone = alone().await;
    for (kind, server, url) in kept() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "");
        for _ in 0..20 {
            assert_eq!(says(&subject).await, "working", "{kind} on {server}");
        }
        assert_eq!(proxy.taken(), 1, "{kind} on {server}: 20 runs, connections");
        proxy.forget();
        assert_eq!(
            says(&subject).await,
            "working",
            "{kind} on {server}, forgotten"
        );
        assert_eq!(
            says(&subject).await,
            "working",
            "{kind} on {server}, after that"
        );
        assert_eq!(
            proxy.taken(),
            2,
            "{kind} on {server}: connections after one was forgotten"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_no_older_than_reconnect_idle_or_not() {
    let _alone = alone().await;
    for (kind, server, url) in kept() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "reconnect = \"1s\"");
        assert_eq!(says(&subject).await, "working", "{kind} on {server}");
        proxy.close(); // open connections stay open, and new ones are refused
        assert_eq!(
            says(&subject).await,
            "working",
            "{kind} on {server}, still connected"
        );
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let said = says(&subject).await;
        assert!(
            said.contains("refused"),
            "{kind} on {server}, a second later: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_has_a_connection_of_its_own_where_that_is_wanted() {
    let _alone = alone().await;
    for (kind, server, url) in kept() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "reconnect = 0");
        for _ in 0..3 {
            assert_eq!(says(&subject).await, "working", "{kind} on {server}");
        }
        assert_eq!(proxy.taken(), 3, "{kind} on {server}");
    }
}

pub(crate) fn redis_cli(args: &[&str]) -> String {
    let url = variable("REDIS_URL");
    let mut command = Command::new("redis-cli");
    command
        .args([
            "-p",
            &port(&url).to_string(),
            "-a",
            password(&url),
            "--no-auth-warning",
        ])
        .args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn exec(service: &str, command: &[&str]) {
    let output = Command::new(variable("HEALTH_XTASK"))
        .args(["services", "exec", service])
        .args(command)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Returns the same URL for another user.
pub(crate) fn user(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    format!(
        "{scheme}://{name}:first@{}",
        rest.split_once('@').unwrap().1
    )
}

/// A kind, the variable with its URL, and a function that sets the password of the user `rotating`.
type Rotation<'f> = (&'static str, &'static str, &'f dyn Fn(&str));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_rotated_is_seen_after_reconnect() {
    let _alone = alone().await;
    ["postgres", "mariadb", "redis", "rabbitmq"]
        .into_iter()
        .for_each(up);
    let sql = |sql: &str| exec("postgres", &["psql", "-qc", sql]);
    let rotations: [Rotation<'_>; 4] = [
        ("database", "POSTGRES_URL", &|password| {
            sql(
                "DO $$ BEGIN CREATE ROLE rotating LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            );
            sql(&format!("ALTER ROLE rotating PASSWORD '{password}'"));
        }),
        ("database", "MYSQL_URL", &|password| {
            let sql = format!(
                "CREATE OR REPLACE USER rotating@'%' IDENTIFIED BY '{password}'; GRANT SELECT ON health.* TO rotating@'%'"
            );
            exec(
                "mariadb",
                &[
                    "mariadb",
                    "--no-defaults",
                    "--protocol=tcp",
                    "-u",
                    "health",
                    "-e",
                    &sql,
                ],
            );
        }),
        ("redis", "REDIS_URL", &|password| {
            redis_cli(&[
                "ACL",
                "SETUSER",
                "rotating",
                "on",
                "resetpass",
                &format!(">{password}"),
                "+@all",
                "~*",
            ]);
        }),
        ("rabbitmq", "BROKER_URL", &|password| {
            // The user may exist already.
            let add = format!(
                "rabbitmqctl add_user rotating {password} || rabbitmqctl change_password rotating {password}"
            );
            let allow = "rabbitmqctl set_permissions -p / rotating '.*' '.*' '.*'";
            exec("rabbitmq", &["sh", "-c", &format!("({add}) && {allow}")]);
        }),
    ];
    for (kind, url, rotate) in rotations {
        let url = user(&variable(url), "rotating");
        tokio::task::block_in_place(|| rotate("first"));
        let subject = check(kind, &url, "reconnect = \"2s\"");
        assert_eq!(says(&subject).await, "working", "{url}");
        tokio::task::block_in_place(|| rotate("second"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let said = says(&subject).await;
        assert!(
            said.to_lowercase().contains("authentication"),
            "{kind}, rotated: {said}"
        );
    }
}

/// The reply of Redis to the first command, and the message of the check.
const REPLIES: [(&str, &str); 9] = [
    (
        "-NOAUTH Authentication required.",
        "Unable to connect to Redis: Authentication error.",
    ),
    (
        "-LOADING Redis is loading the dataset in memory",
        "Redis is loading its data",
    ),
    (
        "-MASTERDOWN Link with MASTER is down",
        "Redis: its master is down",
    ),
    (
        "-BUSY Redis is busy running a script.",
        "Redis is busy with a script",
    ),
    (
        "-NOPERM this user has no permissions",
        "Redis: permission denied",
    ),
    (
        "-DENIED Redis is running in protected mode",
        "Redis is in protected mode: it wants a password from other hosts",
    ),
    (
        "-ERR max number of clients reached",
        "Redis takes no more connections",
    ),
    (
        "-MISCONF Redis is configured to save",
        "Redis can't save to its disk",
    ),
    (
        "-CLUSTERDOWN The cluster is down",
        "Redis: the cluster is down",
    ),
];

/// Starts a fake that answers every command with this reply. A real server is hard to bring into
/// most of these states.
async fn answering(reply: &'static str) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read) = stream.read(&mut buffer).await {
                    let commands = String::from_utf8_lossy(&buffer[..read])
                        .matches('*')
                        .count();
                    let is_set = buffer[..read].windows(7).any(|part| part == b"SETINFO");
                    let answer = if is_set {
                        "+OK\r\n".repeat(commands)
                    } else {
                        format!("{reply}\r\n").repeat(commands)
                    };
                    if read == 0 || stream.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    (port, taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_answers_with_an_error_gets_one_connection() {
    use bb8_redis::{RedisConnectionManager, bb8::Pool};
    use health_checks::RedisHealthCheck;
    use health_checks::cache::{CacheBackend, RedisStore};
    use health_core::CheckExt as _;
    let runs = 5;
    let mut on_pools = Vec::new();
    for (reply, words) in REPLIES {
        let (port, taken) = answering(reply).await;
        let url = format!("redis://127.0.0.1:{port}/0");
        let pool = || Pool::builder().build_unchecked(RedisConnectionManager::new(&*url).unwrap());
        let of_pool = |check: health_core::Configured<_>| {
            Health::builder()
                .check(check.ttl(Duration::ZERO))
                .build()
                .unwrap()
        };
        let subjects = [
            ("redis", check("redis", &url, "")),
            ("cache", check("cache", &url, "")),
            (
                "redis on a pool",
                of_pool(health_core::BoxCheck::new(RedisHealthCheck::new(pool())).into_check()),
            ),
            (
                "cache on a pool",
                of_pool(
                    health_core::BoxCheck::new(CacheBackend::new(RedisStore::new(pool())))
                        .into_check(),
                ),
            ),
        ];
        for (name, subject) in subjects {
            let before = taken.load(std::sync::atomic::Ordering::SeqCst);
            for _ in 0..runs {
                let report = subject
                    .read(&health_core::Selection::default())
                    .await
                    .unwrap();
                let row = report
                    .checks
                    .iter()
                    .find(|row| !row.errors.is_empty())
                    .expect("it fails");
                assert_eq!(
                    row.pretty_status(),
                    format!("unavailable: {words}"),
                    "{name}: {reply}"
                );
            }
            let connections = taken.load(std::sync::atomic::Ordering::SeqCst) - before;
            let is_closed = reply.starts_with("-DENIED") || reply.contains("max number of clients");
            let expected = match name {
                // A pool of bb8 opens further connections before it can be stopped, how many depends
                // on the load of the machine, and there is one beside it. A pool that nobody stops
                // opens thousands.
                name if name.ends_with("pool") => {
                    on_pools.push(connections);
                    runs..=10 * runs
                }
                _ if is_closed => runs..=runs,
                _ => 1..=1,
            };
            assert!(
                expected.contains(&connections),
                "{name}: {connections} connections, {runs} runs: {reply}"
            );
        }
    }
    let all = on_pools.iter().sum::<usize>();
    let most = 3 * runs * on_pools.len();
    assert!(
        all <= most,
        "more than three connections a run on average: {on_pools:?}"
    );
}

/// The real server causes the same messages, in the states that it can be brought into.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_real_redis_refuses_is_told_in_words() {
    let _alone = alone().await;
    up("redis");
    let url = variable("REDIS_URL");
    let without_password = url.replace(&format!(":{}@", password(&url)), "");
    let no_auth = "unavailable: Unable to connect to Redis: Authentication error.";
    assert_eq!(says(&check("redis", &without_password, "")).await, no_auth);
    assert_eq!(says(&check("cache", &without_password, "")).await, no_auth);
    let far = url.replace("/1", "/99");
    assert_eq!(
        says(&check("redis", &far, "")).await,
        "unavailable: Redis has no such database"
    );
    redis_cli(&[
        "ACL", "SETUSER", "mute", "on", ">first", "~*", "+@all", "-ping",
    ]);
    let mute = user(&url, "mute");
    assert_eq!(
        says(&check("redis", &mute, "")).await,
        "unavailable: Redis: permission denied"
    );
    redis_cli(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    redis_cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let said = tokio::spawn({
        let subject = check("redis", &url, "");
        async move { says(&subject).await }
    });
    let said = said.await;
    redis_cli(&["REPLICAOF", "NO", "ONE"]); // in any case, for the tests after this one
    redis_cli(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    assert_eq!(said.unwrap(), "unavailable: Redis: its master is down");
    assert_eq!(says(&check("redis", &url, "")).await, "working");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_behind_a_sentinel_and_as_a_cluster() {
    let _alone = alone().await;
    ["redis", "sentinel", "cluster", "cluster-2"]
        .into_iter()
        .for_each(up);
    let sentinel = variable("SENTINEL_URL");
    for kind in ["redis", "cache"] {
        for url in [
            sentinel.clone(),
            variable("CLUSTER_URL"),
            variable("CLUSTER_2_URL"),
        ] {
            let subject = check(kind, &url, "");
            for _ in 0..10 {
                assert_eq!(says(&subject).await, "working", "{kind}");
            }
        }
        let unknown = sentinel.replace("/health/", "/nobody/");
        assert_eq!(
            says(&check(kind, &unknown, "")).await,
            "unavailable: the sentinels know no master of this name"
        );
        let cluster = variable("CLUSTER_URL").replace("/0", "/1");
        let said = says(&check(kind, &cluster, "")).await;
        assert_eq!(
            said,
            "unavailable: Redis is a cluster, which has database 0 only"
        );
    }
    // A sentinel that is gone is skipped.
    let nobody = crate::harness::nobody(&variable("REDIS_URL"));
    let with_nobody = sentinel.replace(
        "127.0.0.1:",
        &format!("127.0.0.1:{},127.0.0.1:", port(&nobody)),
    );
    assert_eq!(says(&check("redis", &with_nobody, "")).await, "working");
}

/// Only the first connection of a server stalls in the middle of its handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls_once_does_not_keep_the_check_red() {
    let _alone = alone().await;
    for (kind, server, url) in kept() {
        up(server);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = check(kind, &through(&url, &proxy), "reconnect = 0");
        let run = tokio::spawn({
            let subject = subject.clone();
            async move { says(&subject).await }
        });
        while proxy.taken() == 0 {
            tokio::task::yield_now().await;
        }
        proxy.forget();
        let first = run.await.unwrap(); // the run may have been faster
        let second = says(&subject).await;
        assert_eq!(second, "working", "{kind} on {server}: after {first}");
    }
}
