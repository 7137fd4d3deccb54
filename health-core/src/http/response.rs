use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

/// An answer that several requests share: the endpoint keeps it for as long as the report behind it
/// is fresh.
///
/// [`Endpoint::respond_with`](super::Endpoint::respond_with) hands it to an adapter, which converts
/// it into the response type of its framework. An adapter may keep a clone, and compare it by
/// [`ptr_eq`](Self::ptr_eq), to convert an answer only once.
#[derive(Debug, Clone)]
pub struct SharedResponse(Arc<Response<Bytes>>);

impl SharedResponse {
    pub(crate) fn new(response: Response<Bytes>) -> Self {
        Self(Arc::new(response))
    }

    /// Returns the status code.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Returns the body. It is empty for HEAD and OPTIONS; the `Content-Length` of an answer to
    /// HEAD is that of the body of a GET.
    pub fn body(&self) -> &Bytes {
        self.0.body()
    }

    /// Returns an owned response. The headers are copied, and the body is shared.
    pub fn to_response(&self) -> Response<Bytes> {
        Response::clone(&self.0)
    }

    /// Returns `true` if both are the same shared answer, and not just equal.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
