//! Serves twenty checks, one of which may hang, and a handler that waits as long as their readers
//! do.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use clap::ValueEnum;
use health_bench::{Outcome, json_answer};
use health_core::{CheckExt as _, Endpoint, Health, Settings, check_fn};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::serve::{ADDRESS, listens_at};

/// The time that a reader waits for a check that hangs.
const BUDGET: Duration = Duration::from_millis(100);
const CHECKS: u32 = 20;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Scene {
    /// All checks work
    Working,
    /// One of the checks never returns
    Hanging,
    /// There are no checks: a handler sleeps as long as a reader waits, and sends the same bytes
    Sleeping,
}

pub(crate) async fn serve(scene: Scene) -> Outcome {
    let app = match scene {
        Scene::Working => health_axum::routes("/ht/", health(false)?),
        Scene::Hanging => health_axum::routes("/ht/", health(true)?),
        Scene::Sleeping => {
            let answer = json_answer(&Endpoint::new("/ht/", health(true)?)).await;
            let sleeps = || async move {
                sleep(BUDGET).await;
                answer.map(Body::from)
            };
            Router::new().route("/ht/", get(sleeps))
        }
    };
    let listener = TcpListener::bind(ADDRESS).await?;
    listens_at(listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// Builds a health of twenty checks. The one that hangs does not fail the report, because wrk would
/// count the answers as errors.
fn health(hangs: bool) -> Outcome<Health> {
    let mut builder = Health::builder().settings(Settings::default().budget(BUDGET));
    for number in 1..CHECKS {
        builder = builder.check(check_fn(format!("check-{number}"), || async { Ok(()) }));
    }
    let last = check_fn("last", move || async move {
        if hangs { pending().await } else { Ok(()) }
    });
    Ok(builder.check(last.non_critical()).build()?)
}
