//! Arguments that several commands take, and how their texts are read.

use std::convert::Infallible;
use std::ffi::OsString;
use std::time::Duration;

use clap::ValueHint;
use health_core::Secret;

/// Where the checks are.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// The configuration file; without one, checks that need no server
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG", value_hint = ValueHint::FilePath)]
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
