//! Measures the command `health` from start to exit.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;

/// The number of processes whose CPU time is measured together.
const PROCESSES: u32 = 50;

pub(super) fn rows(programs: &Path, quick: bool) -> Result<[Row; 3], String> {
    Ok([
        check(programs, quick)?,
        cpu_of_check(programs)?,
        cpu_of_probe(programs)?,
    ])
}

fn cpu_of_check(programs: &Path) -> Result<Row, String> {
    let seconds = cpu(|| time(&programs.join("health"), &["check"], &[0, 1]))?;
    Ok(Row::new(
        "health check, the embedded default, CPU",
        Unit::Time,
        seconds,
    )
    .below(20e-3))
}

fn cpu_of_probe(programs: &Path) -> Result<Row, String> {
    let program = programs.join("health");
    let mut command = Command::new(&program);
    let server = Server::start(
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::null()),
    )?;
    let url = server
        .address()
        .split_whitespace()
        .next()
        .unwrap_or_default();
    let seconds = cpu(|| time(&program, &["probe", url], &[0]))?;
    Ok(Row::new("health probe, CPU", Unit::Time, seconds).below(5e-3))
}

/// Returns the mean CPU time of a process in seconds, from the time that the kernel has added up
/// for those that have ended.
fn cpu(run: impl Fn() -> Result<f64, String>) -> Result<f64, String> {
    let before = cpu_of_ended()?;
    for _ in 0..PROCESSES {
        run()?;
    }
    Ok((cpu_of_ended()? - before) / f64::from(PROCESSES))
}

/// Returns the CPU time of all processes that this one has started and that have ended, in seconds.
fn cpu_of_ended() -> Result<f64, String> {
    let path = "/proc/self/stat";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    // The name, in brackets, may contain spaces. After it, the fields 14 and 15 are those of the
    // children.
    let fields = text
        .rsplit_once(')')
        .map(|(_, fields)| fields.split_whitespace().collect::<Vec<_>>());
    let number = |index: usize| fields.as_ref()?.get(index)?.parse::<f64>().ok();
    let ticks = number(13)
        .zip(number(14))
        .map(|(user, system)| user + system);
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second())
        .map_err(|error| error.to_string())?;
    Ok(ticks.ok_or_else(|| format!("{path}: {text}"))? / f64::from(per_second))
}

/// Compares `health check`, with the embedded default, with a program that does nothing.
fn check(programs: &Path, quick: bool) -> Result<Row, String> {
    println!("> health check");
    let rounds = if quick { 10 } else { 20 };
    let health = programs.join("health");
    let nothing = Path::new("/bin/true");
    // Exit code 1 is accepted: a full disk is a finding, not a failure of the command.
    let [ours, other] = take_turns(
        rounds,
        || time(&health, &["check"], &[0, 1]),
        || time(nothing, &[], &[0]),
    )?;
    let row = Row::new(
        "health check, the embedded default, a whole process",
        Unit::Time,
        ours,
    );
    Ok(row.against(other, "/bin/true").below(50e-3))
}

/// Returns the duration of a program in seconds. The program gets no variables, because they might
/// configure other checks.
fn time(program: &Path, args: &[&str], expected: &[i32]) -> Result<f64, String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begin = Instant::now();
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let time = begin.elapsed().as_secs_f64();
    let is_expected = status.code().is_some_and(|code| expected.contains(&code));
    if is_expected {
        Ok(time)
    } else {
        Err(format!("{}: {status}", program.display()))
    }
}
