//! Every check against the server it is for: healthy, refused, wrong password, frozen, killed half-way, back again.
//!
//! The servers are those of `cargo xtask services`; `cargo xtask test` starts them and says where they are. They are
//! frozen and killed, so one test runs at a time.

#![cfg(all(feature = "embedded", feature = "full"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test may")]

mod broker;
mod connection;
mod database;
mod harness;
mod ipv6;
mod network;
mod pools;
mod proxy;
mod scenario;
mod store;
mod thousand;
mod tls;
mod urls;
