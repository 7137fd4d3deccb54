#![doc = include_str!("../README.md")]

mod convert;

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::guard::{self, GuardContext};
use actix_web::web::{self, ServiceConfig};
use convert::{Converter, REST};
use futures::FutureExt as _;
use health_core::{Endpoint, Health, RequestHead};
pub use health_listen::{Listening, listen};

/// The health at a path such as `/ht/`, for `configure` of an `App` or of a scope: all methods, the path with and
/// without its final slash, and what is below it.
pub fn routes(path: &str, health: Health) -> impl FnOnce(&mut ServiceConfig) + Clone + use<> {
    let endpoint = Endpoint::new(path, health);
    move |config| {
        // actix-web decodes a path before it looks for the resource; and it is faster to find one without parameters.
        let (base, converter) = (convert::decoded(endpoint.base()), Rc::new(Converter::default()));
        for pattern in [format!("{base}/"), base.clone(), format!("{base}/{{{REST}:.+}}")] {
            let (endpoint, as_sent, converter) = (endpoint.clone(), endpoint.clone(), Rc::clone(&converter));
            let is_ours = move |request: &GuardContext<'_>| request.head().uri.path().contains(as_sent.base());
            let resource = web::resource(pattern).guard(guard::fn_guard(is_ours));
            config.service(resource.to(move |request: HttpRequest| {
                let (method, path) = (&convert::method(&request), convert::path(&request, endpoint.base()));
                let (query, headers) = (request.query_string(), &convert::headers(&request));
                let answer = endpoint.respond_with(RequestHead { method, path, query, headers }, Arc::clone);
                let converter = Rc::clone(&converter);
                answer.map(move |answer| converter.response(&answer))
            }));
        }
    }
}
