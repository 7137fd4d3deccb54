#![doc = include_str!("../README.md")]

mod connections;
mod server;
mod socket;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use health_core::{Endpoint, Endpoints, Health};
use tokio::sync::Notify;

pub use server::{serve, serve_service};
pub use socket::Socket;

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The number of open connections beyond which a new one replaces another, at least 1.
    /// Connections that wait for a response are not replaced. *Default*: 512.
    pub connections: usize,
    /// The maximum time for the head of a request, counted from the end of the request before it.
    /// *Default*: 30 s.
    pub head: Duration,
    /// The maximum time for open connections to end once the server stops. *Default*: 5 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// A handle to a running server. Dropping it does not stop the server.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    stop: Arc<Notify>,
    thread: JoinHandle<io::Result<()>>,
}

impl Listening {
    /// Returns the address. For port 0, it contains the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting connections, and closes those that are open. Requests in progress are
    /// answered, within [`Limits::grace`]. Returns immediately.
    pub fn shutdown(&self) {
        self.stop.notify_one();
    }

    /// Waits until the server has ended, which it does only after [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// Fails if the server could not listen, or if it panicked.
    pub fn join(self) -> io::Result<()> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the server panicked")))
    }
}

/// Serves the health at an address and a path, on its own thread. Port 0 means any free port.
///
/// Checks still run on the runtime of the `Health`. While that runtime is blocked, their rows
/// become stale and then unavailable; `live` without members is not affected.
/// [`HealthBuilder::runtime`](health_core::HealthBuilder::runtime) gives the checks their own
/// runtime.
///
/// # Errors
/// Fails if the address can't be bound, or if the thread or its runtime can't be created.
pub fn listen(address: impl ToSocketAddrs, path: &str, health: Health) -> io::Result<Listening> {
    listen_endpoints(address, Endpoint::new(path, health))
}

/// Serves endpoints with policies of their own, as [`listen`] does.
///
/// ```no_run
/// use health_core::{Endpoint, Endpoints, Health};
///
/// let health = Health::builder().build()?;
/// let probes = Endpoint::probes(&health);
/// let endpoints: Endpoints = probes
///     .into_iter()
///     .chain([Endpoint::new("/ht/", health)])
///     .collect();
/// health_listen::listen_endpoints("0.0.0.0:9000", endpoints)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Fails if the address can't be bound, or if the thread or its runtime can't be created.
pub fn listen_endpoints(
    address: impl ToSocketAddrs,
    endpoints: impl Into<Endpoints>,
) -> io::Result<Listening> {
    let socket = Socket::bind(address)?;
    let address = socket.address().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let endpoints = endpoints.into();
    let stop = Arc::new(Notify::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stopped = Arc::clone(&stop);
    let work = move || {
        let stop = async move { stopped.notified().await };
        runtime.block_on(serve(vec![socket], endpoints, Limits::default(), stop))
    };
    let thread = thread::Builder::new().name("health".into()).spawn(work)?;
    Ok(Listening {
        address,
        stop,
        thread,
    })
}
