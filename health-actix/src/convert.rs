//! actix-web has types of its own and those of http 0.2; the endpoint has those of http 1.

use std::convert::Infallible;

use actix_web::body::SizedStream;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::stream;
use health_core::Endpoint;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use percent_encoding::percent_decode_str;

/// The parameter that has what is below the base; no scope of the application has one of this name.
pub(crate) const REST: &str = "__health_rest";

/// A path as actix-web compares it.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

pub(crate) fn method(request: &HttpRequest) -> Method {
    Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default()
}

/// Those that the endpoint reads.
pub(crate) fn headers(request: &HttpRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        if let Some(name) = Endpoint::READS.into_iter().find(|read| name == *read)
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            headers.append(name, value);
        }
    }
    headers
}

/// The path without the scopes above the endpoint. The rest that the resource has matched is decoded, except for its
/// slashes; so it is the part of the path as it was sent that has as many of them.
pub(crate) fn path<'a>(request: &'a HttpRequest, base: &str) -> &'a str {
    let path = request.uri().path();
    let rest = request.match_info().get(REST);
    let slashes = rest.map_or(usize::from(path.ends_with('/')), |rest| rest.matches('/').count() + 1);
    let rest = slashes.checked_sub(1).and_then(|last| path.rmatch_indices('/').nth(last));
    let above = path[..rest.map_or(path.len(), |(start, _)| start)].strip_suffix(base).map_or(0, str::len);
    &path[above..]
}

/// Most answers have these; the others' names are parsed.
fn usual(name: &HeaderName) -> Option<header::HeaderName> {
    Some(match *name {
        CONTENT_TYPE => header::CONTENT_TYPE,
        CACHE_CONTROL => header::CACHE_CONTROL,
        EXPIRES => header::EXPIRES,
        VARY => header::VARY,
        X_CONTENT_TYPE_OPTIONS => header::X_CONTENT_TYPE_OPTIONS,
        _ => return None,
    })
}

/// An answer to HEAD has no body, and the length of the body it would have had.
pub(crate) fn response(response: &Response<Bytes>) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut converted = HttpResponse::build(status);
    // A middleware may change the body, so its length is told by the body alone.
    for (name, value) in response.headers().iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        match usual(name) {
            Some(name) => converted.append_header((name, value.as_bytes())),
            None => converted.append_header((name.as_str(), value.as_bytes())),
        };
    }
    if !response.body().is_empty() {
        return converted.body(response.body().clone());
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    converted.body(SizedStream::new(length.unwrap_or_default(), stream::empty::<Result<Bytes, Infallible>>()))
}
