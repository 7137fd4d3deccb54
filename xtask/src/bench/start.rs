//! Measures the command `health` from start to exit.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::row::{Row, Unit};
use super::turns::take_turns;

/// Compares `health check`, with the embedded default, with a program that does nothing.
pub(super) fn row(programs: &Path, quick: bool) -> Result<Row, String> {
    println!("> health check");
    let rounds = if quick { 10 } else { 20 };
    let (health, nothing) = (programs.join("health"), Path::new("/bin/true"));
    // Exit code 1 is accepted: a full disk is a finding, not a failure of the command.
    let [ours, other] = take_turns(rounds, || time(&health, &["check"], &[0, 1]), || time(nothing, &[], &[0]))?;
    let row = Row::new("health check, the embedded default, a whole process", Unit::Time, ours);
    Ok(row.against(other, "/bin/true").below(50e-3))
}

/// Returns the duration of a program in seconds. The program gets no variables, because they might configure other
/// checks.
fn time(program: &Path, args: &[&str], expected: &[i32]) -> Result<f64, String> {
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.status().map_err(|error| format!("{}: {error}", program.display()))?;
    let time = begin.elapsed().as_secs_f64();
    let is_expected = status.code().is_some_and(|code| expected.contains(&code));
    if is_expected { Ok(time) } else { Err(format!("{}: {status}", program.display())) }
}
