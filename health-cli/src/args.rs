//! The command line with all commands. Each command declares its arguments in its own file.

use clap::{
    ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum as _,
};

use crate::check::CheckArgs;
use crate::completions::CompletionsArgs;
use crate::exit::Exit;
use crate::list::ListArgs;
use crate::man::ManArgs;
use crate::probe::ProbeArgs;
use crate::schema::SchemaArgs;
use crate::serve::ServeArgs;
use crate::validate::ValidateArgs;
use crate::wait::WaitArgs;
use crate::watch::WatchArgs;

/// Run the health checks of a service, serve them, or query a running endpoint
#[derive(Debug, Parser)]
#[command(name = "health", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) color: colorchoice_clap::Color,
}

const AFTER: &str = "\
Examples:
  health check                              run six checks that need no server
  health check --config health.toml         run the checks of a file
  health serve --listen 0.0.0.0:8000        serve checks at http://0.0.0.0:8000/ht/
  health probe http://127.0.0.1:8000/ht/    query an endpoint, for instance as a HEALTHCHECK
  health watch http://127.0.0.1:8000/ht/    follow an endpoint as it changes
  health wait http://127.0.0.1:8000/ht/     wait until an endpoint is healthy
  health list                               list the kinds of checks with their keys

Exit status: 0 healthy, 1 unhealthy, 2 wrong usage or configuration, or no valid response.

RUST_LOG sets what is logged to stderr, for instance RUST_LOG=debug.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(CheckArgs),
    Serve(ServeArgs),
    Probe(ProbeArgs),
    Wait(WaitArgs),
    Watch(WatchArgs),
    List(ListArgs),
    Validate(ValidateArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Args {
    /// Parses the command line. Help and errors follow its `--color`, even if the rest of it is
    /// invalid.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let args = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        let mut command = Self::command().color(color(&args.collect::<Vec<_>>()));
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Returns the value of `--color`, or the default if it is missing or invalid.
fn color(args: &[String]) -> ColorChoice {
    let joined = args.iter().filter_map(|arg| arg.strip_prefix("--color="));
    let apart = args
        .windows(2)
        .filter(|pair| pair[0] == "--color")
        .map(|pair| &*pair[1]);
    let found = joined
        .chain(apart)
        .find_map(|when| ColorChoice::from_str(when, false).ok());
    found.unwrap_or_default()
}

impl Command {
    /// Returns the value of `--exit`, for the commands that have this option.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match self {
            Self::Check(args) => args.exit.exit,
            Self::Probe(args) => args.exit.exit,
            _ => None,
        }
    }

    /// The log filter that applies unless `RUST_LOG` is set.
    ///
    /// A server logs changes, and a single run only logs the causes of the failures that it reports
    /// on stdout. `wait` and `watch` log nothing, because they print each change themselves.
    /// Nothing is logged with `--exit nagios` either, because Icinga shows the stderr of a plugin
    /// before its line.
    pub(crate) fn log(&self) -> &'static str {
        match self {
            Self::Serve(_) => SERVE,
            Self::Probe(_) | Self::Wait(_) | Self::Watch(_) => "off",
            _ if self.exit() == Some(Exit::Nagios) => "off",
            _ => "health_check::cause=warn",
        }
    }
}

/// The log filter of a server: what the engine says, and the warnings of libraries. Some clients warn
/// in each run of a failing check, about a failure that is logged already.
const SERVE: &str =
    "warn,health_check=info,health_core=info,aws=off,hickory=off,lapin=off,rskafka=off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_teaches_by_example_and_says_how_it_ends() {
        let command = Args::command();
        command.clone().debug_assert();
        for command in command.get_subcommands().chain([&command]) {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            for part in ["Examples:\n", "Exit status: "] {
                assert!(help.contains(part), "{} lacks {part}", command.get_name());
            }
            for line in help.lines() {
                assert!(
                    line.len() <= 100,
                    "{}: too long: {line}",
                    command.get_name()
                );
            }
        }
    }
}
