use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::ValueHint;
use health_checks::config::{ConfigError, Options};
use serde_json::{Map, Value, json};

use crate::exit;
use crate::format::{self, Format};
use crate::kubernetes::{self, Probes};
use crate::outcome::{HEALTHY, Outcome, WRONG};
use crate::output;
use crate::values::{self, FileParser};

/// Validate a configuration file without running its checks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health validate --config health.toml
  health validate --config health.toml --format json
  health validate --config health.toml --kubernetes --path /ht/ --port http
  health validate --config health.toml --kubernetes --grpc 50051

An error is printed with its line and without the value. Variables in the file must be set.
--kubernetes prints probes that match the file: each timeout is longer than the budget of its group,
and the grace period is longer than drain_delay. The probes use /livez and /readyz, which health
serve has, with --path the groups below that path, or with --grpc the services of the gRPC health
protocol. Kubernetes' gRPC probe speaks neither TLS nor metadata.

Exit status: 0 valid, 2 invalid or wrong usage.")]
pub(crate) struct ValidateArgs {
    /// Validate this file; - is standard input
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG", value_hint = ValueHint::FilePath, value_parser = FileParser)]
    config: Option<OsString>,
    /// Print in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print the probes of a container that serves these checks, as YAML
    #[arg(long, conflicts_with = "format")]
    kubernetes: bool,
    #[command(flatten)]
    probes: Probes,
}

pub(crate) fn validate(args: &ValidateArgs) -> Outcome {
    let Some(path) = &args.config else {
        return Err("name a file with --config or HEALTH_CONFIG".into());
    };
    match judge(args, path) {
        Err(wrong) if args.format == Format::Json => {
            let errors: Vec<_> = wrong.errors().map(described).collect();
            exit::printed(output::print(format::json(
                &json!({ "valid": false, "error": errors.first(), "errors": errors }),
            )));
            Ok(WRONG)
        }
        said => {
            let printed = output::print(said?);
            if args.kubernetes {
                printed?; // the manifest is what the command is for
            } else {
                exit::printed(printed);
            }
            Ok(HEALTHY)
        }
    }
}

fn described(error: &ConfigError) -> Value {
    json!({ "file": error.file(), "line": error.line(), "key": error.key(), "message": error.message() })
}

/// Returns the text to print.
fn judge(args: &ValidateArgs, path: &OsStr) -> Result<String, ConfigError> {
    let config = values::config(path, &Options::default())?;
    let warnings = config.warnings().to_vec();
    let groups = config.groups.clone();
    let (health, endpoints) = config.build_endpoints(|builder| builder)?;
    for warning in &warnings {
        output::note(format_args!("warning: {warning}"));
    }
    if args.kubernetes {
        return Ok(kubernetes::yaml(&health, &endpoints, &groups, &args.probes));
    }
    let checks: Vec<_> = health.checks().collect();
    let members = |group: &str| {
        checks
            .iter()
            .filter(|check| check.groups.iter().any(|name| name == group))
            .count()
    };
    let name = Path::new(path).display();
    if args.format == Format::Json {
        let groups: Map<_, _> = health
            .groups()
            .map(|group| (group.to_owned(), members(group).into()))
            .collect();
        let checks: Vec<_> = health.identifiers().collect();
        let said = json!({
            "valid": true, "file": name.to_string(), "checks": checks, "groups": groups, "warnings": warnings,
        });
        return Ok(format::json(&said));
    }
    let groups: Vec<_> = health
        .groups()
        .map(|group| format!("{group} ({})", members(group)))
        .collect();
    let count = checks.len();
    let plural = if checks.len() == 1 { "" } else { "s" };
    Ok(format!(
        "{name}: {count} check{plural}, groups {}\n",
        groups.join(", ")
    ))
}
