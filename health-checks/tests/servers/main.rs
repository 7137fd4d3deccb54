//! Tests every check against its server: healthy, refused, with a wrong password, frozen, killed
//! half-way, and back again.
//!
//! The servers are those of `cargo xtask services`. `cargo xtask test` starts them and sets the
//! variables with their addresses. The tests freeze and kill them, so one test runs at a time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may"
)]

mod broker;
mod clients;
mod connection;
mod costs;
mod database;
mod harness;
mod ipv6;
mod network;
mod own;
mod pools;
mod proxy;
mod scenario;
mod store;
mod thousand;
mod tls;
mod urls;
