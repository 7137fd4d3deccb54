#![doc = include_str!("../README.md")]

mod convert;

use std::future::Future;

use health_core::{Endpoint, Health, RequestHead};
pub use health_listen::{Listening, listen};
use http::Method;
use rocket::catcher::{self, Catcher};
use rocket::config::Shutdown;
use rocket::fairing::{AdHoc, Fairing, Info, Kind};
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

/// For [`Config`](rocket::Config): the signals are somebody else's, such as those of
/// [`drain_on_sigterm`](health_core::Health::drain_on_sigterm).
pub fn no_signals() -> Shutdown {
    #[cfg(unix)]
    return Shutdown { ctrlc: false, signals: [].into(), ..Shutdown::default() };
    #[cfg(not(unix))]
    Shutdown { ctrlc: false, ..Shutdown::default() }
}
