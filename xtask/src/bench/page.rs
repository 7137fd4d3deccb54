//! Writes the table to the terminal and to `docs/benchmarks.md`.

use std::fs;
use std::path::Path;

use super::facts::Facts;
use super::row::Row;
use crate::Outcome;

const COLUMNS: [&str; 6] = ["what", "ours", "other side", "ratio", "goal", "met"];

const INTRODUCTION: &str = "\
# Benchmarks

`cargo xtask bench` measures everything again and writes this page. The two sides of a row take turns on the same machine, so a ratio says
more than its numbers. Requests come from `wrk`, with one thread and 16 connections on the same machine. The \"bare\" side of a framework
sends the same bytes and headers from a handler of its own, with the same number of workers. The same program is a few percent faster or
slower from one start to the next, so the two are started 32 times, and take turns of a tenth of a second. The number is the mean of all
turns, and its ratio has a standard error. Every other number is the median of its rounds. Both sides use the allocator mimalloc, because
the one of glibc adds chance: its threads wait for each other more in one process than in another. The checks of these measurements do
nothing, or wait, so that the numbers show the cost of the machinery around them.
";

/// The heading of the second part, which has its own date and machine.
const SOAK: &str = "\n## Soak\n";

/// Prints the table and writes the page. Keeps what the last soak has written.
pub(super) fn write(page: &Path, rows: &[Row], facts: &Facts, python: &str) -> Outcome {
    let table = table(rows);
    println!("\n{table}");
    let rest = fs::read_to_string(page).ok().and_then(|old| Some(old.split_once(SOAK)?.1.to_owned()));
    let rest = rest.map(|rest| format!("{SOAK}{rest}")).unwrap_or_default();
    let versions = format!("Versions: {}, {python}.\n", facts.versions);
    save(page, &format!("{INTRODUCTION}\n{}\n{table}\n{versions}{rest}", facts.machine))
}

/// Does the same for the soak. Keeps what the last full run has written.
pub(super) fn write_soak(page: &Path, rows: &[Row], facts: &Facts) -> Outcome {
    let table = table(rows);
    println!("\n{table}");
    let old = fs::read_to_string(page).unwrap_or_else(|_| INTRODUCTION.to_owned());
    let first = old.split_once(SOAK).map_or(old.as_str(), |(first, _)| first);
    save(page, &format!("{first}{SOAK}\nWritten by `cargo xtask bench --soak`. {}\n{table}", facts.machine))
}

fn save(page: &Path, text: &str) -> Outcome {
    let folder = page.parent().unwrap_or(page);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(page, text))
        .map_err(|error| format!("{}: {error}", page.display()))
}

/// Returns a Markdown table that is also readable as plain text.
fn table(rows: &[Row]) -> String {
    let mut cells = vec![COLUMNS.map(str::to_owned)];
    cells.extend(rows.iter().map(Row::cells));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    cells.insert(1, widths.map(|width| "-".repeat(width)));
    let line = |row: &[String; 6]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    cells.iter().map(line).collect()
}
