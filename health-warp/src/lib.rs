#![doc = include_str!("../README.md")]

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use health_core::{Endpoint, Health, RequestHead, SharedResponse};
pub use health_listen::{Listening, listen, listen_endpoints};
use http::{HeaderMap, Method, Response};
use warp::filters::method::method;
use warp::path::Peek;
use warp::{Filter, Rejection};

/// Serves the health at a path such as `/ht/`: all methods, the path with and without its final
/// slash, and everything below it.
///
/// To nest it below another path, write `warp::path("internal").and(routes("/ht/", health))`.
pub fn routes(
    path: &str,
    health: Health,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + use<> {
    mount(Endpoint::new(path, health))
}

/// Serves an endpoint with a policy of its own, as [`routes`] does.
pub fn mount(
    endpoint: Endpoint,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + use<> {
    let ours = endpoint.clone();
    let path = warp::path::peek().and_then(move |rest: Peek| {
        let path = ["/", rest.as_str()].concat();
        ready(if ours.covers(&path) {
            Ok(path)
        } else {
            Err(warp::reject::not_found())
        })
    });
    let query = warp::query::raw().or_else(|_| ready(Ok::<_, Rejection>((String::new(),))));
    let request = path
        .and(query)
        .and(method())
        .and(warp::header::headers_cloned());
    request.then(
        move |path: String, query: String, method: Method, headers: HeaderMap| {
            let head = RequestHead::new(&method, &path, &query, &headers);
            endpoint.respond_with(head, SharedResponse::to_response)
        },
    )
}

/// Serves `/livez` and `/readyz` for the probes of Kubernetes: see [`Endpoint::probes`].
pub fn probes(
    health: &Health,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + use<> {
    let [live, ready] = Endpoint::probes(health).map(mount);
    live.or(ready).unify()
}

/// Extracts the health, for handlers that use it.
///
/// ```
/// use health_core::Health;
/// use warp::Filter;
///
/// let health = Health::builder().build()?;
/// let checks = warp::path("checks")
///     .and(health_warp::with(health))
///     .map(|health: Health| health.identifiers().count().to_string());
/// # let _ = checks;
/// # Ok::<(), health_core::BuildError>(())
/// ```
pub fn with(
    health: Health,
) -> impl Filter<Extract = (Health,), Error = Infallible> + Clone + use<> {
    warp::any().map(move || health.clone())
}
