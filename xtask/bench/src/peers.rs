//! Serves the health of one PostgreSQL server with the code that a team would write or take.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use clap::ValueEnum;
use futures::join;
use health_bench::Outcome;
use health_checks::pool::PoolHealthCheck;
use health_core::{CheckExt as _, Health};
use http::StatusCode;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::serve::{ADDRESS, listens_at};

/// The code that serves the health.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Peer {
    /// health-axum with the application's pool
    HealthAxum,
    /// A handler as teams write it: a query with a timeout, for each request
    HandWritten,
    /// The crate axum-health
    AxumHealth,
}

pub(crate) async fn serve(peer: Peer, url: &str) -> Outcome {
    let pool = PgPoolOptions::new().max_connections(5).connect(url).await?;
    let app = match peer {
        Peer::HealthAxum => {
            let check = PoolHealthCheck::new(pool).named("database");
            health_axum::routes("/ht/", Health::builder().check(check).build()?)
        }
        Peer::HandWritten => Router::new()
            .route("/ht/", get(hand_written))
            .with_state(pool),
        Peer::AxumHealth => {
            let health = axum_health::service::Health::builder()
                .with_indicator(pool)
                .build();
            Router::new()
                .route("/ht/", get(axum_health::health_check))
                .layer(Extension(health))
        }
    };
    let listener = TcpListener::bind(ADDRESS).await?;
    listens_at(listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn hand_written(State(pool): State<PgPool>) -> Response {
    let query = timeout(
        Duration::from_secs(1),
        sqlx::query("SELECT 1").execute(&pool),
    );
    let (database,) = join!(query); // a second dependency would stand beside it
    let works = matches!(database, Ok(Ok(_)));
    let status = if works {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "database": if works { "up" } else { "down" } })),
    )
        .into_response()
}

/// Prints the number of transactions that the server has committed in the database of the URL. A
/// query outside of a transaction is one.
///
/// A session that reads no table tells its transactions only when it ends.
pub(crate) async fn transactions(url: &str) -> Outcome {
    let options: PgConnectOptions = url.parse()?;
    let database = options.get_database().unwrap_or_default().to_owned();
    // Connected to another database, because this query is a transaction, too.
    let mut connection = PgConnection::connect_with(&options.database("postgres")).await?;
    let committed = "SELECT xact_commit FROM pg_stat_database WHERE datname = $1";
    let committed: i64 = sqlx::query_scalar(committed)
        .bind(database)
        .fetch_one(&mut connection)
        .await?;
    println!("{committed}");
    Ok(())
}
