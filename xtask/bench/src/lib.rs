//! What all measurements have in common: a health of one trivial check, and the requests to it.

use std::time::Duration;

use bytes::Bytes;
use health_core::{BuildError, Endpoint, Health, Settings, check_fn};
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response};

/// What programs with these measurements end with.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What a browser sends.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// The `Accept` headers that an answer is measured for, with their names in the output.
pub const ACCEPTS: [(&str, Option<&str>); 3] =
    [("plain", None), ("json", Some("application/json")), ("browser", Some(BROWSER))];

/// The health of a service with this many checks that return at once, each verdict good for this long.
///
/// # Errors
/// None: these checks have names that differ.
pub fn instant(checks: usize, ttl: Duration) -> Result<Health, BuildError> {
    let names = (0..checks).map(|number| format!("check-{number}"));
    let instant = |name| check_fn(name, || async { Ok(()) });
    let builder = Health::builder().settings(Settings::default().ttl(ttl));
    names.fold(builder, |builder, name| builder.check(instant(name))).build()
}

/// One check whose verdict does not end while anything is measured.
///
/// # Errors
/// None, as for [`instant`].
pub fn fresh() -> Result<Endpoint, BuildError> {
    Ok(Endpoint::new("/ht/", instant(1, Duration::from_hours(24))?))
}

/// A request for all checks.
pub fn request(accept: Option<&'static str>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = http::Uri::from_static("/ht/");
    request.headers_mut().extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
    request
}

/// The same for the servers, which are asked by `?format=json`.
pub async fn json_answer(endpoint: &Endpoint) -> Response<Bytes> {
    let mut request = request(None);
    *request.uri_mut() = http::Uri::from_static("/ht/?format=json");
    endpoint.respond(&request).await
}
