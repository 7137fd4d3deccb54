//! How checks meet servers: connections of their own, and pools of the application.
//!
//! - [`kept`]: a connection of a check's own is opened by the run that needs it, is at most `reconnect` old, and is replaced
//!   once within a run when it fails.
//! - [`net`]: the stream below it, over TCP or a Unix socket.
//! - [`pool`]: a pool of the application is given one acquire and one command, and the server is asked beside it only when
//!   that is the one way to say what is wrong.

use std::time::Duration;

use health_core::Findings;

#[cfg(any(
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

/// A run gives up in this share of its time, so that it can say why.
const SHARE_OF_RUN: f64 = 0.9;

/// This share of the time that a run has left, and no more than can be added to the present.
fn share_of_time(findings: &Findings, share: f64) -> Duration {
    findings.time_left().min(Duration::from_hours(24 * 365)).mul_f64(share)
}
