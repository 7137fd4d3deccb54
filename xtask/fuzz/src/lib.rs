//! The targets of `cargo xtask fuzz`. Each takes any bytes, and panics if a rule of the project is
//! broken.
//!
//! The same functions run on the inputs in `corpus/`, as an ordinary test.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target reports what it has found by a panic"
)]

mod answer;
mod config;
mod http;
mod report;

/// A target.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const TARGETS: [(&str, Target); 6] = [
    ("answer", answer::answer),
    ("config", config::config),
    ("expand", config::expand),
    ("http", http::http),
    ("report", report::report),
    ("url", config::url),
];
