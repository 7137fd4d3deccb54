//! The recipes of `docs/cookbook.md`: the real programs read exactly its files.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

#[path = "../support/mod.rs"]
mod common;
mod containers;
mod django;
mod haproxy;
mod host;
mod kubernetes;
mod nginx;
mod page;
mod prometheus;
mod support;
mod yaml;
