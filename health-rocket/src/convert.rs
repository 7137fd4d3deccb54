//! Rocket has types of its own; the endpoint has those of http 1.

use std::borrow::Cow;
use std::io::{self, Cursor};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPIRES, REFRESH, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use rocket::error::ErrorKind;
use rocket::http::{Header, Status};

pub(crate) fn request(request: &rocket::Request<'_>) -> Request<()> {
    let mut converted = Request::new(());
    *converted.method_mut() = Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
    *converted.uri_mut() = Uri::try_from(request.uri().to_string()).unwrap_or_default();
    converted.headers_mut().extend(request.headers().iter().filter_map(|header| {
        let name = HeaderName::from_bytes(header.name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&header.value).ok()?))
    }));
    converted
}

/// Rocket has forgotten what the method was; any name that it does not know is as good.
pub(crate) fn request_of_unknown_method(request: &rocket::Request<'_>) -> Request<()> {
    let mut converted = self::request(request);
    *converted.method_mut() = Method::from_bytes(b"UNKNOWN").unwrap_or_default();
    converted
}

/// The names of the endpoint's headers, which need no copy.
static NAMES: [HeaderName; 8] =
    [ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPIRES, REFRESH, VARY, X_CONTENT_TYPE_OPTIONS];

fn own(name: &HeaderName) -> Cow<'static, str> {
    let known = NAMES.iter().find(|known| *known == name);
    known.map_or_else(|| Cow::Owned(name.as_str().to_owned()), |known| Cow::Borrowed(known.as_str()))
}

/// An answer to HEAD has no body, and the length of the body it would have had.
pub(crate) fn response(response: Response<Bytes>) -> rocket::Response<'static> {
    let mut converted = rocket::Response::new();
    converted.set_status(Status::new(response.status().as_u16()));
    // A fairing may change the body, so its length is told by the body alone.
    for (name, value) in response.headers().iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        if let Ok(value) = value.to_str() {
            converted.adjoin_header(Header::new(own(name), value.to_owned()));
        }
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    converted.set_sized_body(length, Cursor::new(response.into_body()));
    converted
}

/// Looking at a Rocket's error keeps it from panicking when it is dropped.
pub(crate) fn error(error: &rocket::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Bind(error) => io::Error::new(error.kind(), error.to_string()),
        other => io::Error::other(other.to_string()),
    }
}
