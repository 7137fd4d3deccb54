#![doc = include_str!("../README.md")]

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use health_core::{Endpoint, Health};

/// The health at a path such as `/ht/`: all methods, the path with and without its final slash, and what is below it.
///
/// Merges into a router of any state.
pub fn routes<S: Clone + Send + Sync + 'static>(path: &str, health: Health) -> Router<S> {
    let endpoint = Endpoint::new(path, health);
    let base = endpoint.base().to_owned();
    let answer = any(move |request: Request| {
        let response = endpoint.respond(&request);
        async move { response.await.map(Body::from) }
    });
    let routes = Router::new().without_v07_checks().route(&format!("{base}/"), answer.clone());
    let routes = routes.route(&format!("{base}/{{*rest}}"), answer.clone());
    if base.is_empty() { routes } else { routes.route(&base, answer) }
}
