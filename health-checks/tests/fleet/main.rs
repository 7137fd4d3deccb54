//! Tests replicas that share their verdicts. Each test starts a Redis server of its own.

#![cfg(all(feature = "config", feature = "fleet", feature = "tcp"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod config;
mod replicas;
mod script;
mod server;
mod servers;
