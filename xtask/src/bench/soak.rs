//! Measures whether the process grows with many runs of checks, and under a long load.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::pause;
use super::row::{Row, Unit};
use super::server::Server;
use super::wrk::requests_per_second;

/// The resources that a process holds.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory: f64,
    threads: f64,
    files: f64,
}

pub(super) fn rows(programs: &Path, minutes: u32) -> Result<Vec<Row>, String> {
    let [warm, end] = runs(programs)?;
    let mut rows = Vec::from(growth("100,000 runs of 10 checks", warm, end));
    let [warm, end] = load(programs, minutes)?;
    rows.extend(growth(&format!("{minutes} min of load on health-axum"), warm, end));
    Ok(rows)
}

/// Returns the samples after a tenth of the runs and after all of them.
fn runs(programs: &Path) -> Result<[Sample; 2], String> {
    println!("> 100,000 runs of 10 checks");
    let failed = |error: std::io::Error| format!("health-bench: {error}");
    let mut command = Command::new(programs.join("health-bench"));
    command.args(["runs", "100000"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut input = child.stdin.take().ok_or("health-bench without an input")?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("health-bench without an output")?).lines();
    let mut next = |expected: &str| {
        let line = lines.next().ok_or("health-bench has ended")?.map_err(failed)?;
        let sample = Sample::of(child.id(), &line)?;
        input.write_all(b"\n").map_err(failed)?;
        if line == expected { Ok(sample) } else { Err(format!("health-bench says {line}, not {expected}")) }
    };
    next("start")?;
    let samples = [next("warm")?, next("end")?];
    child.wait().map_err(failed)?;
    Ok(samples)
}

/// Returns the samples after ten seconds of load and after all of it, each taken when the connections are closed.
fn load(programs: &Path, minutes: u32) -> Result<[Sample; 2], String> {
    println!("> {minutes} minutes of load");
    let server = Server::of(programs, "axum", "health")?;
    let (url, pid) = (server.url(), server.pid());
    Sample::of(pid, "start")?;
    let after = |seconds: u32, name: &str| {
        let rate = requests_per_second(&url, seconds)?;
        pause(Duration::from_secs(1));
        Sample::of(pid, &format!("{name}, {}", Unit::PerSecond.show(rate)))
    };
    let warm = after(10, "warm")?;
    let mut end = warm;
    for minute in 1..=minutes {
        end = after(60, &format!("minute {minute}"))?;
    }
    Ok([warm, end])
}

impl Sample {
    /// Takes a sample and prints it.
    fn of(pid: u32, name: &str) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("/proc/{pid}: {error}");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(failed)?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            number.ok_or_else(|| format!("/proc/{pid}/status has no {key}"))
        };
        let (memory, threads) = (number("VmRSS:")? * 1024.0, number("Threads:")?);
        let files = u32::try_from(fs::read_dir(format!("/proc/{pid}/fd")).map_err(failed)?.count()).unwrap_or(u32::MAX);
        println!("  {name}: {}, {threads} threads, {files} files", Unit::Bytes.show(memory));
        Ok(Self { memory, threads, files: files.into() })
    }
}

fn growth(what: &str, warm: Sample, end: Sample) -> [Row; 3] {
    let row = |name: &str, unit, end: f64, warm: f64| {
        Row::new(format!("{what}: {name}"), unit, end).against(warm, "after the warm-up")
    };
    [
        row("memory", Unit::Bytes, end.memory, warm.memory).ratio_at_most(1.1),
        row("threads", Unit::Count, end.threads, warm.threads).ratio_at_most(1.0),
        row("open files", Unit::Count, end.files, warm.files).ratio_at_most(1.0),
    ]
}
