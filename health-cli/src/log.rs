use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::Command;
use crate::exit::Exit;
use crate::progress;

/// Logs to stderr, by `RUST_LOG`. By default a server logs what changes, a single run only the causes of what it reports
/// on stdout, and what looks again and again nothing, for it says itself what changes. Nor does a plug-in: Icinga shows its
/// stderr before its line.
pub(crate) fn init(command: &Command) {
    let default = match command {
        Command::Serve(_) => "info",
        Command::Wait(_) | Command::Watch(_) => "off",
        _ if command.exit() == Some(Exit::Nagios) => "off",
        _ => "health_check::cause=warn",
    };
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter: Targets = wanted.as_deref().unwrap_or(default).parse().unwrap_or_default();
    let to_stderr = fmt::layer().with_writer(writer).with_target(false);
    tracing_subscriber::registry().with(to_stderr).with(filter).init();
}

/// A line of progress makes room.
fn writer() -> anstream::Stderr {
    progress::clear();
    anstream::stderr()
}
