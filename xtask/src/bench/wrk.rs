//! Runs wrk, which sends requests as fast as they are answered.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::pause;
use crate::Outcome;

const INSTALL: &str = "wrk is not installed; as root: apt-get install -y wrk";

pub(super) fn is_there() -> Outcome {
    version().map(drop)
}

/// Returns the name and version of wrk: the first two words of its help. After the help, it exits
/// with an error.
pub(super) fn version() -> Result<String, String> {
    let output = Command::new("wrk")
        .arg("--version")
        .output()
        .map_err(|error| format!("{INSTALL} ({error})"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" "))
}

/// Returns the requests per second of 16 connections. Fails if there is no response, if one is an
/// error, or if a connection breaks.
pub(super) fn requests_per_second(url: &str, seconds: u32) -> Result<f64, String> {
    Ok(Load::start(wrk(url, seconds), url)?.end()?.number / f64::from(seconds))
}

/// Sends requests with this number of connections.
pub(super) fn load(url: &str, seconds: u32, connections: u32) -> Result<Answers, String> {
    Load::start(wrk_with(url, seconds, connections), url)?.end()
}

/// Returns the command that sends requests with 16 connections.
pub(super) fn wrk(url: &str, seconds: u32) -> Command {
    wrk_with(url, seconds, 16)
}

fn wrk_with(url: &str, seconds: u32, connections: u32) -> Command {
    let mut command = Command::new("wrk");
    command.args([
        "--latency",
        "--threads",
        "1",
        "--connections",
        &connections.to_string(),
    ]);
    command.args(["--duration", &format!("{seconds}s"), url]);
    command
}

/// Returns the requests per second of two servers that take turns of a tenth of a second, for
/// almost four seconds in total, so that a noisy machine disturbs both. The server that begins
/// changes with every round.
pub(super) fn share(
    urls: [&str; 2],
    round: usize,
    load: impl Fn(&str, u32) -> Command,
) -> Result<[f64; 2], String> {
    const SECONDS: u32 = 4;
    const TURN: Duration = Duration::from_millis(100);
    const TURNS: usize = 36; // the rest of the time is for starting and for pauses that are too long
    const EACH: f64 = 1.8; // seconds: half of the turns
    let begin = Instant::now();
    let start = |url: &str| Load::start(load(url, SECONDS), url);
    let loads = [start(urls[0])?, start(urls[1])?];
    loads.iter().try_for_each(|load| load.send(Signal::STOP))?;
    for turn in round..round + TURNS {
        let load = &loads[[0, 1, 1, 0][turn % 4]];
        load.send(Signal::CONT)?;
        pause(TURN);
        load.send(Signal::STOP)?;
    }
    let time = Duration::from_secs(SECONDS.into()) + Duration::from_millis(50);
    pause(time.saturating_sub(begin.elapsed())); // then both end as soon as they continue
    loads.iter().try_for_each(|load| load.send(Signal::CONT))?;
    let [first, second] = loads.map(Load::end);
    Ok([first?.number / EACH, second?.number / EACH])
}

/// The answers to a load. The times are in seconds, and 0 if the load does not measure them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    pub(super) number: f64,
    /// The time that the slowest one took.
    pub(super) slowest: f64,
    /// The time that 99 % of them took at most.
    pub(super) p99: f64,
}

impl Answers {
    /// Reads the output of wrk.
    fn of(text: &str) -> Option<Self> {
        let number = text
            .lines()
            .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
        let column = |row: &str, column: usize| {
            let mut lines = text.lines().map(str::split_whitespace);
            let mut line = lines.find(|line| line.clone().next() == Some(row))?;
            seconds(line.nth(column)?)
        };
        let slowest = column("Latency", 3);
        let p99 = column("99%", 1);
        Some(Self {
            number,
            slowest: slowest.unwrap_or_default(),
            p99: p99.unwrap_or_default(),
        })
    }
}

/// Returns the seconds of `12.3ms`.
fn seconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    units
        .into_iter()
        .find_map(|(unit, seconds)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * seconds))
}

/// A process that sends requests to a server and prints their number as wrk does.
#[derive(Debug)]
struct Load {
    url: String,
    child: Child,
}

impl Load {
    fn start(mut command: Command, url: &str) -> Result<Self, String> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Ok(Self {
            url: url.to_owned(),
            child: child.map_err(|error| format!("{INSTALL} ({error})"))?,
        })
    }

    fn send(&self, signal: Signal) -> Outcome {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("the load on {}: {error}", self.url))
    }

    /// Waits until wrk exits.
    fn end(mut self) -> Result<Answers, String> {
        let mut text = String::new();
        let mut complaints = String::new();
        let mut read = || {
            self.child
                .stdout
                .take()
                .map(|mut stdout| stdout.read_to_string(&mut text))
                .transpose()?;
            self.child
                .stderr
                .take()
                .map(|mut stderr| stderr.read_to_string(&mut complaints))
                .transpose()?;
            self.child.wait()
        };
        let status = read().map_err(|error| format!("the load on {}: {error}", self.url))?;
        match Answers::of(&text) {
            Some(answers)
                if answers.number > 0.0
                    && !text.contains("Non-2xx")
                    && !text.contains("Socket errors") =>
            {
                Ok(answers)
            }
            _ => Err(format!(
                "the load on {}: {status}\n{text}{complaints}",
                self.url
            )),
        }
    }
}

/// Kills the process, even if it is stopped, so that it does not stay behind when the benchmark
/// fails between two turns.
impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_wrk_is_read() {
        let text = "  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   101.47ms    1.20ms 119.30ms   88.00%\n\
                    \x20 Latency Distribution\n     50%   97.00us\n     99%    1.50s \n  3960 requests in 2.00s, 1.20MB read\n";
        let answers = Answers::of(text).expect("answers");
        let read = [answers.number, answers.slowest, answers.p99];
        assert!(
            read.iter()
                .zip([3960.0, 0.1193, 1.5])
                .all(|(read, is)| (read - is).abs() < 1e-9),
            "{read:?}"
        );
    }
}
