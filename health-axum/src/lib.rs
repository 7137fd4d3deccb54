#![doc = include_str!("../README.md")]

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

use axum::Router;
use health_core::{Endpoint, Health};
use tokio::net::TcpListener;
use tokio::runtime;

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

/// The health on a port of its own, where a thread and a runtime of its own answer for as long as the process lives, however
/// busy the application is. Port 0 takes a free one; the address is returned.
///
/// Checks still run where the health was built: while that runtime stands still, their rows are stale and then
/// unavailable, and `live` without members is all the same. [`HealthBuilder::runtime`](health_core::HealthBuilder::runtime)
/// gives them a runtime of their own.
///
/// # Errors
/// Those of listening there.
pub fn listen(address: impl ToSocketAddrs, path: &str, health: Health) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let serve = axum::serve(listener, routes(path, health)).into_future();
    thread::Builder::new().name("health".into()).spawn(move || runtime.block_on(serve))?;
    Ok(address)
}
