//! Code that all measurements share: a health with trivial checks, and requests to it.

use std::time::Duration;

use bytes::Bytes;
use health_core::{BuildError, Endpoint, Health, Settings, check_fn};
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response};

/// The result of a program that measures.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The `Accept` header of a browser.
const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// The `Accept` headers that responses are measured with, by their names in the output.
pub const ACCEPTS: [(&str, Option<&str>); 3] = [
    ("plain", None),
    ("json", Some("application/json")),
    ("browser", Some(BROWSER)),
];

/// Builds a health with this number of checks, which return immediately. Each verdict is fresh for
/// `ttl`.
///
/// # Errors
/// Never fails, because the checks have different names.
pub fn instant(checks: usize, ttl: Duration) -> Result<Health, BuildError> {
    let names = (0..checks).map(|number| format!("check-{number}"));
    let instant = |name| check_fn(name, || async { Ok(()) });
    let builder = Health::builder().settings(Settings::default().ttl(ttl));
    names
        .fold(builder, |builder, name| builder.check(instant(name)))
        .build()
}

/// Builds an endpoint with one check, whose verdict stays fresh for the whole measurement.
///
/// # Errors
/// Never fails, for the same reason as [`instant`].
pub fn fresh() -> Result<Endpoint, BuildError> {
    Ok(Endpoint::new("/ht/", instant(1, Duration::from_hours(24))?))
}

/// Returns a request for all checks.
pub fn request(accept: Option<&'static str>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static("/ht/");
    request
        .headers_mut()
        .extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
    request
}

/// Returns the response to `?format=json`, which the servers are measured with.
pub async fn json_answer(endpoint: &Endpoint) -> Response<Bytes> {
    let mut request = request(None);
    *request.uri_mut() = http::Uri::from_static("/ht/?format=json");
    endpoint.respond(&request).await
}
