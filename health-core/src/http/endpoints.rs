use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::Either;
use http::{Request, Response, StatusCode};

use super::{Endpoint, future};

/// Several endpoints of one server, for servers without a router. The endpoint with the longest
/// path that covers a request answers it.
///
/// ```
/// use health_core::{Endpoint, Endpoints, Health};
///
/// let health = Health::builder().build()?;
/// let endpoints: Endpoints = Endpoint::probes(&health)
///     .into_iter()
///     .chain([Endpoint::new("/", health)])
///     .collect();
/// assert_eq!(endpoints.find("/livez").map(Endpoint::base), Some("/livez"));
/// assert_eq!(endpoints.find("/live/").map(Endpoint::base), Some(""));
/// # Ok::<(), health_core::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Endpoints(Arc<[Endpoint]>);

impl Endpoints {
    /// Returns the endpoint that answers requests for a path.
    pub fn find(&self, path: &str) -> Option<&Endpoint> {
        self.0.iter().find(|endpoint| endpoint.covers(path))
    }

    /// Returns the endpoints, those with the longest paths first.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.iter()
    }

    /// Answers a request, as [`Endpoint::respond`] does. A path that no endpoint covers is answered
    /// with 404.
    pub fn respond<B>(
        &self,
        request: &Request<B>,
    ) -> impl Future<Output = Response<Bytes>> + Send + 'static + use<B> {
        // Any endpoint refuses a path that it does not cover.
        match self.find(request.uri().path()).or(self.0.last()) {
            Some(endpoint) => Either::Left(endpoint.respond(request)),
            None => Either::Right(future::now(not_found())),
        }
    }
}

fn not_found() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Not Found"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

impl FromIterator<Endpoint> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        let mut all = Vec::from_iter(endpoints);
        all.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.base().len()));
        Self(all.into())
    }
}

impl From<Endpoint> for Endpoints {
    fn from(endpoint: Endpoint) -> Self {
        Self::from_iter([endpoint])
    }
}
