//! Connections between checks and servers: those of a check's own, and pools of the application.
//!
//! - [`bb8`]: the common code of the pools of bb8.
//! - [`error`]: the error of a probe, which says whether the connection still works.
//! - [`kept`]: a connection of a check's own. It is opened by the run that needs it, is at most
//!   `reconnect` old, and is replaced once within a run if it is lost or silent.
//! - [`net`]: the stream below a connection, over TCP or a Unix socket.
//! - [`pool`]: a pool of the application. A run takes one connection from it and sends one command.
//!   The server is contacted directly only if that is the only way to say what is wrong.

use std::time::Duration;

use health_core::Findings;

#[cfg(feature = "_bb8")]
pub(crate) mod bb8;
pub(crate) mod error;
#[cfg(any(
    feature = "_grpc",
    feature = "nats",
    feature = "rabbitmq",
    feature = "celery",
    feature = "celery_ping",
    feature = "database",
    feature = "memcached",
    feature = "migrations",
    feature = "redis"
))]
pub(crate) mod kept;
#[cfg(feature = "_net")]
pub(crate) mod net;
pub mod pool;

/// The share of its time after which a run gives up, so that it can say why.
pub(crate) const SHARE_OF_RUN: f64 = 0.9;

/// The age at which an attempt to connect is aborted, although servers count interrupted
/// handshakes.
pub(crate) const OLDEST_ATTEMPT: Duration = Duration::from_mins(5);

/// Returns this share of the time that a run has left, bounded so that it can be added to the
/// present.
pub(crate) fn share_of_time(findings: &Findings, share: f64) -> Duration {
    findings
        .time_left()
        .min(Duration::from_hours(24 * 365))
        .mul_f64(share)
}
