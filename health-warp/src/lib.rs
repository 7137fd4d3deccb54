#![doc = include_str!("../README.md")]

use std::future::ready;

use bytes::Bytes;
use health_core::{Endpoint, Health, RequestHead};
pub use health_listen::{Listening, listen};
use http::{HeaderMap, Method, Response};
use warp::filters::method::method;
use warp::path::Peek;
use warp::{Filter, Rejection};

/// The health at a path such as `/ht/`: all methods, the path with and without its final slash, and what is below it.
///
/// Below another path it is `warp::path("internal").and(routes("/ht/", health))`.
pub fn routes(
    path: &str,
    health: Health,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + use<> {
    let endpoint = Endpoint::new(path, health);
    let ours = endpoint.clone();
    let path = warp::path::peek().and_then(move |rest: Peek| {
        let path = ["/", rest.as_str()].concat();
        ready(if ours.covers(&path) { Ok(path) } else { Err(warp::reject::not_found()) })
    });
    let query = warp::query::raw().or_else(|_| ready(Ok::<_, Rejection>((String::new(),))));
    let asked = path.and(query).and(method()).and(warp::header::headers_cloned());
    asked.then(move |path: String, query: String, method: Method, headers: HeaderMap| {
        let request = RequestHead { method: &method, path: &path, query: &query, headers: &headers };
        endpoint.respond_with(request, |answer| Response::clone(answer))
    })
}
