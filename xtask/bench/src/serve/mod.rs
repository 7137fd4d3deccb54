//! Serves the same response with each framework: from a plain handler, and from the health checks.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use clap::ValueEnum;
use health_bench::{Outcome, fresh, instant, json_answer};
use health_core::{Health, Settings};
use http::Response;
use tokio::runtime::Runtime;

mod actix;
mod axum;
mod rocket;
mod tonic;
mod warp;

/// The web framework.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Framework {
    /// axum
    Axum,
    /// actix-web
    Actix,
    /// warp
    Warp,
    /// Rocket
    Rocket,
    /// tonic, with `Check` of the gRPC health protocol
    Tonic,
}

/// The handler that answers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Side {
    /// The framework's simplest handler
    Bare,
    /// The health checks
    Health,
}

/// The content that is served at `/ht/`.
enum Content {
    /// A response of the endpoint, rendered once.
    Bare(Response<Bytes>),
    /// One trivial check, with the default ttl.
    Health(Health),
}

/// A free port that only this machine can reach.
pub(crate) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves until the process is killed.
pub(crate) fn run(framework: Framework, side: Side) -> Outcome {
    if let Framework::Actix = framework {
        return actix_web::rt::System::new()
            .block_on(async { actix::serve(content(side).await?).await });
    }
    crate::runtime()?.block_on(async {
        let content = content(side).await?;
        match framework {
            Framework::Axum => axum::serve(content).await,
            Framework::Tonic => tonic::serve(content).await,
            Framework::Warp => warp::serve(content).await,
            Framework::Rocket | Framework::Actix => rocket::serve(content).await,
        }
    })
}

/// Serves a trivial check with the server that `health_axum::listen` starts, until the process is
/// killed.
pub(crate) fn listen(runtime: &Runtime) -> Outcome {
    let _inside = runtime.enter();
    let listening = health_axum::listen(ADDRESS, "/ht/", instant(1, Settings::default().ttl)?)?;
    listens_at(listening.address());
    Ok(listening.join()?)
}

async fn content(side: Side) -> Outcome<Content> {
    Ok(match side {
        Side::Bare => Content::Bare(json_answer(&fresh()?).await),
        Side::Health => Content::Health(instant(1, Settings::default().ttl)?),
    })
}

pub(crate) fn listens_at(address: SocketAddr) {
    println!("{address}");
}
