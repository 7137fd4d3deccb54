//! Tests the pools and clients of the application that this crate can ping, each against its
//! server: healthy, refused, frozen, killed, back again, with a rotated password, used up and
//! closed.

use std::any::Any;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, bb8 as diesel_bb8, deadpool as diesel_deadpool,
};
use diesel_async::{AsyncMysqlConnection, AsyncPgConnection};
use fred::interfaces::ClientLike as _;
use fred::types::Builder;
use fred::types::config::{Config as FredConfig, ReconnectPolicy};
use futures::future::{BoxFuture, FutureExt as _, LocalBoxFuture};
use health_checks::pool::{Ping, PoolHealthCheck};
use health_core::{CheckExt as _, FailureKind, Health, Selection};
use redis::aio::ConnectionManager;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::connection::{exec, redis_cli, user};
use crate::harness::{Server, alone, nobody, port, variable};
use crate::proxy::{Proxy, through};

/// The maximum number of connections of every pool here.
const MOST: u32 = 2;

/// The timeout of every check here.
const TIMEOUT: Duration = Duration::from_secs(1);

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
    /// `true` if it is made without a connection.
    is_lazy: bool,
}

impl Kind {
    /// Returns `true` if the client tells a server that refuses connections from one that has
    /// closed them.
    fn tells_refused(&self) -> bool {
        self.refused != OF_DIESEL
    }
}

const OF_REDIS: &[&str] = &[
    "Unable to connect to Redis: Connection was refused.",
    "Unable to connect to Redis: Connection Error",
];
const REDIS_AUTHENTICATION: &str = "unavailable: Unable to connect to Redis: Authentication error.";
const AUTHENTICATION: &str = "unavailable: authentication failed";

const REFUSED: &[&str] = &["connection refused"];
const OF_DIESEL: &[&str] = &["the server can't be reached"];
const OF_ONE_CONNECTION: &[&str] = &["connection lost"];

/// Returns a kind on PostgreSQL.
const fn on_postgres(
    name: &'static str,
    make: fn(String) -> LocalBoxFuture<'static, Subject>,
) -> Kind {
    let server = "postgres";
    let url = "POSTGRES_URL";
    Kind {
        name,
        server,
        url,
        make,
        refused: REFUSED,
        authentication: AUTHENTICATION,
        is_lazy: true,
    }
}

/// Returns a kind on MariaDB.
const fn on_mariadb(
    name: &'static str,
    make: fn(String) -> LocalBoxFuture<'static, Subject>,
) -> Kind {
    Kind {
        server: "mariadb",
        url: "MYSQL_URL",
        ..on_postgres(name, make)
    }
}

/// Returns a kind on a single Redis.
const fn on_redis(
    name: &'static str,
    make: fn(String) -> LocalBoxFuture<'static, Subject>,
) -> Kind {
    let server = "redis";
    let url = "REDIS_URL";
    let refused = OF_REDIS;
    let authentication = REDIS_AUTHENTICATION;
    Kind {
        server,
        url,
        refused,
        authentication,
        is_lazy: false,
        ..on_postgres(name, make)
    }
}

/// All kinds, except for a cluster of Redis.
const KINDS: [Kind; 15] = [
    on_postgres("sqlx on PostgreSQL", |url| {
        ready(sqlx_on_postgres(&url)).boxed_local()
    }),
    on_mariadb("sqlx on MariaDB", |url| {
        ready(sqlx_on_mariadb(&url)).boxed_local()
    }),
    on_postgres("deadpool-postgres", |url| {
        ready(deadpool_postgres(&url)).boxed_local()
    }),
    Kind {
        refused: OF_ONE_CONNECTION,
        authentication: "unavailable: connection lost",
        is_lazy: false,
        ..on_postgres("tokio-postgres", |url| tokio_postgres(url).boxed_local())
    },
    Kind {
        refused: OF_DIESEL,
        ..on_postgres("diesel-async on deadpool", |url| {
            ready(diesel_on_deadpool(url)).boxed_local()
        })
    },
    Kind {
        refused: OF_DIESEL,
        ..on_postgres("diesel-async on bb8", |url| {
            ready(diesel_on_bb8(url)).boxed_local()
        })
    },
    on_mariadb("diesel-async on MariaDB", |url| {
        ready(diesel_on_mariadb(url)).boxed_local()
    }),
    on_postgres("sea-orm", |url| sea_orm(url).boxed_local()),
    on_mariadb("sea-orm on MariaDB", |url| {
        sea_orm_on_mariadb(url).boxed_local()
    }),
    Kind {
        is_lazy: true,
        ..on_redis("bb8-redis", |url| ready(bb8_redis(&url)).boxed_local())
    },
    Kind {
        is_lazy: true,
        ..on_redis("deadpool-redis", |url| {
            ready(deadpool_redis(url)).boxed_local()
        })
    },
    on_redis("ConnectionManager", |url| {
        connection_manager(url).boxed_local()
    }),
    on_redis("ConnectionManager alone", |url| {
        connection_manager_alone(url).boxed_local()
    }),
    on_redis("fred", |url| fred(url).boxed_local()),
    on_redis("fred's pool", |url| fred_pool(url).boxed_local()),
];

fn health(client: impl Ping) -> Health {
    let check = PoolHealthCheck::new(client)
        .named("pool")
        .timeout(TIMEOUT)
        .ttl(Duration::ZERO);
    Health::builder().check(check).build().unwrap()
}

impl Subject {
    /// Creates the subject of a client without a pool.
    fn client(client: impl Ping) -> Self {
        Self {
            health: health(client),
            hold: None,
            close: None,
        }
    }

    /// Creates the subject of a pool, from which `get` takes a connection.
    fn pool<P, C, F>(pool: P, get: impl Fn(P) -> F + 'static, close: Option<fn(&P)>) -> Self
    where
        P: Ping + Clone,
        C: Send + 'static,
        F: Future<Output = C> + Send + 'static,
    {
        let held = pool.clone();
        let closed = pool.clone();
        let take_all = move || {
            let all = futures::future::join_all((0..MOST).map(|_| get(held.clone())));
            async move { Box::new(all.await) as Box<dyn Any + Send> }.boxed()
        };
        let close = close.map(|close| Box::new(move || close(&closed)) as Box<dyn Fn()>);
        Self {
            hold: Some(Box::new(take_all)),
            close,
            ..Self::client(pool)
        }
    }
}

fn sqlx_on_postgres(url: &str) -> Subject {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(MOST)
        .connect_lazy(url)
        .unwrap();
    let close = |pool: &sqlx::PgPool| drop(pool.close()); // it is closed at once, whoever waits
    Subject::pool(
        pool,
        |pool| async move { pool.acquire().await.unwrap() },
        Some(close),
    )
}

fn sqlx_on_mariadb(url: &str) -> Subject {
    let pool = sqlx::mysql::MySqlPoolOptions::new()
        .max_connections(MOST)
        .connect_lazy(url)
        .unwrap();
    let close = |pool: &sqlx::MySqlPool| drop(pool.close());
    Subject::pool(
        pool,
        |pool| async move { pool.acquire().await.unwrap() },
        Some(close),
    )
}

fn deadpool_postgres(url: &str) -> Subject {
    use deadpool_postgres::{Manager, Pool};
    let manager = Manager::new(url.parse().unwrap(), ::tokio_postgres::NoTls);
    let pool = Pool::builder(manager)
        .max_size(MOST as usize)
        .build()
        .unwrap();
    Subject::pool(
        pool,
        |pool| async move { pool.get().await.unwrap() },
        Some(Pool::close),
    )
}

async fn tokio_postgres(url: String) -> Subject {
    let (client, connection) = ::tokio_postgres::connect(&url, ::tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    Subject::client(Arc::new(client))
}

fn diesel_on_deadpool(url: String) -> Subject {
    use diesel_deadpool::Pool;
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = Pool::builder(manager)
        .max_size(MOST as usize)
        .build()
        .unwrap();
    Subject::pool(
        pool,
        |pool| async move { pool.get().await.unwrap() },
        Some(Pool::close),
    )
}

fn diesel_on_bb8(url: String) -> Subject {
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = diesel_bb8::Pool::builder()
        .max_size(MOST)
        .build_unchecked(manager);
    Subject::pool(
        pool,
        |pool| async move { pool.get_owned().await.unwrap() },
        None,
    )
}

fn diesel_on_mariadb(url: String) -> Subject {
    let manager = AsyncDieselConnectionManager::<AsyncMysqlConnection>::new(url);
    let pool = diesel_bb8::Pool::builder()
        .max_size(MOST)
        .build_unchecked(manager);
    Subject::pool(
        pool,
        |pool| async move { pool.get_owned().await.unwrap() },
        None,
    )
}

async fn database(url: String) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(MOST)
        .sqlx_logging(false)
        .connect_lazy(true);
    Database::connect(options).await.unwrap()
}

async fn sea_orm_on_mariadb(url: String) -> Subject {
    let get = |pool: DatabaseConnection| async move {
        pool.get_mysql_connection_pool().acquire().await.unwrap()
    };
    let close = |pool: &DatabaseConnection| drop(pool.get_mysql_connection_pool().close());
    Subject::pool(database(url).await, get, Some(close))
}

async fn sea_orm(url: String) -> Subject {
    let get = |pool: DatabaseConnection| async move {
        pool.get_postgres_connection_pool().acquire().await.unwrap()
    };
    let close = |pool: &DatabaseConnection| drop(pool.get_postgres_connection_pool().close());
    Subject::pool(database(url).await, get, Some(close))
}

fn bb8_redis(url: &str) -> Subject {
    let manager = bb8_redis::RedisConnectionManager::new(url).unwrap();
    let pool = bb8_redis::bb8::Pool::builder()
        .max_size(MOST)
        .build_unchecked(manager);
    Subject::pool(
        pool,
        |pool| async move { pool.get_owned().await.unwrap() },
        None,
    )
}

fn deadpool_redis(url: String) -> Subject {
    use deadpool_redis::{Config, Pool, Runtime};
    let builder = Config::from_url(url)
        .builder()
        .unwrap()
        .max_size(MOST as usize)
        .runtime(Runtime::Tokio1);
    let pool = builder.build().unwrap();
    Subject::pool(
        pool,
        |pool| async move { pool.get().await.unwrap() },
        Some(Pool::close),
    )
}

async fn connection_manager(url: String) -> Subject {
    let client = redis::Client::open(url).unwrap();
    let manager = ConnectionManager::new(client.clone()).await.unwrap();
    Subject::client((manager, client))
}

async fn connection_manager_alone(url: String) -> Subject {
    let manager = ConnectionManager::new(redis::Client::open(url).unwrap())
        .await
        .unwrap();
    Subject::client(manager)
}

/// Returns a builder of clients that connect again.
fn fred_builder(url: &str) -> Builder {
    let mut builder = Builder::from_config(FredConfig::from_url(url).unwrap());
    builder.set_policy(ReconnectPolicy::new_constant(0, 200));
    builder
}

async fn fred(url: String) -> Subject {
    let client = fred_builder(&url).build().unwrap();
    client.init().await.unwrap();
    Subject::client(client)
}

async fn fred_pool(url: String) -> Subject {
    let pool = fred_builder(&url).build_pool(MOST as usize).unwrap();
    pool.init().await.unwrap();
    Subject::client(pool)
}

async fn row(health: &Health) -> (String, Option<FailureKind>, Duration) {
    let began = Instant::now();
    let report = health.read(&Selection::default()).await.unwrap();
    let row = &report.checks[0];
    (
        row.pretty_status(),
        row.errors.first().map(|error| error.kind),
        began.elapsed(),
    )
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
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{name}, back again: {said}"
        );
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
            assert_eq!(
                says(&subject.health).await,
                "working",
                "{}, run {run}",
                kind.name
            );
        }
        // A direct connection tests the server before a pool of bb8 opens its first connection. The
        // pool of sqlx takes a connection back in a task of its own, and may open another one
        // before that.
        let is_sqlx = ["sqlx", "sea-orm"]
            .iter()
            .any(|driver| kind.name.starts_with(driver));
        let most = if is_sqlx || kind.name == "fred's pool" {
            MOST as usize
        } else {
            1
        };
        assert!(
            (1..=most).contains(&proxy.taken()),
            "{}: {} connections",
            kind.name,
            proxy.taken()
        );
        let Some(hold) = &subject.hold else { continue };
        let connections = hold().await;
        let before = proxy.taken();
        for _ in 0..3 {
            let (said, failure, took) = row(&subject.health).await;
            let message =
                format!("unavailable: no free connection in the pool ({MOST} of {MOST} in use)");
            assert_eq!(said, message, "{}", kind.name);
            assert_eq!(failure, Some(FailureKind::Saturated), "{}", kind.name);
            assert!(
                took < TIMEOUT,
                "{}, used up: before the timeout, and not after {took:?}",
                kind.name
            );
        }
        assert!(
            proxy.taken() <= before + 1,
            "{}: one to look at the server, in half a minute",
            kind.name
        );
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
        let silent = [
            "unavailable: the server does not answer",
            "unavailable: Unable to connect to Redis: Timeout.",
        ];
        assert!(
            silent.contains(&said.as_str()),
            "{}, frozen: {said}",
            kind.name
        );
        assert_eq!(failure, Some(FailureKind::TimedOut), "{}", kind.name);
        assert!(
            took < TIMEOUT + Duration::from_millis(500),
            "{}, frozen: {took:?}",
            kind.name
        );
        back(&subject.health, kind.name).await;
        // The direct connection to the frozen server was the only one in half a minute.
        let subject = (kind.make)(variable(kind.url)).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        Server(kind.server).kill();
        let mut said = Vec::new();
        // The first runs may see how the old connection ends.
        for _ in 0..4 {
            let (text, failure, took) = row(&subject.health).await;
            assert!(
                took < TIMEOUT + Duration::from_millis(500),
                "{}, killed: {took:?}",
                kind.name
            );
            assert_ne!(
                failure,
                Some(FailureKind::Saturated),
                "{}: {text}",
                kind.name
            );
            said.push(text);
        }
        let last = said
            .last()
            .unwrap()
            .strip_prefix("unavailable: ")
            .unwrap_or_default();
        let is_silent =
            kind.name == "ConnectionManager alone" && last == "the server does not answer";
        assert!(
            kind.refused.contains(&last) || is_silent,
            "{}, killed: {said:?}",
            kind.name
        );
        up(kind.server);
        if kind.name == "tokio-postgres" {
            continue; // the client has one connection, which the application replaces
        }
        back(&subject.health, kind.name).await;
        let Some(close) = subject.close else { continue };
        close();
        let (said, failure, took) = row(&subject.health).await;
        assert_eq!(said.as_str(), "unavailable: the pool is closed");
        assert_eq!(failure, Some(FailureKind::Misconfigured));
        assert!(
            took < Duration::from_secs(1),
            "{}, closed: {took:?}",
            kind.name
        );
    }
}

fn mariadb(sql: &str) {
    exec(
        "mariadb",
        &[
            "mariadb",
            "--no-defaults",
            "--protocol=tcp",
            "-u",
            "health",
            "-e",
            sql,
        ],
    );
}

/// Runs a statement that may end its own connection.
fn mariadb_as(user: &str, password: &str, sql: &str) {
    let user = format!("--user={user}");
    let password = format!("--password={password}");
    let statement = [
        "mariadb",
        "--no-defaults",
        "--protocol=tcp",
        &user,
        &password,
        "-e",
        sql,
    ];
    let command = ["sh", "-c", "\"$@\" || true", "sh"];
    exec("mariadb", &[command.as_slice(), &statement].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_never_there_refuses() {
    let _alone = alone().await;
    for kind in KINDS.iter().filter(|kind| kind.is_lazy) {
        let subject = (kind.make)(nobody(&variable(kind.url))).await;
        for run in 0..3 {
            let (said, failure, took) = row(&subject.health).await;
            let said = said.strip_prefix("unavailable: ").unwrap_or_default();
            assert!(
                kind.refused.contains(&said),
                "{}, run {run}: {said}",
                kind.name
            );
            let expected = if kind.tells_refused() {
                FailureKind::Refused
            } else {
                FailureKind::Lost
            };
            assert_eq!(failure, Some(expected), "{}, run {run}", kind.name);
            assert!(took < TIMEOUT, "{}, run {run}: {took:?}", kind.name);
        }
        // What was learnt in an earlier run has its cause in the log as well.
        let report = subject.health.read(&Selection::default()).await.unwrap();
        assert!(
            report.checks[0].errors[0].reference.is_some(),
            "{}",
            kind.name
        );
    }
}

/// The usual incident: queries of the application wait for the server, and so they hold all
/// connections of the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_frozen_or_gone_is_blamed_although_the_pool_is_used_up() {
    let _alone = alone().await;
    for kind in KINDS {
        up(kind.server);
        let url = variable(kind.url);
        let proxy = Proxy::to(port(&url), Duration::ZERO).await;
        let subject = (kind.make)(through(&url, &proxy)).await;
        let Some(hold) = &subject.hold else { continue };
        let connections = hold().await;
        let before = proxy.taken();
        let frozen = Server(kind.server).freeze();
        for run in 0..3 {
            let (said, failure, took) = row(&subject.health).await;
            let silent = [
                "unavailable: the server does not answer",
                "unavailable: Unable to connect to Redis: Timeout.",
            ];
            assert!(
                silent.contains(&said.as_str()),
                "{}, frozen, run {run}: {said}",
                kind.name
            );
            assert_eq!(failure, Some(FailureKind::TimedOut), "{}", kind.name);
            assert!(
                took < TIMEOUT + Duration::from_millis(500),
                "{}, frozen: {took:?}",
                kind.name
            );
        }
        assert!(
            proxy.taken() <= before + 1,
            "{}: one direct connection is under way",
            kind.name
        );
        drop(frozen);
        // It has reached the server now, and what it has learnt is that the pool is to blame. A
        // client of Redis has given up meanwhile, which is what it has learnt for half a minute.
        let began = Instant::now();
        while kind.server != "redis" && row(&subject.health).await.1 != Some(FailureKind::Saturated)
        {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", kind.name);
        }
        drop(connections);
        back(&subject.health, kind.name).await;
        assert!(
            proxy.taken() <= before + 1 + MOST as usize,
            "{}: {} connections",
            kind.name,
            proxy.taken()
        );

        let subject = (kind.make)(url).await;
        let connections = (subject.hold.as_ref().unwrap())().await;
        Server(kind.server).kill();
        for run in 0..3 {
            let (said, failure, took) = row(&subject.health).await;
            let text = said.strip_prefix("unavailable: ").unwrap_or_default();
            assert!(
                kind.refused.contains(&text),
                "{}, killed, run {run}: {said}",
                kind.name
            );
            assert_ne!(failure, Some(FailureKind::Saturated), "{}", kind.name);
            assert!(took < TIMEOUT, "{}, killed: {took:?}", kind.name);
        }
        up(kind.server);
        drop(connections);
        back(&subject.health, kind.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_a_run_ends_it() {
    let _alone = alone().await;
    for kind in KINDS {
        up(kind.server);
        let subject = (kind.make)(variable(kind.url)).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        let frozen = Server(kind.server).freeze();
        let health = subject.health.clone();
        let run = tokio::spawn(async move { row(&health).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        Server(kind.server).kill();
        drop(frozen);
        let (said, failure, took) = run.await.unwrap();
        assert!(said.starts_with("unavailable: "), "{}: {said}", kind.name);
        assert!(
            ![Some(FailureKind::Saturated), Some(FailureKind::Other)].contains(&failure),
            "{}: {said}",
            kind.name
        );
        assert!(
            took < TIMEOUT + Duration::from_millis(500),
            "{}: {took:?}",
            kind.name
        );
        up(kind.server);
    }
}

const SHORT: Duration = Duration::from_millis(200);

/// Pools that give up before the check does.
const IMPATIENT: [Kind; 3] = [
    on_postgres("sqlx", |url| {
        let options = sqlx::postgres::PgPoolOptions::new()
            .max_connections(MOST)
            .acquire_timeout(SHORT);
        let pool = options.connect_lazy(&url).unwrap();
        ready(Subject::pool(
            pool,
            |pool| async move { pool.acquire().await.unwrap() },
            None,
        ))
        .boxed_local()
    }),
    on_postgres("deadpool", |url| {
        use deadpool_postgres::{Manager, Pool, Runtime};
        let manager = Manager::new(url.parse().unwrap(), ::tokio_postgres::NoTls);
        let pool = Pool::builder(manager)
            .max_size(MOST as usize)
            .wait_timeout(Some(SHORT))
            .runtime(Runtime::Tokio1);
        let pool = pool.build().unwrap();
        ready(Subject::pool(
            pool,
            |pool| async move { pool.get().await.unwrap() },
            None,
        ))
        .boxed_local()
    }),
    on_redis("bb8", |url| {
        let manager = bb8_redis::RedisConnectionManager::new(url).unwrap();
        let pool = bb8_redis::bb8::Pool::builder()
            .max_size(MOST)
            .connection_timeout(SHORT)
            .build_unchecked(manager);
        ready(Subject::pool(
            pool,
            |pool| async move { pool.get_owned().await.unwrap() },
            None,
        ))
        .boxed_local()
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_of_the_pool_does_not_hide_what_is_wrong() {
    let _alone = alone().await;
    for kind in IMPATIENT {
        up(kind.server);
        let subject = (kind.make)(variable(kind.url)).await;
        let connections = (subject.hold.as_ref().unwrap())().await;
        let (said, failure, _) = row(&subject.health).await;
        let message =
            format!("unavailable: no free connection in the pool ({MOST} of {MOST} in use)");
        assert_eq!(said, message, "{}", kind.name);
        assert_eq!(failure, Some(FailureKind::Saturated), "{}", kind.name);
        drop(connections);
        back(&subject.health, kind.name).await;
        let subject = (kind.make)(variable(kind.url)).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        let frozen = Server(kind.server).freeze();
        let (said, failure, _) = row(&subject.health).await;
        drop(frozen);
        assert_eq!(
            said, "unavailable: the server does not answer",
            "{}",
            kind.name
        );
        assert_eq!(failure, Some(FailureKind::TimedOut), "{}", kind.name);
        back(&subject.health, kind.name).await;
    }
}

/// The application has closed its client, or gave it no policy to connect again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_fred_that_does_not_connect_again_is_told_from_a_silent_server() {
    let _alone = alone().await;
    up("redis");
    let closed = fred_builder(&variable("REDIS_URL")).build().unwrap();
    closed.init().await.unwrap();
    let once = Builder::from_config(FredConfig::from_url(&variable("REDIS_URL")).unwrap())
        .build()
        .unwrap();
    once.init().await.unwrap();
    let subjects = [health(closed.clone()), health(once)];
    for subject in &subjects {
        assert_eq!(says(subject).await, "working");
    }
    closed.quit().await.unwrap();
    redis_cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    for subject in &subjects {
        let _it_may_see_the_end = says(subject).await;
        let (said, failure, _) = row(subject).await;
        let message = "unavailable: the client is not connected, but the server answers";
        assert_eq!(said.as_str(), message);
        assert_eq!(failure, Some(FailureKind::Lost));
    }
}

/// Such a client is one connection, which its own task carries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_tokio_postgres_is_lost_until_the_application_replaces_it() {
    let _alone = alone().await;
    up("postgres");
    let connect = async || {
        ::tokio_postgres::connect(&variable("POSTGRES_URL"), ::tokio_postgres::NoTls)
            .await
            .unwrap()
    };
    let (client, connection) = connect().await;
    let carrier = tokio::spawn(connection);
    let subject = health(Arc::new(client));
    assert_eq!(says(&subject).await, "working");
    carrier.abort();
    let _ = carrier.await;
    for _ in 0..2 {
        let (said, failure, took) = row(&subject).await;
        assert_eq!(said.as_str(), "unavailable: connection lost");
        assert_eq!(failure, Some(FailureKind::Lost));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let (client, connection) = connect().await;
    tokio::spawn(connection);
    assert_eq!(says(&health(Arc::new(client))).await, "working");
}

/// The connections of a pool outlive a password. The check reports a rotated password once the pool
/// connects again, as the application's next query would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_password_is_seen_when_the_pool_connects() {
    let _alone = alone().await;
    let sql = |sql: &str| exec("postgres", &["psql", "-qc", sql]);
    for kind in KINDS {
        up(kind.server);
        let rotate = |password: &str| {
            if kind.server == "redis" {
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
                return;
            }
            if kind.server == "mariadb" {
                let user =
                    format!("CREATE OR REPLACE USER rotating@'%' IDENTIFIED BY '{password}'");
                mariadb(&format!("{user}; GRANT SELECT ON health.* TO rotating@'%'"));
                return;
            }
            sql(
                "DO $$ BEGIN CREATE ROLE rotating LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            );
            sql(&format!("ALTER ROLE rotating PASSWORD '{password}'"));
        };
        tokio::task::block_in_place(|| rotate("first"));
        let subject = (kind.make)(user(&variable(kind.url), "rotating")).await;
        assert_eq!(says(&subject.health).await, "working", "{}", kind.name);
        tokio::task::block_in_place(|| rotate("second"));
        if kind.server == "redis" {
            redis_cli(&["CLIENT", "KILL", "USER", "rotating"]);
        } else if kind.server == "mariadb" {
            // Only this user may end its connections, with its own as the last one.
            mariadb_as("rotating", "second", "KILL USER rotating");
        } else {
            sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'",
            );
        }
        let mut said = Vec::new();
        for _ in 0..4 {
            said.push(says(&subject.health).await);
        }
        let is_told = said.iter().any(|text| text == kind.authentication);
        assert!(
            is_told || kind.name == "ConnectionManager alone",
            "{}, rotated: {said:?}",
            kind.name
        );
        assert!(
            said.iter().skip(1).all(|text| text != "working"),
            "{}, rotated: {said:?}",
            kind.name
        );
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
    assert!(
        said.starts_with("unavailable: "),
        "one of two masters is frozen: {said}"
    );
    assert_eq!(failure, Some(FailureKind::TimedOut), "{said}");
    assert!(took < TIMEOUT + Duration::from_millis(500), "{took:?}");
    back(&health, "ClusterConnection").await;
    Server("cluster-2").kill();
    for run in 0..3 {
        let (said, failure, took) = row(&health).await;
        let message = "unavailable: 1 of 2 masters of the cluster can't be reached";
        assert!(run == 0 || said == message, "run {run}: {said}"); // the first run may see how the connection ends
        assert!(
            [Some(FailureKind::Lost), Some(FailureKind::Refused)].contains(&failure),
            "run {run}: {said}"
        );
        assert!(took < TIMEOUT + Duration::from_millis(500), "{took:?}");
    }
    up("cluster-2");
    back(&health, "ClusterConnection").await;
}
