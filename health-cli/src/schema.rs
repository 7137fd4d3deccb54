use health_checks::config::{Options, schema};

use crate::outcome::{HEALTHY, Outcome};
use crate::output;

/// Print the JSON Schema of the configuration file, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health schema > health.schema.json

Editors with taplo (VS Code: Even Better TOML) complete and check a file that begins with
  #:schema ./health.schema.json

The schema describes the kinds of checks in this binary. Use health validate to find mistakes that
the schema cannot describe, such as an unknown group.

Exit status: 0.")]
pub(crate) struct SchemaArgs {}

pub(crate) fn print() -> Outcome {
    output::write(format!("{:#}\n", schema(&Options::default())).as_bytes())?;
    Ok(HEALTHY)
}
