//! A server that is measured. It prints its address, and is stopped when its value is dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::pause;
use crate::Outcome;

/// The path of each request. The query selects the format.
const PATH: &str = "/ht/?format=json";

/// A server that is measured.
#[derive(Debug)]
pub(super) struct Server {
    address: String,
    child: Child,
    /// Kept open, because a server may print more than its address.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the server, and reads the address, or a URL, from the first line that it prints.
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        let shown = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| format!("{shown}: {error}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut output = BufReader::new(child.stdout.take().ok_or("a server without an output")?);
        let mut address = String::new();
        let read = output.read_line(&mut address).map_err(failed);
        let server = Self {
            address: address.trim().to_owned(),
            child,
            _output: output,
        };
        read?;
        if server.address.is_empty() {
            Err(format!("{shown} does not say where it listens"))
        } else {
            Ok(server)
        }
    }

    /// Starts a server of `health-bench`.
    pub(super) fn of(programs: &Path, framework: &str, side: &str) -> Result<Self, String> {
        Self::start(Command::new(programs.join("health-bench")).args(["serve", framework, side]))
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Returns the CPU time that the threads of the process have used, in seconds. Threads that
    /// have ended are left out.
    pub(super) fn cpu(&self) -> Result<f64, String> {
        let tasks = format!("/proc/{}/task", self.pid());
        let failed = |error: std::io::Error| format!("{tasks}: {error}");
        let mut nanoseconds = 0.0;
        for task in fs::read_dir(&tasks).map_err(failed)? {
            let text = fs::read_to_string(task.map_err(failed)?.path().join("schedstat"))
                .map_err(failed)?;
            let first = text
                .split_whitespace()
                .next()
                .and_then(|first| first.parse::<f64>().ok());
            nanoseconds += first.ok_or_else(|| format!("{tasks}: {text}"))?;
        }
        Ok(nanoseconds / 1e9)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the response as it is sent, without the headers that hold a time, and with the
    /// others sorted.
    pub(super) fn answer(&self) -> Result<String, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.address);
        let mut stream = TcpStream::connect(&self.address).map_err(failed)?;
        let request = format!(
            "GET {PATH} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or_else(|| format!("no answer from {}", self.address))?;
        let (status, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let mut headers: Vec<_> = headers.lines().map(str::to_lowercase).collect();
        headers.retain(|header| !header.starts_with("date:") && !header.starts_with("expires:"));
        headers.sort();
        Ok(format!("{status}\n{}\n\n{body}", headers.join("\n")))
    }

    fn end(&mut self) -> Outcome {
        let asked = Command::new("sh")
            .args(["-c", &format!("kill -s TERM {}", self.pid())])
            .status();
        let begin = Instant::now();
        while asked.is_ok() && begin.elapsed() < Duration::from_secs(5) {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return Ok(());
            }
            pause(Duration::from_millis(10));
        }
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Sends SIGTERM first, so that gunicorn can stop its workers, and kills the server if it does not
/// exit.
impl Drop for Server {
    fn drop(&mut self) {
        let _it_has_ended = self.end();
    }
}
