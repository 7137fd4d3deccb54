#![doc = include_str!("../README.md")]

mod convert;

use std::rc::Rc;

use actix_web::HttpRequest;
use actix_web::guard::{self, GuardContext};
use actix_web::web::{self, ServiceConfig};
use convert::{Converter, REST};
use futures::FutureExt as _;
use health_core::{Endpoint, Health, RequestHead, SharedResponse};
pub use health_listen::{Listening, listen, listen_endpoints};

/// Serves the health at a path such as `/ht/`, for `configure` of an `App` or of a scope: all
/// methods, the path with and without its final slash, and everything below it.
///
/// Handlers find the health as `web::Data<Health>`.
pub fn routes(path: &str, health: Health) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    mount(Endpoint::new(path, health))
}

/// Serves an endpoint with a policy of its own, as [`routes`] does.
pub fn mount(endpoint: Endpoint) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    move |config| configure(config, &endpoint)
}

/// Serves `/livez` and `/readyz` for the probes of Kubernetes: see [`Endpoint::probes`].
pub fn probes(health: &Health) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    let endpoints = Endpoint::probes(health);
    move |config| {
        for endpoint in &endpoints {
            configure(config, endpoint);
        }
    }
}

fn configure(config: &mut ServiceConfig, endpoint: &Endpoint) {
    config.app_data(web::Data::new(endpoint.health().clone()));
    // actix-web decodes a path before it looks for the resource; and it is faster to find one
    // without parameters.
    let base = convert::decoded(endpoint.base());
    let converter = Rc::new(Converter::default());
    for pattern in [
        format!("{base}/"),
        base.clone(),
        format!("{base}/{{{REST}:.+}}"),
    ] {
        let converter = Rc::clone(&converter);
        let as_sent = endpoint.clone();
        let endpoint = endpoint.clone();
        let is_ours =
            move |request: &GuardContext<'_>| request.head().uri.path().contains(as_sent.base());
        let resource = web::resource(pattern).guard(guard::fn_guard(is_ours));
        config.service(resource.to(move |request: HttpRequest| {
            let method = convert::method(&request);
            let headers = convert::headers(&request);
            let path = convert::path(&request, endpoint.base());
            let head = RequestHead::new(&method, path, request.query_string(), &headers);
            let answer = endpoint.respond_with(head, SharedResponse::clone);
            let converter = Rc::clone(&converter);
            answer.map(move |answer| converter.response(&answer))
        }));
    }
}
