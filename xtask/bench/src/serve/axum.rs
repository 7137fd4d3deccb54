use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use health_bench::Outcome;
use tokio::net::TcpListener;

use super::{ADDRESS, Content, listens_at};

pub(super) async fn serve(content: Content) -> Outcome {
    let app = match content {
        Content::Bare(answer) => {
            let answer = Arc::new(answer); // axum clones the handler for each request
            Router::new().route(
                "/ht/",
                get(|| async move { answer.as_ref().clone().map(Body::from) }),
            )
        }
        Content::Health(health) => health_axum::routes("/ht/", health),
    };
    let listener = TcpListener::bind(ADDRESS).await?;
    listens_at(listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
