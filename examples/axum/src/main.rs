//! A small service with health checks, on axum.
//!
//! ```text
//! cargo run -p example-axum
//! curl http://127.0.0.1:8000/ht/?format=text
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use health_checks::{DatabaseBackend, DefaultFileStorageHealthCheck, DiskUsage, MemoryUsage, MigrationsHealthCheck};
use health_core::{CheckExt, Findings, Health, HealthCheck, Result, ResultExt, ServiceWarning, Unit};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

/// A check of the service's own: letters that wait to be sent.
struct Mailroom {
    spool: PathBuf,
}

impl HealthCheck for Mailroom {
    async fn check_status(&self, findings: &Findings) -> Result {
        let mut letters = tokio::fs::read_dir(&self.spool).await.or_unavailable("spool folder is missing")?;
        let mut waiting = 0_u32;
        while letters.next_entry().await.or_unknown()?.is_some() {
            waiting += 1;
        }
        findings.observe("waiting", waiting, Unit::Count);
        if waiting > 100 {
            findings.add_error(ServiceWarning::new("more than 100 letters are waiting"));
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let folder = tempfile::tempdir()?; // where a real service has its data
    let database = SqliteConnectOptions::new().filename(folder.path().join("shop.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(database).await?;

    let migrations = sqlx::migrate::Migrator::with_migrations(Vec::new());
    migrations.run(&pool).await?;

    let health = Health::builder()
        .check(DatabaseBackend::new(pool.clone()).timeout(Duration::from_secs(1)))
        .check(MigrationsHealthCheck::new(pool, migrations).every(Duration::from_secs(30)))
        .check(DefaultFileStorageHealthCheck::new(folder.path()))
        .check(DiskUsage::default())
        .check(MemoryUsage::default())
        .check(Mailroom { spool: folder.path().to_owned() }.named("mailroom").non_critical())
        .build()?;

    let app = Router::new()
        .route("/", get(|| async { Html("<h1>A shop</h1><p><a href=\"/ht/\">How is it?</a></p>") }))
        .merge(health_axum::routes("/ht/", health.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    println!("http://{}/ht/", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(health.drain_on_sigterm()).await?;
    Ok(())
}
