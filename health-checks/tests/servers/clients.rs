//! Tests the pools and clients of the application that this crate can ping, each against its server: healthy, refused,
//! frozen, killed, back again, with a rotated password, used up and closed.

use std::any::Any;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8 as diesel_bb8, deadpool as diesel_deadpool};
use fred::interfaces::ClientLike as _;
use fred::types::Builder;
use fred::types::config::{Config as FredConfig, ReconnectPolicy};
use futures::future::{BoxFuture, FutureExt as _, LocalBoxFuture};
use health_checks::pool::{Ping, PoolHealthCheck};
use health_core::{CheckExt as _, FailureKind, Health, Selection};
use redis::aio::ConnectionManager;
use sea_orm::{ConnectOptions, Database};

use crate::connection::{exec, redis_cli, user};
use crate::harness::{Server, alone, port, variable};
use crate::proxy::{Proxy, through};

/// The maximum number of connections of every pool here.
const MOST: u32 = 2;

/// The timeout of every check here.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A function that takes all connections of a pool, until its result is dropped.
type Hold = Box<dyn Fn() -> BoxFuture<'static, Box<dyn Any + Send>>>;

/// The check of a pool, and operations on the pool.
struct Subject {
    health: Health,
    /// `None` for a client without a pool.
    hold: Option<Hold>,
    /// Closes the pool; `None` for a client that can't be closed.
    close: Option<Box<dyn Fn()>>,
}

/// A kind of client.
struct Kind {
    name: &'static str,
    server: &'static str,
    url: &'static str,
    make: fn(String) -> LocalBoxFuture<'static, Subject>,
    refused: &'static [&'static str],
    authentication: &'static str,
}

const OF_REDIS: &[&str] =
    &["Unable to connect to Redis: Connection was refused.", "Unable to connect to Redis: Connection Error"];
const REDIS_AUTHENTICATION: &str = "unavailable: Unable to connect to Redis: Authentication error.";
const AUTHENTICATION: &str = "unavailable: authentication failed";

/// All kinds whose server is PostgreSQL or a single Redis.
const KINDS: [Kind; 8] = [
    Kind {
        name: "deadpool-postgres",
        server: "postgres",
        url: "POSTGRES_URL",
        make: |url| ready(deadpool_postgres(&url)).boxed_local(),
        refused: &["connection refused"],
        authentication: AUTHENTICATION,
    },
    Kind {
        name: "tokio-postgres",
        server: "postgres",
        url: "POSTGRES_URL",
        make: |url| tokio_postgres(url).boxed_local(),
        refused: &["connection lost"],
        authentication: "unavailable: connection lost",
    },
    Kind {
        name: "diesel-async on deadpool",
        server: "postgres",
        url: "POSTGRES_URL",
        make: |url| ready(diesel_on_deadpool(url)).boxed_local(),
        refused: &["the server can't be reached"],
        authentication: AUTHENTICATION,
    },
    Kind {
        name: "diesel-async on bb8",
        server: "postgres",
        url: "POSTGRES_URL",
        make: |url| ready(diesel_on_bb8(url)).boxed_local(),
        refused: &["the server can't be reached"],
        authentication: AUTHENTICATION,
    },
    Kind {
        name: "sea-orm",
        server: "postgres",
        url: "POSTGRES_URL",
        make: |url| sea_orm(url).boxed_local(),
        refused: &["connection refused"],
        authentication: AUTHENTICATION,
    },
    Kind {
        name: "deadpool-redis",
        server: "redis",
        url: "REDIS_URL",
        make: |url| ready(deadpool_redis(url)).boxed_local(),
        refused: OF_REDIS,
        authentication: REDIS_AUTHENTICATION,
    },
    Kind {
        name: "ConnectionManager",
        server: "redis",
        url: "REDIS_URL",
        make: |url| connection_manager(url).boxed_local(),
        refused: OF_REDIS,
        authentication: REDIS_AUTHENTICATION,
    },
    Kind {
        name: "fred",
        server: "redis",
        url: "REDIS_URL",
        make: |url| fred(url).boxed_local(),
        refused: OF_REDIS,
        authentication: REDIS_AUTHENTICATION,
    },
];

fn health(pool: impl Ping) -> Health {
    let check = PoolHealthCheck::new(pool).named("pool").timeout(TIMEOUT).ttl(Duration::ZERO);
    Health::builder().check(check).build().unwrap()
}

/// Returns a function that takes all connections of a pool, each by `get`.
fn all_of<T: Send + 'static, F: Future<Output = T> + Send + 'static>(get: impl Fn() -> F + 'static) -> Hold {
    Box::new(move || {
        let all = futures::future::join_all((0..MOST).map(|_| get()));
        async move { Box::new(all.await) as Box<dyn Any + Send> }.boxed()
    })
}

fn deadpool_postgres(url: &str) -> Subject {
    use deadpool_postgres::{Manager, Pool};
    let manager = Manager::new(url.parse().unwrap(), ::tokio_postgres::NoTls);
    let pool = Pool::builder(manager).max_size(MOST as usize).build().unwrap();
    let (held, closed) = (pool.clone(), pool.clone());
    Subject {
        health: health(pool),
        hold: Some(all_of(move || {
            let pool = held.clone();
            async move { pool.get().await.unwrap() }
        })),
        close: Some(Box::new(move || closed.close())),
    }
}

async fn tokio_postgres(url: String) -> Subject {
    let (client, connection) = ::tokio_postgres::connect(&url, ::tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    Subject { health: health(Arc::new(client)), hold: None, close: None }
}

fn diesel_on_deadpool(url: String) -> Subject {
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = diesel_deadpool::Pool::builder(manager).max_size(MOST as usize).build().unwrap();
    let (held, closed) = (pool.clone(), pool.clone());
    Subject {
        health: health(pool),
        hold: Some(all_of(move || {
            let pool = held.clone();
            async move { pool.get().await.unwrap() }
        })),
        close: Some(Box::new(move || closed.close())),
    }
}

fn diesel_on_bb8(url: String) -> Subject {
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = diesel_bb8::Pool::builder().max_size(MOST).build_unchecked(manager);
    let held = pool.clone();
    Subject {
        health: health(pool),
        hold: Some(all_of(move || {
            let pool = held.clone();
            async move { pool.get_owned().await.unwrap() }
        })),
        close: None,
    }
}

async fn sea_orm(url: String) -> Subject {
    let mut options = ConnectOptions::new(url);
    options.max_connections(MOST).sqlx_logging(false).connect_lazy(true);
    let connection = Database::connect(options).await.unwrap();
    let (held, closed) = (connection.clone(), connection.clone());
    Subject {
        health: health(connection),
        hold: Some(all_of(move || {
            let pool = held.get_postgres_connection_pool().clone();
            async move { pool.acquire().await.unwrap() }
        })),
        close: Some(Box::new(move || {
            let _closing = closed.get_postgres_connection_pool().close(); // the pool is closed even if this is not awaited
        })),
    }
}

fn deadpool_redis(url: String) -> Subject {
    let config = deadpool_redis::Config::from_url(url);
    let builder = config.builder().unwrap().max_size(MOST as usize).runtime(deadpool_redis::Runtime::Tokio1);
    let pool = builder.build().unwrap();
    let (held, closed) = (pool.clone(), pool.clone());
    Subject {
        health: health(pool),
        hold: Some(all_of(move || {
            let pool = held.clone();
            async move { pool.get().await.unwrap() }
        })),
        close: Some(Box::new(move || closed.close())),
    }
}

async fn connection_manager(url: String) -> Subject {
    let client = redis::Client::open(url).unwrap();
    let manager = ConnectionManager::new(client.clone()).await.unwrap();
    Subject { health: health((manager, client)), hold: None, close: None }
}

async fn fred(url: String) -> Subject {
    let mut builder = Builder::from_config(FredConfig::from_url(&url).unwrap());
    builder.set_policy(ReconnectPolicy::new_constant(0, 200));
    let client = builder.build().unwrap();
    client.init().await.unwrap();
    Subject { health: health(client), hold: None, close: None }
}

async fn row(health: &Health) -> (String, Option<FailureKind>, Duration) {
    let began = Instant::now();
    let report = health.read(&Selection::default()).await.unwrap();
    let row = &report.checks[0];
    (row.pretty_status(), row.errors.first().map(|error| error.kind), began.elapsed())
}

async fn says(health: &Health) -> String {
    row(health).await.0
}

/// Waits until the check works again. The client reconnects after a pause of its own.
async fn back(health: &Health, name: &str) {
    let began = Instant::now();
    loop {
        let said = says(health).await;
        if said == "working" {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{name}, back again: {said}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn up(server: &'static str) {
    tokio::task::block_in_place(|| Server(server).up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_uses_one_connection_of_the_pool_and_opens_no_other() {
    let _alone = alone().await;
    for kind in KINDS {
        up(kind.server);
        let url = variable(kind.url);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = (kind.make)(through(&url, &proxy)).await;
        for run in 0..20 {
            assert_eq!(says(&subject.health).await, "working", "{}, run {run}", kind.name);
        }
        // A direct connection tests the server before a pool of bb8 opens its first connection. The pool of sqlx takes a connection back in
        // a task of its own, and may open another one before that.
        let most = if ["diesel-async on bb8", "sea-orm"].contains(&kind.name) { MOST as usize } else { 1 };
        assert!((1..=most).contains(&proxy.taken()), "{}: {} connections", kind.name, proxy.taken());
        let Some(hold) = &subject.hold else { continue };
        let connections = hold().await;
        let before = proxy.taken();
        for _ in 0..3 {
            let (said, failure, took) = row(&subject.health).await;
            let message = format!("unavailable: no free connection in the pool ({MOST} of {MOST} in use)");
            assert_eq!((said, failure), (message, Some(FailureKind::Saturated)), "{}", kind.name);
            assert!(took < TIMEOUT, "{}, used up: before the timeout, and not after {took:?}", kind.name);
        }
        assert!(proxy.taken() <= before + 1, "{}: one to look at the server, in half a minute", kind.name);
        drop(connections);
        back(&subject.health, kind.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_frozen_or_down_is_distinguished_from_an_exhausted_pool() {
    let _alone = alone().await;
    for kind in KINDS {
        up(kind.server);
        let subject = (kind.make)(variable(kind.url)).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        let frozen = Server(kind.server).freeze();
        let (said, failure, took) = row(&subject.health).await;
        drop(frozen);
        let silent = ["unavailable: the server does not answer", "unavailable: Unable to connect to Redis: Timeout."];
        assert!(silent.contains(&said.as_str()), "{}, frozen: {said}", kind.name);
        assert_eq!(failure, Some(FailureKind::TimedOut), "{}", kind.name);
        assert!(took < TIMEOUT + Duration::from_millis(500), "{}, frozen: {took:?}", kind.name);
        back(&subject.health, kind.name).await;
        // The direct connection to the frozen server was the only one in half a minute.
        let subject = (kind.make)(variable(kind.url)).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        Server(kind.server).kill();
        let mut said = Vec::new();
        // The first runs may see how the old connection ends.
        for _ in 0..4 {
            let (text, failure, took) = row(&subject.health).await;
            assert!(took < TIMEOUT + Duration::from_millis(500), "{}, killed: {took:?}", kind.name);
            assert_ne!(failure, Some(FailureKind::Saturated), "{}: {text}", kind.name);
            said.push(text);
        }
        let last = said.last().unwrap().strip_prefix("unavailable: ").unwrap_or_default();
        assert!(kind.refused.contains(&last), "{}, killed: {said:?}", kind.name);
        up(kind.server);
        if kind.name == "tokio-postgres" {
            continue; // the client has one connection, which the application replaces
        }
        back(&subject.health, kind.name).await;
        let Some(close) = subject.close else { continue };
        close();
        let (said, failure, took) = row(&subject.health).await;
        assert_eq!((said.as_str(), failure), ("unavailable: the pool is closed", Some(FailureKind::Misconfigured)));
        assert!(took < Duration::from_secs(1), "{}, closed: {took:?}", kind.name);
    }
}

/// The connections of a pool outlive a password. The check reports a rotated password once the pool connects again, as the application's
/// next query would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_password_is_seen_when_the_pool_connects() {
    let _alone = alone().await;
    let sql = |sql: &str| exec("postgres", &["psql", "-qc", sql]);
    for kind in KINDS {
        up(kind.server);
        let rotate = |password: &str| {
            if kind.server == "redis" {
                redis_cli(&["ACL", "SETUSER", "rotating", "on", "resetpass", &format!(">{password}"), "+@all", "~*"]);
                return;
            }
            sql("DO $$ BEGIN CREATE ROLE rotating LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
            sql(&format!("ALTER ROLE rotating PASSWORD '{password}'"));
        };
        tokio::task::block_in_place(|| rotate("first"));
        let subject = (kind.make)(user(&variable(kind.url), "rotating")).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        tokio::task::block_in_place(|| rotate("second"));
        if kind.server == "redis" {
            redis_cli(&["CLIENT", "KILL", "USER", "rotating"]);
        } else {
            sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'");
        }
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(says(&subject.health).await);
        }
        assert!(said.iter().any(|text| text == kind.authentication), "{}, rotated: {said:?}", kind.name);
        assert!(said.iter().skip(1).all(|text| text != "working"), "{}, rotated: {said:?}", kind.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_master_of_a_cluster_answers() {
    let _alone = alone().await;
    ["cluster", "cluster-2"].into_iter().for_each(up);
    let client = redis::cluster::ClusterClient::new([variable("CLUSTER_URL")]).unwrap();
    let health = health(client.get_async_connection().await.unwrap());
    for run in 0..5 {
        assert_eq!(says(&health).await, "working", "run {run}");
    }
    let frozen = Server("cluster-2").freeze();
    let (said, failure, took) = row(&health).await;
    drop(frozen);
    assert!(said.starts_with("unavailable: "), "one of two masters is frozen: {said}");
    assert_eq!(failure, Some(FailureKind::TimedOut), "{said}");
    assert!(took < TIMEOUT + Duration::from_millis(500), "{took:?}");
    back(&health, "ClusterConnection").await;
}
