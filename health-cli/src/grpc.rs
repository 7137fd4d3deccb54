//! Serves the gRPC health protocol, at the address of the HTTP endpoint or at an address of its
//! own.

use std::convert::Infallible;
use std::error::Error;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use health_core::Endpoints;
use health_tonic::HealthService;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use tonic::body::Body;
use tower_service::Service;

/// Answers requests of the gRPC health protocol, and passes others to the endpoints, if there are
/// any.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) grpc: HealthService,
    pub(crate) endpoints: Option<Endpoints>,
}

impl<B> Service<Request<B>> for Site
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if is_grpc(&request) {
            return self.grpc.call(request);
        }
        match &self.endpoints {
            Some(endpoints) => endpoints
                .respond(&request)
                .map(|response| Ok(with_body(response)))
                .boxed(),
            None => std::future::ready(Ok(with_body(speaks_grpc()))).boxed(),
        }
    }
}

/// Returns `true` for a gRPC request to any service. The health service answers requests to other
/// services with `UNIMPLEMENTED`.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    request.version() == Version::HTTP_2
        && content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The response to an HTTP client at an address that only serves gRPC. It must not look healthy.
fn speaks_grpc() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(
        b"This address answers the gRPC health protocol only.\n",
    ));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn with_body(response: Response<Bytes>) -> Response<Body> {
    response.map(|body| Body::new(Full::new(body)))
}
