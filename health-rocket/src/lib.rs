#![doc = include_str!("../README.md")]

mod convert;

use std::future::Future;

use health_core::{Endpoint, Health, RequestHead};
pub use health_listen::{Listening, listen, listen_endpoints};
use http::Method;
use rocket::catcher::{self, Catcher};
use rocket::config::Shutdown;
use rocket::fairing::{AdHoc, Fairing, Info, Kind};
use rocket::http::Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
use rocket::http::Status;
use rocket::route::{Handler, Outcome, Route};
use rocket::{Build, Data, Request, Response, Rocket};

/// Serves the health at a path such as `/ht/`: all methods, the path with and without its final
/// slash, and everything below it. The fairing is attached to a Rocket, and handlers find the
/// health as `&State<Health>`.
pub fn fairing(path: &str, health: Health) -> impl Fairing + use<> {
    mount(Endpoint::new(path, health))
}

/// Serves an endpoint with a policy of its own, as [`fairing`] does.
pub fn mount(endpoint: Endpoint) -> impl Fairing + use<> {
    mount_all([endpoint])
}

/// Serves `/livez` and `/readyz` for the probes of Kubernetes: see [`Endpoint::probes`].
pub fn probes(health: &Health) -> impl Fairing + use<> {
    mount_all(Endpoint::probes(health))
}

fn mount_all<const N: usize>(endpoints: [Endpoint; N]) -> impl Fairing + use<N> {
    AdHoc::on_ignite("health", |rocket| async move {
        endpoints.into_iter().fold(rocket, add)
    })
}

fn add(rocket: Rocket<Build>, endpoint: Endpoint) -> Rocket<Build> {
    let base = if endpoint.base().is_empty() {
        "/"
    } else {
        endpoint.base()
    }
    .to_owned();
    let methods = [Get, Head, Options, Post, Put, Patch, Delete, Trace, Connect];
    // The rank comes before that of any matching route of the application, which is -12 or more. At
    // the root it comes after them.
    let depth = endpoint.base().matches('/').count();
    let rank =
        isize::try_from(depth).map_or(100, |depth| if depth == 0 { 100 } else { -12 - depth });
    let route = |method| Route::ranked(rank, method, "/<rest..>", View(endpoint.clone()));
    // Rocket refuses methods that it does not know before it looks for a route. At the root, that
    // is left to the application.
    let refused = (base != "/").then(|| Catcher::new(400, View(endpoint.clone())));
    let rocket = if rocket.state::<Health>().is_none() {
        rocket.manage(endpoint.health().clone())
    } else {
        rocket
    };
    let rocket = rocket
        .mount(base.clone(), methods.map(route).to_vec())
        .register(base, Vec::from_iter(refused));
    rocket.attach(NoSniff(endpoint))
}

/// Adds a header that Rocket's shield may have added already. The shield would log a warning for a
/// second one, on every answer.
struct NoSniff(Endpoint);

const NO_SNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");

#[rocket::async_trait]
impl Fairing for NoSniff {
    fn info(&self) -> Info {
        Info {
            name: "health headers",
            kind: Kind::Response,
        }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let is_there = || {
            response
                .headers()
                .iter()
                .any(|header| header.name == NO_SNIFF.0)
        };
        if self.0.covers(request.uri().path().as_str()) && !is_there() {
            response.set_raw_header(NO_SNIFF.0, NO_SNIFF.1);
        }
    }
}

#[derive(Clone)]
struct View(Endpoint);

impl View {
    fn answer(
        &self,
        request: &Request<'_>,
        method: &Method,
    ) -> impl Future<Output = Response<'static>> + Send + use<> {
        let uri = request.uri();
        let headers = &convert::headers(request);
        let path = uri.path().as_str();
        let query = uri.query().map_or("", |query| query.as_str());
        self.0.respond_with(
            RequestHead::new(method, path, query, headers),
            convert::response,
        )
    }
}

#[rocket::async_trait]
impl Handler for View {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        // Rocket decodes a path and removes its empty segments before it looks for the route.
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
        answer.set_raw_header(NO_SNIFF.0, NO_SNIFF.1); // Rocket calls no fairing for this one
        Ok(answer)
    }
}

/// Returns a shutdown configuration for [`Config`](rocket::Config) without signals, which are left
/// to [`drain_on_sigterm`](health_core::Health::drain_on_sigterm).
pub fn no_signals() -> Shutdown {
    #[cfg(unix)]
    return Shutdown {
        ctrlc: false,
        signals: [].into(),
        ..Shutdown::default()
    };
    #[cfg(not(unix))]
    Shutdown {
        ctrlc: false,
        ..Shutdown::default()
    }
}
