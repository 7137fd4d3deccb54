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

/// A part of the page with its own date and machine, below the first one.
pub(super) struct Part {
    heading: &'static str,
    option: &'static str,
}

pub(super) const PEERS: Part = Part { heading: "What a team would write or take instead", option: "--peers" };
pub(super) const SOAK: Part = Part { heading: "Soak", option: "--soak" };
pub(super) const FLEET: Part = Part { heading: "A fleet", option: "--fleet" };

/// Prints the table and writes the first part of the page. Keeps the others.
pub(super) fn write(page: &Path, rows: &[Row], facts: &Facts, python: &str) -> Outcome {
    let table = table(rows);
    println!("\n{table}");
    let versions = format!("Versions: {}, {python}.\n", facts.versions);
    let mut text = format!("{INTRODUCTION}\n{}\n{table}\n{versions}", facts.machine);
    let old = fs::read_to_string(page).unwrap_or_default();
    text.extend(parts(&old).map(|(heading, rest)| format!("\n## {heading}\n{rest}")));
    save(page, &text)
}

impl Part {
    /// Prints the table and writes this part. Keeps the others.
    pub(super) fn write(&self, page: &Path, rows: &[Row], facts: &Facts) -> Outcome {
        let table = table(rows);
        println!("\n{table}");
        let old = fs::read_to_string(page).unwrap_or_else(|_| INTRODUCTION.to_owned());
        let mut text = old.split("\n## ").next().unwrap_or_default().to_owned();
        let own = format!("\nWritten by `cargo xtask bench {}`. {}\n{table}", self.option, facts.machine);
        let mut all: Vec<_> = parts(&old).filter(|(heading, _)| *heading != self.heading).collect();
        all.push((self.heading, &own));
        all.sort_by_key(|(heading, _)| std::cmp::Reverse(*heading));
        text.extend(all.iter().map(|(heading, rest)| format!("\n## {heading}\n{rest}")));
        save(page, &text)
    }
}

/// Returns the headings and the texts of the parts below the first one.
fn parts(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'))
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
