//! Tests `database` and `migrations` on PostgreSQL and MariaDB.

use std::time::{Duration, Instant};

use health_checks::{DatabaseBackend, DatabasePool, MigrationsHealthCheck};
use health_core::{CheckExt, Health};
use sqlx::migrate::Migrator;
use sqlx::{MySqlPool, PgPool};

use crate::harness::{Server, alone, nobody, password, variable};
use crate::scenario::{Scenario, health, says};

fn scenario(server: &'static str, variable_: &str) -> Scenario {
    let url = variable(variable_);
    let check = |url: &str| format!("kind = \"database\"\nurl = \"{url}\"");
    Scenario {
        server: Server(server),
        check: check(&url),
        nobody: check(&nobody(&url)),
        refused: "unavailable: connection refused",
        wrong_password: Some((
            check(&url.replace(password(&url), "wrong")),
            "unavailable: authentication failed",
        )),
        secret: Some(password(&url).to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let _alone = alone().await;
    let postgres = scenario("postgres", "POSTGRES_URL");
    postgres.play().await;
    let unknown = postgres.check.replace("/health\"", "/nowhere\"");
    let message = "unavailable: there is no such database";
    postgres
        .expect(
            &crate::scenario::health(&unknown),
            message,
            "unknown database",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb() {
    let _alone = alone().await;
    let mariadb = scenario("mariadb", "MYSQL_URL");
    mariadb.play().await;
    let unknown = mariadb.check.replace("/health\"", "/nowhere\"");
    let message = "unavailable: permission denied"; // this hides whether the database exists
    mariadb
        .expect(
            &crate::scenario::health(&unknown),
            message,
            "unknown database",
        )
        .await;
}

/// Runs the check, and returns its message.
async fn said(check: impl CheckExt) -> String {
    let health = Health::builder()
        .check(check.timeout(Duration::from_secs(2)))
        .build()
        .unwrap();
    health.report().await.checks[0].pretty_status()
}

/// Runs the same test on any database. The tables are dropped at the end.
macro_rules! writes_and_migrates {
    ($pool:expr) => {{
        let pool = $pool;
        for table in ["DROP TABLE IF EXISTS health_check_db_testmodel", "DROP TABLE IF EXISTS _sqlx_migrations"] {
            sqlx::raw_sql(table).execute(&pool).await.unwrap();
        }
        let write = || DatabaseBackend::new(pool.clone()).write(true);
        let missing =
            "unavailable: table health_check_db_testmodel is missing: apply the migration that comes with this check";
        assert_eq!(said(write()).await, missing);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("20210403000000_health_check_db_testmodel.sql");
        std::fs::write(&file, health_checks::database::MIGRATION).unwrap();
        let migrations = || MigrationsHealthCheck::new(pool.clone(), folder.path());
        let pending = "unavailable: There are migrations to apply: 1 (20210403000000 health check db testmodel)";
        assert_eq!(said(migrations()).await, pending);
        Migrator::new(folder.path()).await.unwrap().run(&pool).await.unwrap();
        assert_eq!(said(migrations()).await, "working");
        for _ in 0..10 {
            assert_eq!(said(write()).await, "working");
        }
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM health_check_db_testmodel").fetch_one(&pool).await.unwrap();
        assert_eq!(rows, 0);
        std::fs::write(&file, "SELECT 1").unwrap();
        let changed = said(migrations()).await;
        assert!(changed.starts_with("unavailable: Migrations were changed after they were applied: 1 ("), "{changed}");
        std::fs::remove_file(&file).unwrap();
        let unknown = "warning: Migrations are applied that this code does not know: 1 (20210403000000)";
        assert_eq!(said(migrations()).await, unknown);
        for table in ["DROP TABLE health_check_db_testmodel", "DROP TABLE _sqlx_migrations"] {
            sqlx::raw_sql(table).execute(&pool).await.unwrap();
        }
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_writes_and_migrates() {
    let _alone = alone().await;
    writes_and_migrates!(PgPool::connect(&variable("POSTGRES_URL")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_writes_and_migrates() {
    let _alone = alone().await;
    writes_and_migrates!(MySqlPool::connect(&variable("MYSQL_URL")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_session_is_observed_or_an_error() {
    let _alone = alone().await;
    let options: sqlx::postgres::PgConnectOptions = variable("POSTGRES_URL").parse().unwrap();
    let options = options.options([("default_transaction_read_only", "on")]);
    let pool = sqlx::postgres::PgPoolOptions::new().connect_lazy_with(options);
    let check = || DatabaseBackend::new(pool.clone());
    assert_eq!(said(check()).await, "working");
    let read_only = "unavailable: the database is read-only";
    assert_eq!(said(check().require_writable(true)).await, read_only);
    assert_eq!(said(check().write(true)).await, read_only);
    assert_eq!(
        said(check().write(true).require_writable(false)).await,
        read_only
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_used_up_is_told_from_a_server_that_is_away() {
    let _alone = alone().await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(2)
        .connect(&variable("POSTGRES_URL"))
        .await
        .unwrap();
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let began = Instant::now();
    let text = said(DatabaseBackend::new(DatabasePool::from(pool.clone()))).await;
    assert_eq!(
        text,
        "unavailable: no free connection in the pool (2 of 2 in use)"
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    drop(held);
    assert_eq!(said(DatabaseBackend::new(pool)).await, "working");
}

/// Runs all statements of `database` and `migrations` on connections of the check's own, one after
/// the other and concurrently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_either_mode_is_no_obstacle() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("pgbouncer").up());
    let pool = PgPool::connect(&variable("POSTGRES_URL")).await.unwrap();
    for table in [
        "DROP TABLE IF EXISTS health_check_db_testmodel",
        "DROP TABLE IF EXISTS _sqlx_migrations",
    ] {
        sqlx::raw_sql(table).execute(&pool).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder
        .path()
        .join("20210403000000_health_check_db_testmodel.sql");
    std::fs::write(&file, health_checks::database::MIGRATION).unwrap();
    Migrator::new(folder.path())
        .await
        .unwrap()
        .run(&pool)
        .await
        .unwrap();
    for name in ["PGBOUNCER_URL", "PGBOUNCER_SESSION_URL"] {
        let url = variable(name);
        let write = format!("kind = \"database\"\nurl = \"{url}\"\nwrite = true\nreconnect = 0");
        let source = folder.path().display();
        let migrations =
            format!("kind = \"migrations\"\nurl = \"{url}\"\nsource = \"{source}\"\nreconnect = 0");
        let subjects = [&write, &write, &migrations].map(|check| crate::scenario::health(check));
        for run in 0..5 {
            for said in futures::future::join_all(subjects.iter().map(crate::scenario::says)).await
            {
                assert_eq!(said, "working", "{name}, run {run}");
            }
        }
    }
    for table in [
        "DROP TABLE health_check_db_testmodel",
        "DROP TABLE _sqlx_migrations",
    ] {
        sqlx::raw_sql(table).execute(&pool).await.unwrap();
    }
}

/// MariaDB commits the row of a migration before the migration itself is complete. The check
/// reports that the migration is under way to a user who sees all statements, and that it may be to
/// any other user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_under_way_on_mariadb_is_not_called_failed() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("mariadb").up());
    let pool = MySqlPool::connect(&variable("MYSQL_URL")).await.unwrap();
    sqlx::raw_sql("DROP TABLE IF EXISTS _sqlx_migrations")
        .execute(&pool)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1_slow.sql"), "SELECT SLEEP(3)").unwrap();
    let url = variable("MYSQL_URL");
    let check = format!(
        "kind = \"migrations\"\nurl = \"{url}\"\nsource = \"{}\"",
        folder.path().display()
    );
    let subject = crate::scenario::health(&check);
    let migrator = Migrator::new(folder.path()).await.unwrap();
    migrator.run(&pool).await.unwrap();
    sqlx::raw_sql("UPDATE _sqlx_migrations SET success = FALSE")
        .execute(&pool)
        .await
        .unwrap();
    let work = sqlx::raw_sql("SELECT SLEEP(4)").execute(&pool);
    let look = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        crate::scenario::says(&subject).await
    };
    let (worked, during) = tokio::join!(work, look);
    worked.unwrap();
    assert_eq!(during, "unavailable: migration 1 slow is being applied");
    let after = crate::scenario::says(&subject).await;
    let unknown =
        "unavailable: migration 1 slow is not complete: it is being applied, or was interrupted";
    assert_eq!(after, unknown, "the user sees its own statements only");
    sqlx::raw_sql("DROP TABLE _sqlx_migrations")
        .execute(&pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_the_user() {
    let _alone = alone().await;
    for (server, name) in [
        ("postgres", "POSTGRES_URL"),
        ("pgbouncer", "PGBOUNCER_URL"),
        ("mariadb", "MYSQL_URL"),
    ] {
        tokio::task::block_in_place(|| Server(server).up());
        let with = |query: &str| {
            health(&format!(
                "kind = \"database\"\nurl = \"{}\"\nquery = '{query}'",
                variable(name)
            ))
        };
        for (query, said) in [
            ("SELECT 1 WHERE 1 = 0", "working"),
            ("SELECT 2", "working"),
            (
                "SELECT * FROM there_is_no_such_table",
                "unavailable: the query of the check failed",
            ),
            ("SELEKT", "unavailable: the query of the check failed"),
        ] {
            assert_eq!(says(&with(query)).await, said, "{query} on {server}");
        }
    }
}

/// Creates a role, and functions of its own that its connections find before PostgreSQL's. The
/// table has what they do.
async fn stage(pool: &PgPool, password: &str) -> String {
    unstage(pool).await;
    let statements = format!(
        "CREATE SCHEMA stage;
         CREATE TABLE stage.acts (does text);
         INSERT INTO stage.acts VALUES ('f');
         CREATE SEQUENCE stage.calls MINVALUE 0;
         CREATE FUNCTION stage.pg_is_in_recovery() RETURNS boolean LANGUAGE plpgsql AS $$
         DECLARE act text;
         BEGIN
             SELECT does INTO act FROM stage.acts;
             PERFORM nextval('stage.calls');
             IF length(act) = 5 THEN RAISE EXCEPTION 'staged' USING ERRCODE = act; END IF;
             RETURN act::boolean;
         END $$;
         CREATE ROLE staged LOGIN PASSWORD '{password}';
         ALTER ROLE staged SET search_path = stage, pg_catalog;
         GRANT USAGE ON SCHEMA stage TO staged;
         GRANT ALL ON ALL TABLES IN SCHEMA stage TO staged;
         GRANT ALL ON ALL SEQUENCES IN SCHEMA stage TO staged;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(pool)
        .await
        .unwrap();
    let url = variable("POSTGRES_URL");
    let (_, place) = url.split_once('@').unwrap();
    place.to_owned()
}

async fn unstage(pool: &PgPool) {
    let statements = "DROP SCHEMA IF EXISTS stage CASCADE; DROP ROLE IF EXISTS staged;";
    sqlx::raw_sql(statements).execute(pool).await.unwrap();
}

async fn act(pool: &PgPool, does: &str) {
    let statement = format!("UPDATE stage.acts SET does = '{does}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(pool)
        .await
        .unwrap();
}

/// The check is rebuilt when its password changes, and each run connects anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_seen_across_connections_and_passwords() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("postgres").up());
    let pool = PgPool::connect(&variable("POSTGRES_URL")).await.unwrap();
    let place = stage(&pool, "first").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "first").unwrap();
    let check = |more: &str| {
        health(&format!(
            "kind = \"database\"\nurl = \"postgres://staged@{place}\"\npassword_file = \"{}\"\nreconnect = 0\n{more}",
            file.display()
        ))
    };
    let primary = check("");
    let observed = check("require_writable = false");
    for health in [&primary, &observed] {
        assert_eq!(says(health).await, "working");
    }
    act(&pool, "t").await;
    let read_only = "unavailable: the database is read-only: it took writes less than 1 min ago";
    assert_eq!(says(&primary).await, read_only);
    sqlx::raw_sql("ALTER ROLE staged PASSWORD 'second'")
        .execute(&pool)
        .await
        .unwrap();
    std::fs::write(&file, "second").unwrap();
    assert_eq!(says(&primary).await, read_only, "with another password");
    assert_eq!(says(&observed).await, "working");
    assert_eq!(
        says(&check("")).await,
        "working",
        "it never took writes in this check"
    );
    act(&pool, "f").await;
    assert_eq!(says(&primary).await, "working");
    unstage(&pool).await;
}

/// The error would be in the log of the server in each run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_the_first_statement_gets_it_once() {
    let _alone = alone().await;
    tokio::task::block_in_place(|| Server("postgres").up());
    let pool = PgPool::connect(&variable("POSTGRES_URL")).await.unwrap();
    let place = stage(&pool, "first").await;
    let url = format!("postgres://staged:first@{place}");
    let check = |more: &str| health(&format!("kind = \"database\"\nurl = \"{url}\"\n{more}"));
    let own = check("");
    let of_pool = sqlx::postgres::PgPoolOptions::new()
        .connect_lazy(&url)
        .unwrap();
    let pooled = DatabaseBackend::new(of_pool).ttl(Duration::ZERO);
    let pooled = Health::builder().check(pooled).build().unwrap();
    let calls = async || -> i64 {
        let sql = "SELECT last_value FROM stage.calls";
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    for code in ["42883", "42501", "0A000"] {
        act(&pool, code).await;
        let told = "unavailable: it can't be told whether the server accepts writes";
        assert_eq!(
            says(&check("require_writable = true")).await,
            told,
            "{code}"
        );
    }
    let before = calls().await;
    for _ in 0..5 {
        assert_eq!(says(&own).await, "working");
        assert_eq!(pooled.report().await.checks[0].pretty_status(), "working");
    }
    assert_eq!(calls().await - before, 2, "once on each");
    // Any other error of the server is the failure.
    for (code, said) in [
        ("57P01", "unavailable: the server is shutting down"),
        ("53200", "unavailable: the server has no memory left"),
        ("58030", "unavailable: the disk of the database fails"),
    ] {
        act(&pool, code).await;
        assert_eq!(says(&check("")).await, said);
    }
    unstage(&pool).await;
}
