//! Rocket has types of its own; the endpoint has those of http 1.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use health_core::Endpoint;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use rocket::http::{Header, Status};

pub(crate) fn method(request: &rocket::Request<'_>) -> Method {
    Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default()
}

/// Rocket has forgotten what a method was that it does not know; any other such name is as good.
pub(crate) fn unknown_method() -> Method {
    Method::from_bytes(b"UNKNOWN").unwrap_or_default()
}

/// Those that the endpoint reads.
pub(crate) fn headers(request: &rocket::Request<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for header in request.headers().iter() {
        if let Some(name) = Endpoint::REQUEST_HEADERS.iter().copied().find(|name| header.name == *name)
            && let Ok(value) = HeaderValue::from_str(&header.value)
        {
            headers.append(name, value);
        }
    }
    headers
}

/// An answer to HEAD has no body, and the length of the body it would have had.
pub(crate) fn response(response: &Arc<Response<Bytes>>) -> rocket::Response<'static> {
    let mut converted = rocket::Response::new();
    converted.set_status(Status::new(response.status().as_u16()));
    for (name, value) in response.headers() {
        // A fairing may change the body, so its length is told by the body alone; the other one is for `NoSniff`.
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

/// Most answers have these; a name that outlives the answer need not be allocated.
fn name(name: &HeaderName) -> Cow<'static, str> {
    match *name {
        CONTENT_TYPE => "content-type".into(),
        CACHE_CONTROL => "cache-control".into(),
        EXPIRES => "expires".into(),
        VARY => "vary".into(),
        _ => name.as_str().to_owned().into(),
    }
}

fn length(response: &Response<Bytes>) -> Option<usize> {
    match response.body().len() {
        0 => response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok(),
        length => Some(length),
    }
}
