//! Checks on the connections that the application has anyway, so that they report what the
//! application experiences. They distinguish an exhausted pool from a database that is down.
//!
//! ```text
//! cargo run -p example-own-pool
//! curl http://127.0.0.1:8000/ht/?format=text
//! curl http://127.0.0.1:8000/busy & sleep 1; curl http://127.0.0.1:8000/ht/?format=text
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use health_checks::{DatabaseBackend, MigrationsHealthCheck};
use health_core::{CheckExt, Health};
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?; // where a real service has its data
    let database = SqliteConnectOptions::new()
        .filename(folder.path().join("shop.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(database)
        .await?;
    let migrations = Migrator::with_migrations(Vec::new()); // sqlx::migrate!() in a real service
    migrations.run(&pool).await?;

    let health = Health::builder()
        .check(DatabaseBackend::new(pool.clone()).timeout(Duration::from_secs(1)))
        .check(MigrationsHealthCheck::new(pool.clone(), migrations).every(Duration::from_secs(30)))
        .build()?;

    let app = Router::new()
        .route("/busy", get(busy))
        .with_state(pool)
        .merge(health_axum::routes("/ht/", health.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    println!("http://{}/ht/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(health.drain_on_sigterm())
        .await?;
    Ok(())
}

/// Holds the pool's only connection for ten seconds.
async fn busy(State(pool): State<SqlitePool>) -> &'static str {
    let connection = pool.acquire().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    if connection.is_ok() {
        "that was long\n"
    } else {
        "no connection\n"
    }
}
