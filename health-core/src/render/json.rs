use std::fmt;

use super::Renderer;
use crate::Report;

/// `json`: `{"CacheBackend": "working", "DiskUsage": "warning: ..."}`, byte for byte as the
/// original: sorted, with Python's separators, and with everything beyond ASCII escaped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Renderer for Json {
    fn format(&self) -> &'static str {
        "json"
    }

    fn media_types(&self) -> &[&str] {
        &["application/json"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str("{")?;
        if report.redacted {
            member(out, "status", report.status.as_str())?;
        }
        for (position, check) in report.checks.iter().enumerate() {
            out.write_str(if position == 0 { "" } else { ", " })?;
            member(out, &check.identifier, &check.pretty_status())?;
        }
        out.write_str("}")
    }
}

fn member(out: &mut dyn fmt::Write, key: &str, value: &str) -> fmt::Result {
    string(out, key)?;
    out.write_str(": ")?;
    string(out, value)
}

/// Writes a string as Python's `json.dumps` does by default: printable ASCII as it is, UTF-16
/// escapes for the rest.
fn string(out: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            ' '..='~' => out.write_char(c)?,
            _ => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(out, "\\u{unit:04x}"))?,
        }
    }
    out.write_char('"')
}
