use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use health_core::Endpoints;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::connections::{Connection, Connections};
use crate::socket::{Io, Listener};
use crate::{Limits, Socket};

/// The pause after a failed accept. The usual cause is that no file descriptors are left.
const PAUSE: Duration = Duration::from_millis(20);

/// The time for which an idle connection stays open when the server stops.
const IDLE_GRACE: Duration = Duration::from_millis(500);

/// Serves an endpoint at these sockets, with HTTP/1.1 and without TLS, until `stop` completes. Open connections then
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
    let (ending, end) = watch::channel(());
    let server = Server { endpoints: endpoints.into(), limits, connections: Connections::default(), end };
    let listeners = sockets.iter().map(Socket::listener).collect::<io::Result<Vec<_>>>()?;
    let accepting: FuturesUnordered<_> = listeners.iter().map(|listener| server.accept(listener)).collect();
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

struct Server {
    endpoints: Endpoints,
    limits: Limits,
    connections: Connections,
    /// The sender is dropped when the server stops.
    end: watch::Receiver<()>,
}

impl Server {
    async fn accept(&self, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    let connection = self.connections.enter(self.limits.connections.max(1));
                    tokio::spawn(answer(
                        stream,
                        connection,
                        self.endpoints.clone(),
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
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn answer(
    stream: Box<dyn Io>,
    connection: Arc<Connection>,
    endpoints: Endpoints,
    head: Duration,
    mut end: watch::Receiver<()>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let asked = BusyGuard::new(&connection);
        let answer = endpoints.respond(&request);
        async move {
            let answer = answer.await.map(Full::new);
            drop(asked);
            Ok::<Response<_>, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = serving.as_mut() => return, // the client is gone, so an error can't be reported to it
        () = connection.ends() => return,
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

/// Marks the connection as busy until the request is answered or dropped.
struct BusyGuard(Arc<Connection>);

impl BusyGuard {
    fn new(connection: &Arc<Connection>) -> Self {
        connection.mark_busy();
        Self(Arc::clone(connection))
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.mark_idle();
    }
}
