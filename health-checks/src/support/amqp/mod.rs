//! AMQP 0.9.1: the address of a broker, connections to it, and its errors.

mod connection;
mod describe;
mod publish;
mod reactor;

pub(crate) use connection::{Connection, Server};
pub(crate) use describe::{describe, failed, is_refused};
pub(crate) use publish::{is_blocked, publish};

/// The message for a URL that is not that of a broker.
pub(crate) const EXPECTED: &str = "expected a URL such as amqp://user:password@host:5672/vhost";

/// The message of a run in which the broker did not answer in time.
pub(crate) const SILENCE: &str = "Unable to connect to RabbitMQ: Timeout.";
