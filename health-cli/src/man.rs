use std::path::PathBuf;

use clap::{CommandFactory as _, ValueHint};

use crate::args::Args;
use crate::{HEALTHY, Outcome, output};

/// Print the manual page, or write those of all commands to a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health man | man -l -
  health man --dir /usr/local/share/man/man1

Exit status: 0, or 2 wrong usage or a folder that can't be written to.")]
pub(crate) struct ManArgs {
    /// The folder that health.1, health-check.1 and the others are written to
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub(crate) fn man(args: &ManArgs) -> Outcome {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(pages()).render(&mut page)?;
        output::write(&page)?;
        return Ok(HEALTHY);
    };
    let failed = |error| format!("can't write to {}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(pages(), dir).map_err(failed)?;
    Ok(HEALTHY)
}

fn pages() -> clap::Command {
    Args::command().disable_help_subcommand(true)
}
