//! Shared by the tests of the command: the binary, real servers, and servers that misbehave.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may, and not each uses all of it"
)]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const WARNING: &str =
    "[[checks]]\nkind = \"disk\"\nusage_max = 0.001\ninodes_max = false\n";
pub(crate) const BROKEN: &str = "[[checks]]\nkind = \"storage\"\npath = \"/no/such/folder\"\n";
pub(crate) const CACHE: &str = "[[checks]]\nkind = \"cache\"\n";

/// Returns the command in this folder, without the environment of the test.
pub(crate) fn health(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_health"));
    command
        .current_dir(folder)
        .env_clear()
        .env("TMPDIR", std::env::temp_dir());
    command
}

pub(crate) fn run(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    health(folder)
        .args(args)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Runs a command that needs no file. Returns its exit code, stdout and stderr.
pub(crate) fn told(args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = run(&std::env::temp_dir(), args, variables);
    (
        output.status.code().unwrap(),
        stdout(&output),
        stderr(&output),
    )
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn folder(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("health.toml"), config).unwrap();
    folder
}

/// Returns a variable that `cargo xtask services env` prints.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`, which sets it"))
}

/// Runs a `cargo xtask` command that has to succeed, and returns its output.
pub(crate) fn xtask(args: &[&str], variables: &[(&str, &Path)]) -> String {
    let mut command = Command::new(variable("HEALTH_XTASK"));
    let output = command
        .args(args)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}{}",
        stdout(&output),
        stderr(&output)
    );
    stdout(&output)
}

pub(crate) fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Waits until a process ends. Returns the time that it took, and the exit code.
pub(crate) fn wait(process: &mut Child) -> (Duration, Option<i32>) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Some(status) = process.try_wait().unwrap() {
            return (began.elapsed(), status.code());
        }
        thread::yield_now();
    }
    panic!("the process does not end");
}

/// A process that is killed at the end of its test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn new(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl std::ops::Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `health serve`.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        Self::at("127.0.0.1:0", folder, args)
    }

    pub(crate) fn at(address: &str, folder: &Path, args: &[&str]) -> Self {
        let mut command = health(folder);
        command.args(["serve", "--listen", address]).args(args);
        Self::spawn(command)
    }

    /// Starts `health serve` by a command that has its environment, but no arguments.
    pub(crate) fn run(mut command: Command, args: &[&str]) -> Self {
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut process = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .unwrap()
            .trim_end_matches("/ht/")
            .to_owned();
        Self { process, address }
    }

    /// Starts a server with this content of the configuration file.
    pub(crate) fn of(config: &str) -> Self {
        let folder = folder(config);
        Self::start(folder.path(), &["--config", "health.toml"])
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request, and returns the status code and the body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.answer(path);
        (status, body)
    }

    /// Sends a request, and returns the status code, the head and the body.
    pub(crate) fn answer(&self, path: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            head.to_owned(),
            body.to_owned(),
        )
    }
}

/// Returns an address that refuses connections.
pub(crate) fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// Starts a server that accepts connections and sends no response, until the listener is dropped.
pub(crate) fn frozen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Starts a server that responds with a function of the request. Returns its address and the number
/// of connections.
pub(crate) fn answering(
    respond: impl Fn(&str) -> String + Send + 'static,
) -> (String, Arc<AtomicUsize>) {
    let (listener, address) = frozen();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap(), &respond);
        }
    });
    (address, asked)
}

/// Reads a request and writes the response. The client may close the connection at any time.
pub(crate) fn answer(mut stream: impl Read + Write, respond: &impl Fn(&str) -> String) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        request.extend(byte);
    }
    let _ = stream.write_all(respond(&String::from_utf8(request).unwrap()).as_bytes());
    let _ = stream.flush();
}

/// Formats a response with a `Content-Length`.
pub(crate) fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// A terminal of 100 columns and 20 lines, and its output so far.
#[cfg(target_os = "linux")]
pub(crate) struct Terminal {
    pub(crate) ours: std::fs::File,
    theirs: std::fs::File,
    written: Arc<std::sync::Mutex<Vec<u8>>>,
}

#[cfg(target_os = "linux")]
impl Terminal {
    pub(crate) fn open() -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = std::fs::File::options()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let terminal = Self {
            ours: ours.into(),
            theirs,
            written: Arc::default(),
        };
        terminal.resize(100, 20);
        let mut reader = terminal.ours.try_clone().unwrap();
        let written = Arc::clone(&terminal.written);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                written.lock().unwrap().extend(&buffer[..length]);
            }
        });
        terminal
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        let size = rustix::termios::Winsize {
            ws_col: columns,
            ws_row: lines,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.ours, size).unwrap();
    }

    /// Returns the terminal as the stdin, stdout or stderr of a process.
    pub(crate) fn stdio(&self) -> Stdio {
        self.theirs.try_clone().unwrap().into()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until this text was written, and returns the whole output.
    pub(crate) fn await_text(&self, wanted: &str) -> String {
        let began = Instant::now();
        while !self.text().contains(wanted) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "no {wanted:?} in {:?}",
                self.text()
            );
            thread::yield_now();
        }
        self.text()
    }
}
