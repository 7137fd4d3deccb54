//! Converts between the types of actix-web, with those of http 0.2, and the types of http 1 that
//! the endpoint has.

use std::cell::RefCell;
use std::convert::Infallible;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::stream;
use health_core::{Endpoint, SharedResponse};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// The name of the parameter that matches everything below the base. No scope of an application has
/// one of this name.
pub(crate) const REST: &str = "__health_rest";

/// Decodes a path as actix-web does before it compares it.
pub(crate) fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

pub(crate) fn method(request: &HttpRequest) -> Method {
    Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default()
}

/// Converts the headers that the endpoint reads.
pub(crate) fn headers(request: &HttpRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        if let Some(name) = Endpoint::REQUEST_HEADERS
            .iter()
            .copied()
            .find(|read| name == *read)
            && let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes())
        {
            headers.append(name, value);
        }
    }
    headers
}

/// Returns the path without the scopes above the endpoint. The rest that the resource has matched
/// is decoded, except for its slashes, so the same part of the path as it was sent is found by
/// their number.
pub(crate) fn path<'a>(request: &'a HttpRequest, base: &str) -> &'a str {
    let path = request.uri().path();
    let end = match request.match_info().get(REST) {
        None => path.strip_suffix('/').unwrap_or(path),
        Some(rest) => path
            .rmatch_indices('/')
            .nth(rest.matches('/').count())
            .map_or(path, |(slash, _)| &path[..slash]),
    };
    &path[end.strip_suffix(base).map_or(0, str::len)..]
}

/// Converts answers for one worker. The endpoint returns the same answer for as long as it is
/// fresh, so the headers of the last one are kept.
#[derive(Default)]
pub(crate) struct Converter(RefCell<Option<Converted>>);

struct Converted {
    answer: SharedResponse,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Converter {
    /// Converts an answer. One to HEAD has no body, but the length of the body of a GET.
    pub(crate) fn response(&self, answer: &SharedResponse) -> HttpResponse {
        let mut last = self.0.borrow_mut();
        if last
            .as_ref()
            .is_some_and(|last| !last.answer.ptr_eq(answer))
        {
            *last = None;
        }
        let last = last.get_or_insert_with(|| Converted {
            answer: answer.clone(),
            headers: converted(answer),
        });
        let status = StatusCode::from_u16(answer.status().as_u16())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for header in &last.headers {
            response.append_header(header.clone());
        }
        if !answer.body().is_empty() {
            return response.body(answer.body().clone());
        }
        let length = answer
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        response.body(SizedStream::new(
            length.unwrap_or_default(),
            stream::empty::<Result<Bytes, Infallible>>(),
        ))
    }
}

/// Converts the headers except for the length, which the body determines: a middleware may change
/// it.
fn converted(answer: &SharedResponse) -> Vec<(HeaderName, HeaderValue)> {
    let headers = answer
        .headers()
        .iter()
        .filter(|(name, _)| *name != CONTENT_LENGTH);
    let convert = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((
            HeaderName::try_from(name.as_str()).ok()?,
            HeaderValue::from_bytes(value.as_bytes()).ok()?,
        ))
    };
    headers.filter_map(convert).collect()
}
