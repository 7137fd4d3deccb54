//! An adapter of your own, for a framework that has none. Plain hyper takes a service, and the
//! endpoint is one. The adapter only has to send it the requests below its path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::{io, thread};

use health_core::http::Body;
use health_core::{Endpoint, Endpoints, Health};
use http::{Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::{Duration, sleep};
use tower::{Service, service_fn};

/// A service that hyper can serve.
pub trait App<B>:
    Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<B, S> App<B> for S where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Serves the health at a path, and the application everywhere else.
pub fn with_health<B: Send + 'static>(path: &str, health: Health, app: impl App<B>) -> impl App<B> {
    with_endpoints(Endpoint::new(path, health).into(), app)
}

/// Returns a service that answers at the paths of these endpoints, and sends all other requests to
/// the application.
pub fn with_endpoints<B: Send + 'static>(endpoints: Endpoints, app: impl App<B>) -> impl App<B> {
    service_fn(move |request: Request<B>| {
        let endpoint = endpoints.find(request.uri().path()).cloned();
        let mut app = app.clone();
        async move {
            match endpoint {
                Some(mut endpoint) => endpoint.call(request).await,
                None => app.call(request).await,
            }
        }
    })
}

/// Returns the response of an application to an unknown path.
pub fn not_found() -> Response<Body> {
    let mut response = Response::new(Body::new("not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, app: impl App<hyper::body::Incoming>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await; // no file descriptors are left, or the client has disconnected
            continue;
        };
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        tokio::spawn(connection);
    }
}

/// Serves the health on a port of its own.
///
/// # Errors
/// Fails if the address can't be bound, or if the thread or its runtime can't be created.
pub fn listen(address: &str, path: &str, health: Health) -> io::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = std::net::TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let app = with_health(path, health, service_fn(|_| async { Ok(not_found()) }));
    thread::Builder::new()
        .name("health".into())
        .spawn(move || runtime.block_on(serve(listener, app)))?;
    Ok(address)
}
