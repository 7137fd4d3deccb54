#![doc = include_str!("../README.md")]

mod service;
mod statuses;
mod watch;

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    dead_code,
    unreachable_pub,
    unused_qualifications,
    missing_docs,
    reason = "the compiler of protocol buffers wrote it, from the messages of grpc.health.v1"
)]
mod generated;

pub use service::{HealthService, HealthServiceBuilder, service};
