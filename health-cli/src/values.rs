//! Arguments that several commands share, and the parsers of their values.

use std::convert::Infallible;
use std::ffi::OsString;
use std::time::Duration;

use clap::ValueHint;
use health_core::Secret;

/// The source of the checks.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// Read the checks from this file (- is standard input); without a file, use checks that need
    /// no server
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG", value_hint = ValueHint::FilePath, value_parser = FileParser)]
    pub(crate) config: Option<OsString>,
}

/// Parses the name of a file. An empty name is an error: otherwise, an unset variable of a script
/// would select the default checks, which are healthy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileParser;

impl clap::builder::TypedValueParser for FileParser {
    type Value = OsString;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<OsString, clap::Error> {
        if value.is_empty() {
            let message = "--config, or HEALTH_CONFIG, is empty: name a file, or leave it out\n";
            return Err(
                clap::Error::raw(clap::error::ErrorKind::InvalidValue, message).with_cmd(command),
            );
        }
        Ok(value.to_owned())
    }
}

/// Reads the configuration file at this path; `-` is standard input.
pub(crate) fn config(
    path: &std::ffi::OsStr,
    options: &health_checks::config::Options,
) -> Result<health_checks::config::Config, health_checks::config::ConfigError> {
    use health_checks::config::Config;
    let variables = |name: &str| std::env::var_os(name);
    if path == "-" {
        return Config::from_reader(
            "standard input",
            std::io::stdin().lock(),
            &variables,
            options,
        );
    }
    Config::from_file(std::path::Path::new(path), &variables, options)
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| {
            "expected a duration longer than zero, such as 500ms, 5s or a number of seconds".into()
        })
}

/// Parses a value that must not be printed, not even in error messages.
#[expect(clippy::unnecessary_wraps, reason = "the signature that clap calls")]
pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(text.into())
}
