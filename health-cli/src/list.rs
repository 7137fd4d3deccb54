use std::error::Error;
use std::ffi::{OsStr, OsString};

use clap::ValueHint;
use comfy_table::Table;
use health_checks::catalogue::{CATALOGUE, Kind};
use health_checks::config::{COMMON, Options};
use health_core::Health;
use serde_json::{Value, json};

use crate::format::{self, Format};
use crate::outcome::{HEALTHY, Outcome};
use crate::output;
use crate::table::table;
use crate::values::{self, FileParser};

/// List the kinds of checks, or the checks of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health list
  health list --config health.toml
  health list --format json | jq '.kinds[].kind'

Exit status: 0 success, 2 wrong usage or configuration.")]
pub(crate) struct ListArgs {
    /// List the checks of this file instead; - is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = FileParser)]
    config: Option<OsString>,
    /// Print in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(crate) fn list(args: &ListArgs) -> Outcome {
    match (&args.config, args.format) {
        (Some(path), format) => output::print(checks(path, format)?)?,
        (None, Format::Text) => output::print(kinds())?,
        (None, Format::Json) => {
            let kinds: Vec<_> = CATALOGUE.iter().map(kind).collect();
            output::print(format::json(&json!({ "kinds": kinds, "common": COMMON })))?;
        }
    }
    Ok(HEALTHY)
}

fn kind(kind: &Kind) -> Value {
    let keys = kind.keys().into_iter().map(|key| {
        // Defaults are written as JSON.
        let default = key.default.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        let variables = variables(kind, &key.name);
        json!({ "key": key.name, "default": default, "variables": variables, "meaning": key.summary })
    });
    json!({ "kind": kind.name, "summary": kind.summary, "keys": keys.collect::<Vec<_>>() })
}

fn kinds() -> String {
    let kinds = CATALOGUE.iter().map(|kind| {
        format!(
            "{}: {}\n{}\n",
            kind.name,
            kind.summary,
            keys(kind).trim_fmt()
        )
    });
    let kinds: Vec<_> = kinds.collect();
    format!(
        "{}\nEvery check also takes: {}\n",
        kinds.join("\n"),
        COMMON.join(", ")
    )
}

fn keys(kind: &Kind) -> Table {
    let mut table = table(["key", "default", "variable", "meaning"]);
    for key in kind.keys() {
        let names = variables(kind, &key.name).join(", ");
        table.add_row([
            key.name,
            key.default.unwrap_or_else(|| "-".into()),
            names,
            key.summary,
        ]);
    }
    table
}

/// Returns the environment variables that set a key.
fn variables(kind: &Kind, key: &str) -> Vec<&'static str> {
    kind.variables
        .iter()
        .filter(|variable| variable.key == key)
        .map(|variable| variable.name)
        .collect()
}

fn checks(path: &OsStr, format: Format) -> Result<String, Box<dyn Error>> {
    let health = values::config(path, &Options::default())?.build()?;
    if format == Format::Json {
        let checks = health.checks().map(|check| {
            json!({
                "check": check.identifier,
                "critical": check.critical,
                "scope": check.scope.to_string(),
                "timeout_seconds": check.timeout.as_secs_f64(),
                "groups": check.groups,
            })
        });
        let groups = groups(&health)
            .into_iter()
            .map(|(group, services, checks)| json!({ "group": group, "grpc_services": services, "checks": checks }));
        let groups: Vec<_> = groups.collect();
        return Ok(format::json(
            &json!({ "checks": checks.collect::<Vec<_>>(), "groups": groups }),
        ));
    }
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
    let mut of_groups = self::table(["group", "gRPC services", "checks"]);
    for (group, services, checks) in groups(&health) {
        let services: Vec<_> = services
            .iter()
            .map(|name| {
                if name.is_empty() {
                    "\"\""
                } else {
                    name.as_str()
                }
            })
            .collect();
        of_groups.add_row([group, services.join(", "), checks.join(", ")]);
    }
    Ok(format!(
        "{}\n\n{}\n",
        table.trim_fmt(),
        of_groups.trim_fmt()
    ))
}

/// Returns the groups, each with the services by which gRPC clients read it, and with its checks.
fn groups(health: &Health) -> Vec<(String, Vec<String>, Vec<String>)> {
    let grpc = health_tonic::service(health.clone());
    let with = |group: &str| {
        let services = grpc
            .services()
            .iter()
            .filter(|(_, of)| *of == group)
            .map(|(service, _)| service.clone())
            .collect();
        let checks = health
            .checks()
            .filter(|check| check.groups.iter().any(|of| of == group))
            .map(|check| check.identifier);
        (group.to_owned(), services, checks.collect())
    };
    health.groups().map(with).collect()
}
