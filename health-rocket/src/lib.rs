#![doc = include_str!("../README.md")]

mod convert;

use std::future::{Future, ready};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;

use health_core::{Endpoint, Health, RequestHead};
use http::Method;
use rocket::catcher::{self, Catcher};
use rocket::config::{Config, Shutdown};
use rocket::fairing::{AdHoc, Fairing, Info, Kind};
use rocket::figment::Figment;
use rocket::http::Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
use rocket::http::Status;
use rocket::route::{Handler, Outcome, Route};
use rocket::{Data, Request, Response};

/// The health at a path such as `/ht/`, to be attached: all methods, the path with and without its final slash, and
/// what is below it.
pub fn fairing(path: &str, health: Health) -> impl Fairing + use<> {
    let endpoint = Endpoint::new(path, health);
    let base = if endpoint.base().is_empty() { "/" } else { endpoint.base() }.to_owned();
    AdHoc::on_ignite("health", |rocket| async move {
        let methods = [Get, Head, Options, Post, Put, Patch, Delete, Trace, Connect];
        // Before any route of the application that would match, too; those have ranks from -12 on. At the root, after them.
        let depth = endpoint.base().matches('/').count();
        let rank = isize::try_from(depth).map_or(100, |depth| if depth == 0 { 100 } else { -12 - depth });
        let route = |method| Route::ranked(rank, method, "/<rest..>", View(endpoint.clone()));
        // Rocket refuses methods that it does not know before it looks for a route. At the root that would be the
        // application's business, too.
        let refused = (base != "/").then(|| Catcher::new(400, View(endpoint.clone())));
        let rocket = rocket.mount(base.clone(), methods.map(route).to_vec()).register(base, Vec::from_iter(refused));
        rocket.attach(NoSniff(endpoint))
    })
}

/// Adds a header of the endpoint's that Rocket's shield has, too: the shield would warn of ours on every answer.
struct NoSniff(Endpoint);

const NO_SNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");

#[rocket::async_trait]
impl Fairing for NoSniff {
    fn info(&self) -> Info {
        Info { name: "health headers", kind: Kind::Response }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let is_there = || response.headers().iter().any(|header| header.name == NO_SNIFF.0);
        if self.0.covers(request.uri().path().as_str()) && !is_there() {
            response.set_raw_header(NO_SNIFF.0, NO_SNIFF.1);
        }
    }
}

#[derive(Clone)]
struct View(Endpoint);

impl View {
    fn answer(&self, request: &Request<'_>, method: &Method) -> impl Future<Output = Response<'static>> + Send + use<> {
        let (uri, headers) = (request.uri(), &convert::headers(request));
        let (path, query) = (uri.path().as_str(), uri.query().map_or("", |query| query.as_str()));
        self.0.respond_with(RequestHead { method, path, query, headers }, convert::response)
    }
}

#[rocket::async_trait]
impl Handler for View {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        // Rocket decodes a path, and drops its empty segments, before it looks for the route.
        if !self.0.covers(request.uri().path().as_str()) {
            return Outcome::Forward((data, Status::NotFound));
        }
        Outcome::Success(self.answer(request, &convert::method(request)).await)
    }
}

#[rocket::async_trait]
impl catcher::Handler for View {
    async fn handle<'r>(&self, _: Status, request: &'r Request<'_>) -> catcher::Result<'r> {
        let mut answer = self.answer(request, &convert::unknown_method()).await;
        answer.set_raw_header(NO_SNIFF.0, NO_SNIFF.1); // Rocket asks no fairing about this one
        Ok(answer)
    }
}

/// For [`Config`]: the signals are somebody else's, such as those of
/// [`drain_on_sigterm`](health_core::Health::drain_on_sigterm).
pub fn no_signals() -> Shutdown {
    #[cfg(unix)]
    return Shutdown { ctrlc: false, signals: [].into(), ..Shutdown::default() };
    #[cfg(not(unix))]
    Shutdown { ctrlc: false, ..Shutdown::default() }
}

/// The health on a port of its own, where a thread and a Rocket of its own answer for as long as the process lives, however
/// busy the application is. Port 0 takes a free one; the address is returned.
///
/// Checks still run where the health was built: while that runtime stands still, their rows are stale and then
/// unavailable, and `live` without members is all the same. [`HealthBuilder::runtime`](health_core::HealthBuilder::runtime)
/// gives them a runtime of their own.
///
/// # Errors
/// Those of listening there.
pub fn listen(address: impl ToSocketAddrs, path: &str, health: Health) -> io::Result<SocketAddr> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let config =
        Config { address: address.ip(), port: address.port(), shutdown: no_signals(), ..Config::release_default() };
    let log_level = Config::figment().extract_inner("log_level").unwrap_or(config.log_level); // it is one for all Rockets
    let config = Config { log_level, ..config };
    let (tell, told) = mpsc::channel();
    let tell_failure = tell.clone();
    // With Rocket's feature `secrets` there has to be a key, though this Rocket has no secrets.
    let config = Figment::from(config).merge(("secret_key", "01".repeat(32)));
    let rocket =
        rocket::custom(config).attach(fairing(path, health)).attach(AdHoc::on_liftoff("address", move |rocket| {
            let _ = tell.send(Ok(SocketAddr::new(rocket.config().address, rocket.config().port)));
            Box::pin(ready(()))
        }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        if let Err(error) = rocket.launch().await {
            let _ = tell_failure.send(Err(convert::error(&error)));
        }
    };
    thread::Builder::new().name("health".into()).spawn(move || runtime.block_on(serve))?;
    told.recv().map_err(io::Error::other)?
}
