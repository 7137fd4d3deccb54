//! AMQP 0.9.1: where the broker is, how it is connected to, and what can be wrong.

mod connection;
mod describe;
mod publish;

pub(crate) use connection::{Connection, Server};
pub(crate) use describe::{describe, is_refused};
pub(crate) use publish::publish;

/// What a URL of a broker looks like.
pub(crate) const EXPECTED: &str = "expected a URL such as amqp://user:password@host:5672/vhost";

/// The message of a run in which the broker did not answer in time.
pub(crate) const SILENCE: &str = "Unable to connect to RabbitMQ: Timeout.";
