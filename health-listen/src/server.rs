use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};
use health_core::Endpoints;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::time::sleep;
use tower_service::Service;

use crate::connections::{Connection, Connections};
use crate::socket::{Io, Listener};
use crate::{Limits, Socket};

/// The pause after a failed accept. The usual cause is that no file descriptors are left.
const PAUSE: Duration = Duration::from_millis(20);

/// The time for which an idle connection stays open when the server stops.
const IDLE_GRACE: Duration = Duration::from_millis(500);

/// The maximum number of requests in progress on an HTTP/2 connection. A client that watches many
/// services uses a single connection.
#[cfg(feature = "http2")]
const MOST_STREAMS: u32 = 4096;

/// Serves an endpoint at these sockets, without TLS, until `stop` completes. Open connections then
/// have [`Limits::grace`] to end.
///
/// # Errors
/// Fails if it can't listen on a socket.
pub async fn serve(
    sockets: Vec<Socket>,
    endpoints: impl Into<Endpoints>,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_service(sockets, Responder(endpoints.into()), limits, stop).await
}

/// Serves a tower service, as [`serve`] does: an endpoint beside the application's own pages, or
/// the gRPC health service of health-tonic.
///
/// The protocol is HTTP/1.1. The feature `http2` adds HTTP/2 for clients that begin with it (RFC
/// 9113, section 3.3), as those of gRPC do. A connection on which a response is being sent is not
/// idle. Beyond [`Limits::connections`], it is replaced only if none is idle: then a client that
/// watches for hours has to connect again, and a probe gets its answer.
///
/// # Errors
/// Fails if it can't listen on a socket.
pub async fn serve_service<S, B>(
    sockets: Vec<Socket>,
    service: S,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (ending, end) = watch::channel(());
    let server = Server {
        service,
        limits,
        connections: Connections::default(),
        end,
    };
    let listeners = sockets
        .iter()
        .map(Socket::listener)
        .collect::<io::Result<Vec<_>>>()?;
    let accepting: FuturesUnordered<_> = listeners
        .iter()
        .map(|listener| server.accept(listener))
        .collect();
    tokio::select! {
        () = stop => {}
        () = accepting.for_each(|()| std::future::ready(())) => {}
    }
    drop((listeners, sockets));
    drop(ending);
    tokio::select! {
        () = server.connections.none() => {}
        () = sleep(limits.grace) => {}
    }
    Ok(())
}

/// Answers requests with endpoints.
#[derive(Clone)]
struct Responder(Endpoints);

impl Service<Request<Incoming>> for Responder {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.0
            .respond(&request)
            .map(|response| Ok(response.map(Full::new)))
            .boxed()
    }
}

struct Server<S> {
    service: S,
    limits: Limits,
    connections: Connections,
    /// The sender is dropped when the server stops.
    end: watch::Receiver<()>,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    async fn accept(&self, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    let connection = self.connections.enter(self.limits.connections.max(1));
                    tokio::spawn(answer(
                        stream,
                        connection,
                        self.service.clone(),
                        self.limits.head,
                        self.end.clone(),
                    ));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be taken");
                    self.connections.end_oldest();
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Returns `true` if the client disconnected before the connection was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn answer<S, B>(
    stream: Box<dyn Io>,
    connection: Arc<Connection>,
    service: S,
    head: Duration,
    mut end: watch::Receiver<()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let asked = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request_guard = asked.request();
        let response = service.clone().call(request);
        async move {
            let response = response.await?;
            request_guard.responds();
            // The body owns the guard, so that the connection is busy until the whole body is sent.
            Ok::<_, Infallible>(response.map(|body| {
                body.map_err(move |error| {
                    let _ = &request_guard;
                    error
                })
            }))
        }
    });
    let http = protocol(head);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = serving.as_mut() => return, // the client is gone, so an error can't be reported to it
        () = connection.ends() => return,
        () = never_asks(&connection, head) => return,
        _ = end.changed() => {} // the sender is gone
    }
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        _ = serving.as_mut() => return,
        () = sleep(IDLE_GRACE) => {}
    }
    if !connection.is_idle() {
        let _ = serving.await; // as above
    }
}

fn protocol(head: Duration) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head);
    #[cfg(feature = "http2")]
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        // The client of a long response may be gone without closing the connection.
        .keep_alive_interval(head);
    http
}

/// Completes if the first request does not arrive within this time. Before it, the version of HTTP
/// may be unknown.
async fn never_asks(connection: &Connection, head: Duration) {
    sleep(head).await;
    if connection.has_asked() {
        std::future::pending::<()>().await;
    }
}
