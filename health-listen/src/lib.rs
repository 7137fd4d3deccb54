#![doc = include_str!("../README.md")]

mod connections;
mod server;
mod socket;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use health_core::{Endpoint, Health};
use tokio::sync::Notify;

pub use server::serve;
pub use socket::Socket;

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most connections that are open at a time; at least 1. *Default*: 512.
    pub connections: usize,
    /// The longest that the head of a request may take, counted from the end of the request before it. *Default*: 30 s.
    pub head: Duration,
    /// The time in which open connections have to end once the server stops. *Default*: 5 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, head: Duration::from_secs(30), grace: Duration::from_secs(5) }
    }
}

/// A health that is served; dropping this changes nothing.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    stop: Arc<Notify>,
    thread: JoinHandle<io::Result<()>>,
}

impl Listening {
    /// Returns the address, with the port that was found where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no connections any more, and ends those that are open: what is under way is answered, within
    /// [`Limits::grace`]. Returns at once.
    pub fn shutdown(&self) {
        self.stop.notify_one();
    }

    /// Waits until it has ended, which it does after [`shutdown`](Self::shutdown) only.
    ///
    /// # Errors
    /// Those of listening.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the server panicked")))
    }
}

/// Serves the health at an address and a path. Port 0 takes a free one.
///
/// Checks still run where the health was built: while that runtime stands still, their rows are stale and then
/// unavailable, and `live` without members is all the same. [`HealthBuilder::runtime`](health_core::HealthBuilder::runtime)
/// gives them a runtime of their own.
///
/// # Errors
/// Those of listening there.
pub fn listen(address: impl ToSocketAddrs, path: &str, health: Health) -> io::Result<Listening> {
    let socket = Socket::bind(address)?;
    let address = socket.address().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let (endpoint, stop) = (Endpoint::new(path, health), Arc::new(Notify::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stopped = Arc::clone(&stop);
    let work = move || {
        let stop = async move { stopped.notified().await };
        runtime.block_on(serve(vec![socket], endpoint, Limits::default(), stop))
    };
    let thread = thread::Builder::new().name("health".into()).spawn(work)?;
    Ok(Listening { address, stop, thread })
}
