//! Prints rows to stdout.

use std::fmt::Write as _;
use std::io;

use crate::output;
use crate::row::Row;
use crate::table;

/// The formats that are printed from rows, without a renderer.
pub(crate) const FORMATS: [&str; 2] = ["table", "text"];

/// Prints rows in one of these formats.
pub(crate) fn print(rows: &[Row], format: &str) -> io::Result<()> {
    if format == "table" && !rows.is_empty() {
        output::print(table::of_rows(rows, |_| None).trim_fmt() + "\n")
    } else {
        output::print(lines(rows))
    }
}

/// Returns the rows in the text format with colours, which the output removes if they are disabled.
pub(crate) fn lines(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no checks\n".into();
    }
    rows.iter().fold(String::new(), |mut output, row| {
        let style = row.style();
        let _ = writeln!(output, "{:<24} ... {style}{}{style:#}", row.name, row.text);
        output
    })
}
