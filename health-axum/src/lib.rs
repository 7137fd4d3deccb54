#![doc = include_str!("../README.md")]

use axum::Router;
use health_core::{Endpoint, Health};
pub use health_listen::{Listening, listen};

/// The health at a path such as `/ht/`: all methods, the path with and without its final slash, and what is below it.
///
/// Merges into a router of any state, and may be nested.
pub fn routes<S: Clone + Send + Sync + 'static>(path: &str, health: Health) -> Router<S> {
    let endpoint = Endpoint::new(path, health);
    let base = endpoint.base().to_owned();
    let routes = Router::new().without_v07_checks();
    let routes = routes.route_service(&format!("{base}/"), endpoint.clone());
    let routes = routes.route_service(&format!("{base}/{{*rest}}"), endpoint.clone());
    if base.is_empty() { routes } else { routes.route_service(&base, endpoint) }
}
