//! The output format of `list` and `validate`: text for people, or JSON for programs.

use clap::ValueEnum;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences for people
    Text,
    /// A single JSON value
    Json,
}

/// Formats a value as indented JSON with a final newline.
pub(crate) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}
