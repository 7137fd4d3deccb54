use std::convert::Infallible;
use std::ffi::OsString;
use std::time::Duration;

use clap::{Parser, Subcommand};
use health_core::Secret;

use crate::check::CheckArgs;
use crate::list::ListArgs;
use crate::probe::ProbeArgs;
use crate::serve::ServeArgs;
use crate::wait::WaitArgs;
use crate::watch::WatchArgs;

/// Health checks of a service: run once, or served at a URL.
#[derive(Debug, Parser)]
#[command(name = "health", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Examples:
  health check                              six checks of this machine that need no server
  health check --config health.toml         the checks of a file
  health serve --listen 0.0.0.0:8000        the same at http://0.0.0.0:8000/ht/
  health list                               the kinds of checks, with their keys

Exit status: 0 healthy, 1 unhealthy, 2 wrong usage or configuration.
RUST_LOG sets what is logged to stderr, for instance RUST_LOG=debug.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    Serve(ServeArgs),
    Probe(ProbeArgs),
    Wait(WaitArgs),
    Watch(WatchArgs),
    List(ListArgs),
}

/// Where the checks are.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// The configuration file; without one, checks that need no server
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG")]
    pub(crate) config: Option<OsString>,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration longer than zero, such as 500ms, 5s or a number of seconds".into())
}

/// What is not to be printed, in error messages neither.
#[expect(clippy::unnecessary_wraps, reason = "the signature that clap calls")]
pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(text.into())
}
