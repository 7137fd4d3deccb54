//! Tests replicas that share their verdicts. Each test starts a Redis server of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod config;
mod replicas;
mod row;
mod script;
mod server;
mod servers;
