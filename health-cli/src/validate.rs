use std::ffi::OsString;
use std::path::Path;

use clap::ValueHint;
use health_checks::config::{Config, Options};

use crate::kubernetes::{self, Probes};
use crate::outcome::{HEALTHY, Outcome};

/// Check a file without running anything
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health validate --config health.toml
  health validate --config health.toml --kubernetes --path /ht/ --port http

Whatever is wrong is named with its line; no value is shown. Variables in the file have to be set.
--kubernetes prints probes that match: each timeout is longer than the budget of its group, and the
grace period is longer than drain_delay.

Exit status: 0 valid, 2 not valid.")]
pub(crate) struct ValidateArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG", value_hint = ValueHint::FilePath)]
    config: Option<OsString>,
    /// Print the probes of a container that serves these checks, as YAML
    #[arg(long)]
    kubernetes: bool,
    #[command(flatten)]
    probes: Probes,
}

pub(crate) fn validate(args: &ValidateArgs) -> Outcome {
    let Some(path) = args.config.as_ref().filter(|path| !path.is_empty()) else {
        return Err("name a file with --config or HEALTH_CONFIG".into());
    };
    let variables = |name: &str| std::env::var(name).ok();
    let config = Config::from_file(Path::new(path), &variables, &Options::default())?;
    for warning in config.warnings() {
        anstream::eprintln!("warning: {warning}");
    }
    let groups = config.groups.clone();
    let health = config.build()?;
    if args.kubernetes {
        anstream::print!("{}", kubernetes::yaml(&health, &groups, &args.probes));
        return Ok(HEALTHY);
    }
    let checks: Vec<_> = health.checks().collect();
    let members = |group: &str| checks.iter().filter(|check| check.groups.iter().any(|name| name == group)).count();
    let groups: Vec<_> = health.groups().map(|group| format!("{group} ({})", members(group))).collect();
    let (count, plural) = (checks.len(), if checks.len() == 1 { "" } else { "s" });
    anstream::println!("{}: {count} check{plural}, groups {}", Path::new(path).display(), groups.join(", "));
    Ok(HEALTHY)
}
