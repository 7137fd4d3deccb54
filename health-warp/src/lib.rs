#![doc = include_str!("../README.md")]

use std::future::ready;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

use bytes::Bytes;
use health_core::{Endpoint, Health, RequestHead};
use http::{HeaderMap, Method, Response};
use tokio::net::TcpListener;
use tokio::runtime;
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
    let serve = warp::serve(routes(path, health)).incoming(listener).run();
    thread::Builder::new().name("health".into()).spawn(move || runtime.block_on(serve))?;
    Ok(address)
}
