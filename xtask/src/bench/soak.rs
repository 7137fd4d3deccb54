//! Measures whether the process grows with many runs of checks, and under a long load.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::pause;
use super::row::{Row, Unit};
use super::server::Server;
use super::wrk::requests_per_second;
use crate::services;

/// Checks that run against real servers.
struct Checks {
    what: &'static str,
    /// The configuration, in `xtask/bench/soak`.
    file: &'static str,
    runs: u32,
    services: &'static [&'static str],
    /// `true` if each of them keeps its connection.
    keep: bool,
}

const REAL: [Checks; 2] = [
    Checks {
        what: "100,000 runs of 6 checks of databases, caches and NATS",
        file: "often.toml",
        runs: 100_000,
        services: &["postgres", "mariadb", "redis", "memcached", "nats"],
        keep: true,
    },
    Checks {
        what: "5,000 runs of 12 checks of brokers, workers and other servers",
        file: "others.toml",
        runs: 5_000,
        services: &[
            "redis",
            "rabbitmq",
            "s3",
            "smtp",
            "dns",
            "grpc",
            "kafka",
            "celery",
            "celery-redis",
        ],
        keep: false,
    },
];

/// The longest time that a check keeps a connection of its own, by default.
const RECONNECT: Duration = Duration::from_secs(30);

const AFTER: &str = "after the warm-up";

/// The resources that a process holds.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory: f64,
    threads: f64,
    files: f64,
}

/// The state of `health-bench` between its runs.
#[derive(Debug, Clone, Copy)]
struct Pause {
    sample: Sample,
    at: Instant,
    checks: f64,
    tasks: f64,
    /// The connections that the programs of this machine have opened since it started.
    opened: f64,
}

pub(super) fn rows(programs: &Path, minutes: u32) -> Result<Vec<Row>, String> {
    let what = "100,000 runs of 10 checks that return at once";
    let mut rows = grown(what, runs(programs, what, &["runs", "100000"], Vec::new())?);
    for checks in &REAL {
        let names: Vec<_> = checks
            .services
            .iter()
            .map(|&name| name.to_owned())
            .collect();
        rows.extend(services::during(&names, |env| real(programs, checks, env))?);
    }
    let [warm, end] = load(programs, minutes)?;
    rows.extend(growth(
        &format!("{minutes} min of load on health-axum"),
        warm,
        end,
    ));
    Ok(rows)
}

fn real(
    programs: &Path,
    checks: &Checks,
    env: Vec<(&'static str, String)>,
) -> Result<Vec<Row>, String> {
    let config = crate::root()
        .join("xtask/bench/soak")
        .join(checks.file)
        .display()
        .to_string();
    let args = ["runs", &checks.runs.to_string(), "--config", &config];
    let [warm, end] = runs(programs, checks.what, &args, env)?;
    let mut rows = grown(checks.what, [warm, end]);
    let time = end.at.duration_since(warm.at);
    let most = warm.checks * (time.as_secs_f64() / RECONNECT.as_secs_f64() + 1.0).floor();
    let opened = Row::new(
        format!("{}: connections opened", checks.what),
        Unit::Count,
        end.opened - warm.opened,
    );
    rows.extend(
        checks
            .keep
            .then(|| opened.against(most, "one per check in 30 s").at_most(most)),
    );
    Ok(rows)
}

/// Returns the states after a tenth of the runs and after all of them.
fn runs(
    programs: &Path,
    what: &str,
    args: &[&str],
    env: Vec<(&'static str, String)>,
) -> Result<[Pause; 2], String> {
    println!("> {what}");
    let failed = |error: std::io::Error| format!("health-bench: {error}");
    let mut command = Command::new(programs.join("health-bench"));
    command
        .args(args)
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut input = child.stdin.take().ok_or("health-bench without an input")?;
    let mut lines = BufReader::new(
        child
            .stdout
            .take()
            .ok_or("health-bench without an output")?,
    )
    .lines();
    let mut next = |expected: &str| {
        let line = lines
            .next()
            .ok_or("health-bench has ended")?
            .map_err(failed)?;
        let paused = Pause::of(child.id(), &line)?;
        input.write_all(b"\n").map_err(failed)?;
        if line.starts_with(expected) {
            Ok(paused)
        } else {
            Err(format!("health-bench says {line}, not {expected}"))
        }
    };
    next("start")?;
    let paused = [next("warm")?, next("end")?];
    child.wait().map_err(failed)?;
    Ok(paused)
}

/// Returns the samples after ten seconds of load and after all of it, each taken when the
/// connections are closed.
fn load(programs: &Path, minutes: u32) -> Result<[Sample; 2], String> {
    println!("> {minutes} minutes of load");
    let server = Server::of(programs, "axum", "health")?;
    let url = server.url();
    let pid = server.pid();
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

impl Pause {
    /// Takes a sample, and reads the number of checks and tasks from the line.
    fn of(pid: u32, line: &str) -> Result<Self, String> {
        let sample = Sample::of(pid, line)?;
        let numbers: Vec<f64> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let [checks, tasks] = numbers[..] else {
            return Err(format!("health-bench says {line}"));
        };
        Ok(Self {
            sample,
            at: Instant::now(),
            checks,
            tasks,
            opened: opened()?,
        })
    }
}

/// Returns the connections that the programs of this machine have opened since it started.
fn opened() -> Result<f64, String> {
    let path = "/proc/net/snmp";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("Tcp: "))
        .map(str::split_whitespace);
    let position = lines
        .next()
        .and_then(|mut names| names.position(|name| name == "ActiveOpens"));
    let opened = position.and_then(|position| lines.next()?.nth(position)?.parse().ok());
    opened.ok_or_else(|| format!("{path} has no ActiveOpens"))
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
        let memory = number("VmRSS:")? * 1024.0;
        let threads = number("Threads:")?;
        let files = u32::try_from(
            fs::read_dir(format!("/proc/{pid}/fd"))
                .map_err(failed)?
                .count(),
        )
        .unwrap_or(u32::MAX);
        println!(
            "  {name}: {}, {threads} threads, {files} files",
            Unit::Bytes.show(memory)
        );
        Ok(Self {
            memory,
            threads,
            files: files.into(),
        })
    }
}

fn grown(what: &str, [warm, end]: [Pause; 2]) -> Vec<Row> {
    let mut rows = Vec::from(growth(what, warm.sample, end.sample));
    let tasks =
        Row::new(format!("{what}: tasks"), Unit::Count, end.tasks).against(warm.tasks, AFTER);
    rows.push(tasks.at_most(warm.tasks));
    rows
}

fn growth(what: &str, warm: Sample, end: Sample) -> [Row; 3] {
    let row = |name: &str, unit, end: f64, warm: f64| {
        Row::new(format!("{what}: {name}"), unit, end).against(warm, AFTER)
    };
    [
        row("memory", Unit::Bytes, end.memory, warm.memory).ratio_at_most(1.1),
        row("threads", Unit::Count, end.threads, warm.threads).ratio_at_most(1.0),
        row("open files", Unit::Count, end.files, warm.files).ratio_at_most(1.0),
    ]
}
