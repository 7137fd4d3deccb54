use http::{HeaderMap, Method, Request};

/// The parts of a request that the endpoint reads, for frameworks whose request type is not
/// [`http::Request`].
///
/// ```
/// use health_core::RequestHead;
/// use http::{HeaderMap, Method};
///
/// let headers = HeaderMap::new();
/// let head = RequestHead::new(&Method::GET, "/ht/ready/", "format=json", &headers);
/// # let _ = head;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    /// Creates a request head.
    ///
    /// - `path` is percent-encoded as it was sent, without the prefix below which a router of the
    ///   application is nested.
    /// - `query` is the part after the question mark, percent-encoded as it was sent, and empty if
    ///   there is none.
    /// - `headers` needs no other headers than those in
    ///   [`Endpoint::REQUEST_HEADERS`](super::Endpoint::REQUEST_HEADERS).
    pub fn new(method: &'a Method, path: &'a str, query: &'a str, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            path,
            query,
            headers,
        }
    }
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        let uri = request.uri();
        Self::new(
            request.method(),
            uri.path(),
            uri.query().unwrap_or_default(),
            request.headers(),
        )
    }
}
