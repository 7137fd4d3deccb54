//! Exit codes, and how they are adapted to the program that runs the command.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::ask::Failure;
use crate::nagios::{self, State};
use crate::outcome::{Outcome, UNHEALTHY, WRONG};
use crate::output;

/// The system that reads the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exit {
    // These variants have no documentation: clap would list it in the help instead of the short
    // form.
    Nagios,
    Docker,
}

/// The option of the commands whose exit codes can be adapted to another system.
#[derive(Debug, clap::Args)]
pub(crate) struct ExitArgs {
    /// Use other exit codes. nagios: 0 all working, 1 only warnings or non-critical errors, 2 a
    /// critical error, 3 unknown, and print a line for Nagios. docker: 0 healthy, 1 anything else
    #[arg(long, value_enum, value_name = "FOR")]
    pub(crate) exit: Option<Exit>,
}

impl ExitArgs {
    pub(crate) fn is_nagios(&self) -> bool {
        self.exit == Some(Exit::Nagios)
    }

    /// Reports a failure to print on stderr, unless `--exit` is set: see [`printed`].
    pub(crate) fn printed(&self, result: std::io::Result<()>) {
        if self.exit.is_none() {
            printed(result);
        }
    }

    /// Returns the format to print, which is `text` by default.
    pub(crate) fn format<'a>(&self, format: Option<&'a str>) -> Result<&'a str, &'static str> {
        if self.is_nagios() && format.is_some() {
            return Err("--exit nagios has a format of its own: leave --format out");
        }
        Ok(format.unwrap_or("text"))
    }
}

/// Reports a failure to print on stderr. The exit code of the command is still the verdict, which a
/// full disk behind stdout does not change.
pub(crate) fn printed(result: std::io::Result<()>) {
    if let Err(error) = result {
        output::note(format_args!("error: {error}"));
    }
}

/// Prints the error, if any, and returns the exit code.
pub(crate) fn end(exit: Option<Exit>, outcome: Outcome) -> ExitCode {
    let code = match (exit, outcome) {
        (Some(Exit::Docker), Ok(code)) => code.min(UNHEALTHY),
        (_, Ok(code)) => code,
        (Some(Exit::Nagios), Err(error)) => {
            // An unreachable endpoint is down. An unexpected response may come from another
            // program.
            let is_down = error
                .downcast_ref::<Failure>()
                .is_some_and(|failure| !failure.is_answered);
            nagios::print(
                if is_down {
                    State::Critical
                } else {
                    State::Unknown
                },
                &error.to_string(),
            )
        }
        (exit, Err(error)) => {
            for line in error.to_string().lines() {
                output::note(format_args!("error: {line}"));
            }
            wrong(exit)
        }
    };
    ExitCode::from(code)
}

/// Prints the help, or the error of an invalid command line, and returns the exit code for the
/// `--exit` in it.
pub(crate) fn usage(mut error: clap::Error, args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let is_secret = args
        .iter()
        .any(|arg| ["probe", "wait", "watch"].contains(&&**arg));
    mask(&mut error, is_secret);
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS; // --help and --version
    }
    let exit = Exit::value_variants()
        .iter()
        .copied()
        .find(|exit| is_for(*exit, &args));
    if exit == Some(Exit::Nagios) {
        nagios::print(State::Unknown, "wrong usage");
    }
    ExitCode::from(wrong(exit))
}

/// The exit code of a result that is neither healthy nor unhealthy.
pub(crate) fn wrong(exit: Option<Exit>) -> u8 {
    match exit {
        Some(Exit::Nagios) => State::Unknown.code(),
        Some(Exit::Docker) => UNHEALTHY,
        None => WRONG,
    }
}

fn is_for(exit: Exit, args: &[String]) -> bool {
    let name = exit
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();
    args.contains(&format!("--exit={name}"))
        || args.windows(2).any(|pair| pair == ["--exit", &*name])
}

/// Masks an unexpected argument, which may be half of a header whose quotes were forgotten.
fn mask(error: &mut clap::Error, is_secret: bool) {
    use clap::error::{ContextKind, ContextValue};
    let is_value = |value: &ContextValue| matches!(value, ContextValue::String(text) if !text.starts_with('-'));
    if is_secret && error.get(ContextKind::InvalidArg).is_some_and(is_value) {
        error.insert(ContextKind::InvalidArg, ContextValue::String("***".into()));
    }
}
