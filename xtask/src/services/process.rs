//! Starts processes that outlive the command, recognises them later, and ends them.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// A process of the system. Its start time distinguishes it from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// The number of the process.
    pub(super) pid: u32,
    start: u64,
}

impl Process {
    /// Returns the process with this number, if it has not ended.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name comes second, in parentheses, and may contain anything.
        let mut fields = line.rsplit_once(')')?.1.split_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X");
        let start = fields.nth(18)?.parse().ok()?;
        (!has_ended).then_some(Self { pid, start })
    }

    /// Starts a command that outlives this one, in its own process group. Its output goes to the
    /// log.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let shown = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| format!("{shown}: {error}");
        let previous = log.with_added_extension("previous");
        let _none_at_first = fs::rename(log, previous);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(failed)?;
        let errors = file.try_clone().map_err(failed)?;
        command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0);
        let pid = command.spawn().map(|child| child.id()).map_err(failed)?;
        Self::of(pid).ok_or_else(|| format!("{shown} ended at once"))
    }

    /// Reads what [`Process::record`] wrote, and returns the process if it still runs. A frozen
    /// process counts as running.
    pub(super) fn recorded(file: &Path) -> Option<Self> {
        Self::read(file).filter(|process| process.is_alive())
    }

    /// Kills the recorded process and waits until it has ended, which takes a moment after a kill.
    pub(super) fn bury(file: &Path) -> Outcome {
        Self::read(file).map_or(Ok(()), Self::kill)
    }

    fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    /// Writes the process to a file.
    pub(super) fn record(self, file: &Path) -> Outcome {
        let text = format!("{} {}\n", self.pid, self.start);
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Returns `true` if the process runs and was not killed.
    pub(super) fn is_alive(self) -> bool {
        self.is_there() && !self.is_dying()
    }

    fn is_there(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Returns `true` if the process was killed and has not ended yet. Right after a kill, it must
    /// not count as running.
    fn is_dying(self) -> bool {
        const KILL: u64 = 1 << 8;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let mut pending = status.lines().filter_map(|line| {
            line.strip_prefix("SigPnd:")
                .or(line.strip_prefix("ShdPnd:"))
        });
        let is_killed =
            |set: &str| u64::from_str_radix(set.trim(), 16).is_ok_and(|set| set & KILL != 0);
        let program = fs::read_link(format!("/proc/{}/exe", self.pid));
        pending.any(is_killed) || program.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    /// Returns the program that the process runs.
    pub(super) fn program(self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }

    /// Resumes the process if it is frozen.
    pub(super) fn resume(self) {
        self.signal("CONT");
    }

    /// Sends the signal, and kills the process if it has not ended after this time. Resumes a
    /// frozen process, so that it can handle the signal.
    pub(super) fn stop(self, signal: &str, max_wait: Duration) -> Outcome {
        self.signal(signal);
        self.resume();
        if wait(max_wait, || (!self.is_there()).then_some(())).is_some() {
            return Ok(());
        }
        self.kill()
    }

    /// Kills the process, and waits until it has ended.
    pub(super) fn kill(self) -> Outcome {
        self.signal("KILL");
        let ended = wait(Duration::from_secs(5), || (!self.is_there()).then_some(()));
        ended.ok_or_else(|| format!("process {} does not end", self.pid))
    }

    /// Sends a signal with the shell's own `kill`, because not every machine has the program of
    /// that name.
    fn signal(self, signal: &str) {
        if self.is_there() {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("kill -s {signal} {}", self.pid)]);
            // The process may have ended in the meantime.
            let _ended = command.stderr(Stdio::null()).status();
        }
    }
}

/// Kills the processes that a server left behind: if it was killed, its children continue to run in
/// its folder.
pub(super) fn end_strays(place: &Path, program: Option<&Path>) -> Outcome {
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let strays = pids.filter_map(Process::of).filter(|process| {
        let works_there = fs::read_link(format!("/proc/{}/cwd", process.pid))
            .is_ok_and(|cwd| cwd.starts_with(place));
        works_there && (program.is_none() || process.program().as_deref() == program)
    });
    strays
        .collect::<Vec<_>>()
        .into_iter()
        .try_for_each(Process::kill)
}

/// Calls `answer` every few milliseconds, until it returns a value or the time is over.
#[expect(
    clippy::disallowed_methods,
    reason = "a chore is synchronous: nothing else waits for this thread"
)]
pub(super) fn wait<T>(limit: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        let answer = answer();
        if answer.is_some() || begin.elapsed() > limit {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Runs a command without showing its output. If it fails, the error contains its last lines.
pub(super) fn run(command: &mut Command) -> Outcome {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(format!(
        "{shown}: {}\n{}",
        output.status,
        last_lines(&String::from_utf8_lossy(&printed))
    ))
}

/// Returns the last lines of a log or an output.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(20)..];
    last.iter().flat_map(|line| ["  | ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(log: &str) -> Process {
        let log = std::env::temp_dir().join(format!("{log}-{}", std::process::id()));
        let process = Process::start(Command::new("sleep").arg("60"), &log).unwrap();
        fs::remove_file(log).unwrap();
        process
    }

    #[test]
    fn a_killed_process_is_not_alive_though_nobody_waited_for_it() {
        let process = sleeper("killed");
        assert!(process.is_alive());
        process.kill().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn a_stopped_process_is_alive_and_can_be_ended_politely() {
        let process = sleeper("stopped");
        process.signal("STOP");
        assert!(process.is_alive());
        let begin = Instant::now();
        process.stop("TERM", Duration::from_secs(20)).unwrap();
        assert!(!process.is_alive() && begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_recorded_one() {
        let own = Process::of(std::process::id()).unwrap();
        let file = std::env::temp_dir().join(format!("record-{}", own.pid));
        own.record(&file).unwrap();
        assert_eq!(Process::recorded(&file), Some(own));
        Process {
            start: own.start - 1,
            ..own
        }
        .record(&file)
        .unwrap();
        assert_eq!(Process::recorded(&file), None);
        fs::remove_file(file).unwrap();
    }
}
