use std::error::Error;
use std::path::PathBuf;

use clap::ValueHint;
use comfy_table::Table;
use health_checks::catalogue::{CATALOGUE, Kind};
use health_checks::config::{COMMON, Config, Options};

use crate::outcome::{HEALTHY, Outcome};
use crate::table::table;

/// List the kinds of checks, or the checks of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health list
  health list --config health.toml

Exit status: 0, or 2 wrong usage or configuration.")]
pub(crate) struct ListArgs {
    /// List the checks of this file instead
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
}

pub(crate) fn list(args: &ListArgs) -> Outcome {
    match &args.config {
        Some(path) => checks(path)?,
        None => kinds(),
    }
    Ok(HEALTHY)
}

fn kinds() {
    for (position, kind) in CATALOGUE.iter().enumerate() {
        anstream::println!("{}{}: {}", if position == 0 { "" } else { "\n" }, kind.name, kind.summary);
        anstream::println!("{}", keys(kind).trim_fmt());
    }
    anstream::println!("\nEvery check also takes: {}", COMMON.join(", "));
}

fn keys(kind: &Kind) -> Table {
    let mut table = table(["key", "default", "variable", "meaning"]);
    for key in kind.keys() {
        let names = kind.variables.iter().filter(|variable| variable.key == key.name).map(|variable| variable.name);
        let names = names.collect::<Vec<_>>().join(", ");
        table.add_row([key.name, key.default.unwrap_or_else(|| "-".into()), names, key.summary]);
    }
    table
}

fn checks(path: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let variables = |name: &str| std::env::var(name).ok();
    let health = Config::from_file(path, &variables, &Options::default())?.build()?;
    let mut table = table(["check", "critical", "scope", "timeout", "groups"]);
    for check in health.checks() {
        table.add_row([
            check.identifier,
            if check.critical { "yes" } else { "no" }.to_owned(),
            check.scope.to_string(),
            humantime::format_duration(check.timeout).to_string(),
            check.groups.join(", "),
        ]);
    }
    anstream::println!("{}", table.trim_fmt());
    Ok(())
}
