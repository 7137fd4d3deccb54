use clap::Command;
use clap_complete::Shell;

use crate::outcome::{HEALTHY, Outcome};
use crate::output;

/// Print the completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health completions bash > /usr/share/bash-completion/completions/health
  health completions zsh > \"${fpath[1]}/_health\"
  health completions fish > ~/.config/fish/completions/health.fish
  source <(health completions bash)                      for the current shell only

Exit status: 0 success, 2 wrong usage.")]
pub(crate) struct CompletionsArgs {
    /// Print the script for this shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn completions(args: &CompletionsArgs, command: &mut Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "health", &mut script);
    output::write(&script)?;
    Ok(HEALTHY)
}
