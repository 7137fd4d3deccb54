use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

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
    /// Run the checks once and print a line each
    #[command(after_help = "\
Examples:
  health check
  health check --config health.toml --group ready
  health check --config health.toml --format json DatabaseBackend CacheBackend")]
    Check(CheckArgs),
    /// Serve the checks at a URL: a page, JSON and text
    #[command(after_help = "\
Examples:
  health serve
  health serve --config health.toml --listen 0.0.0.0:8000
  curl http://127.0.0.1:8000/ht/?format=json

SIGTERM makes /ht/ and /ht/ready/ fail, and stops the server after drain_delay; SIGINT stops it at once.")]
    Serve(ServeArgs),
    /// List the kinds of checks, or the checks of a file
    #[command(after_help = "\
Examples:
  health list
  health list --config health.toml")]
    List(ListArgs),
}

/// Where the checks are.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// The configuration file; without one, checks that need no server
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG")]
    pub(crate) config: Option<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Only the checks of this group
    #[arg(long, short)]
    pub(crate) group: Option<String>,
    /// Not this check; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) skip: Vec<String>,
    /// The longest that each check may take, whatever the file says: 500ms, 5s, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// The output format: html, json, text, health, openmetrics, prometheus, atom, rss
    #[arg(long, short, default_value = "text")]
    pub(crate) format: String,
    /// Only these checks
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// The address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "HEALTH_LISTEN", default_value = "127.0.0.1:8000")]
    pub(crate) listen: String,
    /// The path of the endpoint
    #[arg(long, default_value = "/ht/")]
    pub(crate) path: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// List the checks of this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration longer than zero, such as 500ms, 5s or a number of seconds".into())
}
