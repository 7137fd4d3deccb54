//! `cargo xtask bench`: measures, and compares the results with the goals. Both sides of a ratio
//! take turns in one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::{Outcome, cargo, root};
use facts::Facts;
use row::Row;

mod django;
mod engine;
mod facts;
mod fleet;
mod http;
mod idle;
mod incident;
mod page;
mod peers;
mod row;
mod server;
mod size;
mod soak;
mod start;
#[path = "../../bench/src/turns.rs"]
mod turns;
mod wrk;

/// Measure, and compare the results with the goals.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command"
)]
pub(crate) struct Bench {
    /// Measure for a shorter time and less exactly, to try it out; writes below target/bench
    #[arg(long)]
    quick: bool,
    /// Measure nothing but whether memory, threads or files grow, with many runs and a long load
    #[arg(long, conflicts_with = "quick")]
    soak: bool,
    /// Measure only replicas that share their verdicts; needs redis-server
    #[arg(long, conflicts_with_all = ["quick", "soak"])]
    fleet: bool,
    /// Measure nothing but the health of a PostgreSQL server, against what a team would write or
    /// take instead
    #[arg(long, conflicts_with_all = ["quick", "soak", "fleet"])]
    peers: bool,
    /// The duration of the load of the soak, in minutes
    #[arg(long, requires = "soak", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

/// Measures, prints the table and writes the page; fails if a row misses its goal.
pub(crate) fn run(options: &Bench) -> Outcome {
    if !options.fleet {
        wrk::is_there()?;
    }
    let facts = Facts::find()?;
    // The two programs are built separately: in one build, each would also get the features of the
    // other.
    cargo([
        "build",
        "--profile",
        "bench",
        "--locked",
        "--package",
        "health-bench",
    ])?;
    let programs = facts.programs();
    if options.soak {
        let rows = soak::rows(&programs, options.minutes)?;
        page::SOAK.write(&page_of(options), &rows, &facts)?;
        return goals(&rows);
    }
    if options.peers {
        let rows = peers::rows(&programs)?;
        page::PEERS.write(&page_of(options), &rows, &facts)?;
        return goals(&rows);
    }
    let size = if options.quick || options.fleet {
        None
    } else {
        Some(size::row(&facts)?)
    };
    command(&facts, &[])?;
    if options.fleet {
        let rows = fleet::rows(&programs)?;
        page::FLEET.write(&page_of(options), &rows, &facts)?;
        return goals(&rows);
    }
    let django = django::Django::install()?;
    let mut rows = rows(&programs, &django, options.quick)?;
    rows.extend(size);
    page::write(&page_of(options), &rows, &facts, &django.versions()?)?;
    goals(&rows)
}

/// Builds the command `health` as it is shipped, puts it beside the programs that are measured, and
/// returns its path.
fn command(facts: &Facts, features: &[&str]) -> Result<PathBuf, String> {
    let build = [
        "build",
        "--profile",
        "dist",
        "--locked",
        "--package",
        "health-cli",
    ];
    cargo([&build, features].concat())?;
    let program = facts.programs().join("health");
    fs::copy(facts.shipped(), &program)
        .map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(program)
}

fn rows(programs: &Path, django: &django::Django, quick: bool) -> Result<Vec<Row>, String> {
    let mut rows = http::rows(programs, django, quick)?;
    rows.extend(engine::rows(programs, quick)?);
    rows.extend(incident::rows(programs, quick)?);
    rows.extend(idle::rows(programs, quick)?);
    rows.extend(start::rows(programs, quick)?);
    Ok(rows)
}

fn goals(rows: &[Row]) -> Outcome {
    let missed: Vec<_> = rows
        .iter()
        .filter(|row| row.is_missed())
        .map(|row| row.what.as_str())
        .collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("missed its goal:\n  {}", missed.join("\n  ")))
    }
}

fn page_of(options: &Bench) -> PathBuf {
    if options.quick {
        folder().join("quick.md")
    } else {
        root().join("docs/benchmarks.md")
    }
}

/// Returns the folder for the files of a run, below `target`.
fn folder() -> PathBuf {
    root().join("target/bench")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore is synchronous: nothing else waits for this thread"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
