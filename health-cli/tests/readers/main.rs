//! Each format as a real server sends it, read by independent programs: Python's XML parser and
//! feedparser, the parsers of Prometheus' own client, Python's client of the health protocol of
//! gRPC, and a JSON Schema of the draft.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

mod feeds;
mod golden;
mod grpc;
mod health_json;
mod metrics;
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod text;
