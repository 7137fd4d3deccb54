use http::{HeaderMap, Method, Request};

/// What the endpoint reads of a request, in whatever types a framework has it.
///
/// ```
/// use health_core::RequestHead;
/// use http::{HeaderMap, Method};
///
/// let none = HeaderMap::new();
/// let head = RequestHead { method: &Method::GET, path: "/ht/ready/", query: "format=json", headers: &none };
/// # let _ = head;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, percent-encoded as it was sent, without what a router of the application is nested below.
    pub path: &'a str,
    /// What follows the question mark, percent-encoded as it was sent; empty where nothing does.
    pub query: &'a str,
    /// The headers. Those in [`Endpoint::REQUEST_HEADERS`](super::Endpoint::REQUEST_HEADERS) are enough.
    pub headers: &'a HeaderMap,
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        Self { method: request.method(), path: uri.path(), query: uri.query().unwrap_or_default(), headers }
    }
}
