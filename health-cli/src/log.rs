use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{output, progress};

/// Logs to stderr with the filter in `RUST_LOG`, or else with this default.
pub(crate) fn init(default: &str) {
    let wanted = std::env::var("RUST_LOG")
        .ok()
        .filter(|wanted| !wanted.is_empty());
    let parsed: Option<Targets> = wanted.as_deref().and_then(|wanted| wanted.parse().ok());
    if wanted.is_some() && parsed.is_none() {
        output::warn(
            "warning: RUST_LOG can't be understood, and is not used: expected a level such as debug, or TARGET=LEVEL",
        );
    }
    let filter = parsed.unwrap_or_else(|| default.parse().unwrap_or_default());
    let to_stderr = fmt::layer()
        .with_writer(writer)
        .with_target(false)
        .log_internal_errors(false);
    tracing_subscriber::registry()
        .with(to_stderr)
        .with(filter)
        .init();
}

/// Clears the progress line before a log line is written.
fn writer() -> anstream::Stderr {
    progress::clear();
    anstream::stderr()
}
