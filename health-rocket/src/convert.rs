//! Converts between the types of Rocket and the types of http 1 that the endpoint has.

use std::borrow::Cow;
use std::io::Cursor;

use health_core::{Endpoint, SharedResponse};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rocket::http::{Header, Status};

pub(crate) fn method(request: &rocket::Request<'_>) -> Method {
    Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default()
}

/// Returns a method that no endpoint knows. Rocket does not tell the name of a method that it does
/// not know itself.
pub(crate) fn unknown_method() -> Method {
    Method::from_bytes(b"UNKNOWN").unwrap_or_default()
}

/// Converts the headers that the endpoint reads.
pub(crate) fn headers(request: &rocket::Request<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in request.headers().iter() {
        if let Some(name) = Endpoint::REQUEST_HEADERS
            .iter()
            .copied()
            .find(|name| header.name == *name)
            && let Ok(value) = HeaderValue::from_str(&header.value)
        {
            headers.append(name, value);
        }
    }
    headers
}

/// Converts an answer. One to HEAD has no body, but the length of the body of a GET.
pub(crate) fn response(response: &SharedResponse) -> rocket::Response<'static> {
    let mut converted = rocket::Response::new();
    converted.set_status(Status::new(response.status().as_u16()));
    for (name, value) in response.headers() {
        // The body determines the length, as a fairing may change it; the other header is added by
        // `NoSniff`.
        if name != CONTENT_LENGTH
            && name != X_CONTENT_TYPE_OPTIONS
            && let Ok(value) = str::from_utf8(value.as_bytes())
        {
            converted.set_header(Header::new(self::name(name), value.to_owned()));
        }
    }
    converted.set_sized_body(length(response), Cursor::new(response.body().clone()));
    converted
}

/// Returns the name of a header, without an allocation for those that most answers have.
fn name(name: &HeaderName) -> Cow<'static, str> {
    match *name {
        CONTENT_TYPE => "content-type".into(),
        CACHE_CONTROL => "cache-control".into(),
        EXPIRES => "expires".into(),
        VARY => "vary".into(),
        _ => name.as_str().to_owned().into(),
    }
}

fn length(response: &SharedResponse) -> Option<usize> {
    match response.body().len() {
        0 => response
            .headers()
            .get(CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok(),
        length => Some(length),
    }
}
