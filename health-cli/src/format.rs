//! The output format of `list` and `validate`: for people, or for programs.

use clap::ValueEnum;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences for people
    Text,
    /// A single JSON value
    Json,
}

/// JSON for people as well, with its last line's end.
pub(crate) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}
