#![doc = include_str!("../README.md")]

use axum::Router;
use health_core::{Endpoint, Health};
pub use health_listen::{Listening, listen, listen_endpoints};

/// Serves the health at a path such as `/ht/`: all methods, the path with and without its final
/// slash, and everything below it.
///
/// The router merges into one of any state, and may be nested.
pub fn routes<S: Clone + Send + Sync + 'static>(path: &str, health: Health) -> Router<S> {
    mount(Endpoint::new(path, health))
}

/// Serves an endpoint with a policy of its own, as [`routes`] does.
pub fn mount<S: Clone + Send + Sync + 'static>(endpoint: Endpoint) -> Router<S> {
    let base = endpoint.base().to_owned();
    let routes = Router::new().without_v07_checks();
    let routes = routes.route_service(&format!("{base}/"), endpoint.clone());
    let routes = routes.route_service(&format!("{base}/{{*rest}}"), endpoint.clone());
    if base.is_empty() {
        routes
    } else {
        routes.route_service(&base, endpoint)
    }
}

/// Serves `/livez` and `/readyz` for the probes of Kubernetes: see [`Endpoint::probes`].
pub fn probes<S: Clone + Send + Sync + 'static>(health: &Health) -> Router<S> {
    Endpoint::probes(health)
        .into_iter()
        .map(mount)
        .fold(Router::new(), Router::merge)
}
