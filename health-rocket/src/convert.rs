//! Rocket has types of its own; the endpoint has those of http 1.

use std::io::{self, Cursor};

use bytes::Bytes;
use health_core::Endpoint;
use http::header::{CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use rocket::error::ErrorKind;
use rocket::http::uri::Origin;
use rocket::http::{Header, Status};

pub(crate) fn request(request: &rocket::Request<'_>) -> Request<()> {
    let mut converted = Request::new(());
    *converted.method_mut() = Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
    *converted.uri_mut() = uri(request.uri()).unwrap_or_default();
    converted.headers_mut().extend(request.headers().iter().filter_map(|header| {
        let name = Endpoint::READS.into_iter().find(|name| header.name == *name)?;
        Some((HeaderName::from_static(name), HeaderValue::from_str(&header.value).ok()?))
    }));
    converted
}

/// As `to_string` of the origin and a parser, without the machinery of formatting.
fn uri(origin: &Origin<'_>) -> Option<Uri> {
    let path = origin.path().as_str();
    let target = match origin.query() {
        Some(query) => [path, "?", query.as_str()].concat(),
        None => path.to_owned(),
    };
    Uri::try_from(target).ok()
}

/// Rocket has forgotten what the method was; any name that it does not know is as good.
pub(crate) fn request_of_unknown_method(request: &rocket::Request<'_>) -> Request<()> {
    let mut converted = self::request(request);
    *converted.method_mut() = Method::from_bytes(b"UNKNOWN").unwrap_or_default();
    converted
}

/// An answer to HEAD has no body, and the length of the body it would have had.
pub(crate) fn response(response: &Response<Bytes>) -> rocket::Response<'_> {
    let mut converted = rocket::Response::new();
    converted.set_status(Status::new(response.status().as_u16()));
    for (name, value) in response.headers() {
        // A fairing may change the body, so its length is told by the body alone; the other one is for `NoSniff`.
        if name != CONTENT_LENGTH
            && name != X_CONTENT_TYPE_OPTIONS
            && let Ok(value) = value.to_str()
        {
            converted.set_header(Header::new(name.as_str(), value));
        }
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    converted.set_sized_body(length, Cursor::new(&**response.body()));
    converted
}

/// Looking at a Rocket's error keeps it from panicking when it is dropped.
pub(crate) fn error(error: &rocket::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Bind(error) => io::Error::new(error.kind(), error.to_string()),
        other => io::Error::other(other.to_string()),
    }
}
