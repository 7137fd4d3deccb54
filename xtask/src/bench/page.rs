//! Writes the table to the terminal and to `docs/benchmarks.md`.

use std::fs;
use std::path::Path;

use super::facts::Facts;
use super::row::Row;
use crate::Outcome;

const COLUMNS: [&str; 6] = ["what", "ours", "compared with", "ratio", "goal", "met"];

const INTRODUCTION: &str = "\
# Benchmarks

`cargo xtask bench` measures everything again and writes this page. The two sides of a row alternate on the same machine, so the ratio is
more reliable than the two numbers. wrk sends the HTTP requests from one thread over 16 connections, on the same machine. The plain handler
of a framework sends the same bytes and headers as its adapter, without a copy of its own data, and has the same number of workers. Both are
built with the optimisations of a release by default; the command `health` is built for size.

A process may be a few percent faster than another one of the same program. Therefore the rows of the adapters start both sides 16 times,
and alternate every tenth of a second; their numbers are means, and their ratios have a standard error. Every other number is the median of
its rounds. Both sides use the allocator mimalloc, because the times of the allocator of glibc differ more from one process to the next. The
checks in these measurements return at once or sleep, so that the numbers show what the engine costs.

A row in which one of 20 checks hangs compares a response that waits until the budget of 100 ms has ended with a response that is cached.
A handler that only sleeps as long, without any health checks, is the third side. For a comparison with alexliesenfeld/health, which needs
Go, see `xtask/bench/go`. The transactions of axum-health are not counted: it sends a ping for each request, which is none.
";

/// A part of the page with its own date and machine, below the first one.
pub(super) struct Part {
    heading: &'static str,
    option: &'static str,
}

pub(super) const PEERS: Part = Part {
    heading: "What a team would write or take instead",
    option: "--peers",
};
pub(super) const SOAK: Part = Part {
    heading: "Soak",
    option: "--soak",
};
pub(super) const FLEET: Part = Part {
    heading: "A fleet",
    option: "--fleet",
};

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
        let own = format!(
            "\nWritten by `cargo xtask bench {}`. {}\n{table}",
            self.option, facts.machine
        );
        let mut all: Vec<_> = parts(&old)
            .filter(|(heading, _)| *heading != self.heading)
            .collect();
        all.push((self.heading, &own));
        all.sort_by_key(|(heading, _)| std::cmp::Reverse(*heading));
        text.extend(
            all.iter()
                .map(|(heading, rest)| format!("\n## {heading}\n{rest}")),
        );
        save(page, &text)
    }
}

/// Returns the headings and the texts of the parts below the first one.
fn parts(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
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
    let width = |column: usize| {
        cells
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    cells.insert(1, widths.map(|width| "-".repeat(width)));
    let line = |row: &[String; 6]| {
        let padded = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    cells.iter().map(line).collect()
}
