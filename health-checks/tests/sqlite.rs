//! Tests `database` and `migrations` on real SQLite files.

#![cfg(all(
    feature = "config",
    feature = "database",
    feature = "migrations",
    feature = "sqlite"
))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::time::Duration;

use health_checks::config::{Config, Options};
use health_checks::{DatabaseBackend, MigrationsHealthCheck};
use health_core::{
    BoxCheck, CheckExt, FailureKind, Health, HealthCheck as _, Selection, ServiceUnavailable,
    check_fn,
};
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

async fn pool(folder: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("test.db"))
        .create_if_missing(true);
    SqlitePoolOptions::new()
        .max_connections(2)
        .connect_with(options)
        .await
        .unwrap()
}

/// Runs the check, and returns its message.
async fn said(check: impl CheckExt) -> String {
    let health = Health::builder()
        .check(check.timeout(Duration::from_secs(2)))
        .build()
        .unwrap();
    health.report().await.checks[0].pretty_status()
}

/// Builds a check from a table of a configuration file, with a connection of its own.
fn configured(table: &str) -> BoxCheck {
    let text = format!("[[checks]]\n{table}");
    let config = Config::from_text("test.toml", &text, &|_| None, &Options::default()).unwrap();
    let health = config.build().unwrap();
    BoxCheck::new(check_fn("configured", move || {
        let health = health.clone();
        async move {
            let report = health.read(&Selection::default()).await.unwrap();
            match report.checks[0].errors.first() {
                None => Ok(()),
                Some(error) => Err(ServiceUnavailable::new(error.message.clone()).into()),
            }
        }
    }))
}

fn migration(folder: &Path, name: &str, sql: &str) {
    std::fs::create_dir_all(folder.join("migrations")).unwrap();
    std::fs::write(folder.join("migrations").join(name), sql).unwrap();
}

async fn migrate(pool: &SqlitePool, folder: &Path) {
    Migrator::new(folder.join("migrations"))
        .await
        .unwrap()
        .run(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_query_and_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    assert_eq!(said(DatabaseBackend::new(pool.clone())).await, "working");
    let write = || DatabaseBackend::new(pool.clone()).write(true);
    assert_eq!(
        said(write()).await,
        "unavailable: table health_check_db_testmodel is missing: apply the migration that comes with this check"
    );
    sqlx::raw_sql(health_checks::database::MIGRATION)
        .execute(&pool)
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(said(write()).await, "working");
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM health_check_db_testmodel")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_read_only_database_is_observed_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    pool(folder.path()).await.close().await;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .pragma("query_only", "1");
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    let health = Health::builder()
        .check(DatabaseBackend::new(pool.clone()))
        .build()
        .unwrap();
    let report = health.report().await;
    assert!(report.healthy);
    let writable = report.checks[0]
        .observations
        .iter()
        .find(|seen| seen.name == "writable")
        .unwrap();
    assert!(writable.value.abs() < f64::EPSILON);
    assert_eq!(
        said(DatabaseBackend::new(pool).require_writable(true)).await,
        "unavailable: the database is read-only"
    );

    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .read_only(true);
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    let check = || DatabaseBackend::new(pool.clone());
    assert_eq!(
        said(check().require_writable(true)).await,
        "unavailable: the database is read-only"
    );
    assert_eq!(said(check()).await, "working");
}

/// Returns what the check says now.
async fn says(health: &Health) -> String {
    health.report().await.checks[0].pretty_status()
}

/// Builds a check that runs in each read.
fn reread(check: impl CheckExt) -> Health {
    let check = check.ttl(Duration::ZERO).timeout(Duration::from_secs(2));
    Health::builder().check(check).build().unwrap()
}

/// After a failover, the writes of the application fail, although the server answers.
#[tokio::test]
async fn a_database_that_took_writes_and_takes_none_now_fails() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let set = async |text: &'static str| {
        sqlx::raw_sql(text).execute(&pool).await.unwrap();
    };
    let check = DatabaseBackend::new(pool.clone());
    let clone = check.clone().query("SELECT 2");
    let [primary, clone] = [reread(check), reread(clone)];
    let observes = reread(DatabaseBackend::new(pool.clone()).require_writable(false));
    for health in [&primary, &observes] {
        assert_eq!(says(health).await, "working");
    }
    set("PRAGMA query_only = 1").await;
    let text = "unavailable: the database is read-only: it took writes less than 1 min ago";
    for _ in 0..3 {
        assert_eq!(says(&primary).await, text);
    }
    assert_eq!(says(&clone).await, text, "a clone has the same memory");
    let report = primary.report().await;
    assert_eq!(report.checks[0].errors[0].kind, FailureKind::ReadOnly);
    let seen: Vec<_> = report.checks[0]
        .observations
        .iter()
        .map(|seen| &*seen.name)
        .collect();
    assert!(seen.contains(&"read_only_for"), "{seen:?}");
    let replica = reread(DatabaseBackend::new(pool.clone()));
    for health in [&observes, &replica] {
        assert_eq!(says(health).await, "working");
    }
    set("PRAGMA query_only = 0").await;
    for health in [&primary, &clone, &replica] {
        assert_eq!(says(health).await, "working");
    }
    set("PRAGMA query_only = 1").await;
    assert_eq!(
        says(&replica).await,
        text,
        "it was promoted, and is no replica any more"
    );
}

/// The key says that a row is created, so a server that takes none is a failure.
#[tokio::test]
async fn a_write_needs_a_server_that_takes_writes() {
    let folder = tempfile::tempdir().unwrap();
    let writable = pool(folder.path()).await;
    sqlx::raw_sql(health_checks::database::MIGRATION)
        .execute(&writable)
        .await
        .unwrap();
    writable.close().await;
    let file = folder.path().join("test.db");
    let read_only = SqliteConnectOptions::new().filename(&file).read_only(true);
    let query_only = SqliteConnectOptions::new()
        .filename(&file)
        .pragma("query_only", "1");
    for options in [read_only, query_only] {
        let pool = SqlitePoolOptions::new()
            .connect_with(options)
            .await
            .unwrap();
        let check = DatabaseBackend::new(pool).write(true);
        for check in [check.clone(), check.clone().require_writable(false)] {
            let health = reread(check);
            let report = health.report().await;
            assert_eq!(
                report.checks[0].pretty_status(),
                "unavailable: the database is read-only"
            );
            assert_eq!(report.checks[0].errors[0].kind, FailureKind::ReadOnly);
        }
    }
}

#[test]
fn the_file_says_when_a_server_has_to_take_writes() {
    let read = |value: &str| {
        let text = format!(
            "[[checks]]\nkind = \"database\"\nurl = \"sqlite://x\"\nrequire_writable = {value}"
        );
        Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for value in ["true", "false", "\"auto\""] {
        assert_eq!(read(value), Ok(()), "{value}");
    }
    for value in ["\"true\"", "\"always\"", "1"] {
        let error = read(value).unwrap_err();
        assert!(
            error.contains("true, false or \"auto\""),
            "{value}: {error}"
        );
    }
}

/// A row that all replicas read must not remove the old ones while a new release migrates.
#[tokio::test]
async fn a_migration_half_way_is_a_warning_where_the_schema_was_complete() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    migration(
        folder.path(),
        "1_users.sql",
        "CREATE TABLE users (id INTEGER)",
    );
    migrate(&pool, folder.path()).await;
    let check = MigrationsHealthCheck::new(pool.clone(), folder.path().join("migrations"));
    let clone = check.clone().ignore_missing(true);
    let old = reread(check);
    assert_eq!(says(&old).await, "working");
    let set = async |sql: &'static str| {
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    };
    let half_way = "migration 2 failed half-way: mend the schema and remove its row";
    set(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (2, 'orders', FALSE, x'00', 0)",
    )
    .await;
    let warning = format!("warning: {half_way}");
    assert!(
        says(&old).await.starts_with(&warning),
        "{}",
        says(&old).await
    );
    assert_eq!(
        says(&reread(clone)).await,
        warning,
        "a clone has the same memory"
    );
    let new = reread(
        MigrationsHealthCheck::new(pool.clone(), folder.path().join("migrations"))
            .ignore_missing(true),
    );
    assert_eq!(says(&new).await, format!("unavailable: {half_way}"));
    migration(folder.path(), "3_mails.sql", "SELECT 1");
    let pending = reread(MigrationsHealthCheck::new(
        pool.clone(),
        folder.path().join("migrations"),
    ));
    set("DELETE FROM _sqlx_migrations WHERE version = 2").await;
    for health in [&old, &new] {
        assert_eq!(says(health).await, "working");
    }
    assert!(
        says(&pending)
            .await
            .starts_with("unavailable: There are migrations to apply")
    );
    set("UPDATE _sqlx_migrations SET success = FALSE").await;
    let text = says(&pending).await;
    assert!(
        text.starts_with("unavailable: migration 1 users failed half-way"),
        "{text}"
    );
    assert!(
        says(&new)
            .await
            .starts_with("warning: migration 1 users failed half-way")
    );
}

/// The rows change with a deployment only.
#[tokio::test]
async fn migrations_are_read_every_thirty_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let check = MigrationsHealthCheck::new(pool, folder.path());
    assert_eq!(check.default_ttl(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_pool_that_is_used_up_is_told_from_a_server_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let began = std::time::Instant::now();
    let text = said(DatabaseBackend::new(pool.clone())).await;
    assert_eq!(
        text,
        "unavailable: no free connection in the pool (2 of 2 in use)"
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "before its own timeout: {:?}",
        began.elapsed()
    );
    drop(held);
    assert_eq!(said(DatabaseBackend::new(pool)).await, "working");

    let options = SqliteConnectOptions::new().filename("/no/such/folder/test.db");
    let away = SqlitePoolOptions::new().connect_lazy_with(options);
    let began = std::time::Instant::now();
    assert_eq!(
        said(DatabaseBackend::new(away)).await,
        "unavailable: the database file can't be opened"
    );
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "at once: {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_database_says_so_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.db");
    std::fs::write(
        &file,
        "this is not a database, and it is long enough to be seen as none",
    )
    .unwrap();
    let check = configured(&format!(
        "kind = \"database\"\nurl = \"sqlite://{}\"",
        file.display()
    ));
    assert_eq!(
        said(check.clone()).await,
        "unavailable: the file is not a database"
    );
    tokio::time::sleep(Duration::from_millis(1100)).await; // past its ttl
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        said(check.clone()).await,
        "unavailable: the database file does not exist"
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    pool(folder.path()).await.close().await;
    assert_eq!(
        said(check).await,
        "working",
        "back again without restarting anything"
    );
}

#[tokio::test]
async fn migrations_that_are_pending_changed_unknown_or_failed_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    let source = folder.path().join("migrations");
    let check = || MigrationsHealthCheck::new(pool.clone(), source.as_path());
    assert_eq!(
        said(check()).await,
        "unavailable: the folder of the migrations can't be read"
    );

    migration(
        folder.path(),
        "1_users.sql",
        "CREATE TABLE users (id INTEGER)",
    );
    migration(
        folder.path(),
        "2_orders.sql",
        "CREATE TABLE orders (id INTEGER)",
    );
    assert_eq!(
        said(check()).await,
        "unavailable: There are migrations to apply: 2 (1 users, 2 orders)"
    );
    migrate(&pool, folder.path()).await;
    assert_eq!(said(check()).await, "working");
    for number in 3..10 {
        migration(folder.path(), &format!("{number}_more.sql"), "SELECT 1");
    }
    assert_eq!(
        said(check()).await,
        "unavailable: There are migrations to apply: 7 (3 more, 4 more, 5 more, 6 more, 7 more, ...)"
    );
    migrate(&pool, folder.path()).await;
    migration(
        folder.path(),
        "1_users.sql",
        "CREATE TABLE users (id BIGINT)",
    );
    assert_eq!(
        said(check()).await,
        "unavailable: Migrations were changed after they were applied: 1 (1 users)"
    );
    migration(
        folder.path(),
        "1_users.sql",
        "CREATE TABLE users (id INTEGER)",
    );
    std::fs::remove_file(source.join("9_more.sql")).unwrap();
    assert_eq!(
        said(check()).await,
        "warning: Migrations are applied that this code does not know: 1 (9)"
    );
    sqlx::query("UPDATE _sqlx_migrations SET success = false WHERE version = 2")
        .execute(&pool)
        .await
        .unwrap();
    let text = said(check()).await;
    assert!(
        text.starts_with("unavailable: migration 2 orders failed half-way"),
        "{text}"
    );
}

#[tokio::test]
async fn the_application_may_hand_over_its_own_migrator() {
    static NONE: Migrator = Migrator::DEFAULT;
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path()).await;
    migration(
        folder.path(),
        "1_users.sql",
        "CREATE TABLE users (id INTEGER)",
    );
    let migrator = Migrator::new(folder.path().join("migrations"))
        .await
        .unwrap();
    migrator.run(&pool).await.unwrap();
    assert_eq!(
        said(MigrationsHealthCheck::new(pool.clone(), migrator)).await,
        "working"
    );
    let text = said(MigrationsHealthCheck::new(pool, &NONE)).await;
    assert_eq!(
        text,
        "warning: Migrations are applied that this code does not know: 1 (1)"
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_not_ready() {
    let options = SqliteConnectOptions::new().filename("/no/such/folder/test.db");
    let folder = tempfile::tempdir().unwrap();
    migration(folder.path(), "1_users.sql", "SELECT 1");
    let away = SqlitePoolOptions::new().connect_lazy_with(options);
    let text = said(MigrationsHealthCheck::new(
        away,
        folder.path().join("migrations"),
    ))
    .await;
    assert_eq!(
        text,
        "unavailable: Database is not ready: the database file can't be opened"
    );
}

/// A check with a connection of its own notices that the file at the path is not the one that it
/// has open.
#[tokio::test]
async fn a_file_that_was_replaced_or_deleted_is_seen_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("test.db");
    let other = folder.path().join("other.db");
    pool(folder.path()).await.close().await;
    let text = format!(
        "[[checks]]\nkind = \"database\"\nttl = 0\nurl = \"sqlite://{}\"",
        here.display()
    );
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    let says = async || health.report().await.checks[0].pretty_status();
    assert_eq!(says().await, "working");
    std::fs::write(
        &other,
        "this is no database, and longer than a header of one would be: hundreds of bytes"
            .repeat(20),
    )
    .unwrap();
    std::fs::rename(&other, &here).unwrap();
    assert_eq!(says().await, "unavailable: the file is not a database");
    std::fs::remove_file(&here).unwrap();
    assert_eq!(
        says().await,
        "unavailable: the database file does not exist"
    );
    pool(folder.path()).await.close().await;
    assert_eq!(says().await, "working");
}
