//! Recipes, child processes that end with the test, and a client.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{Running, signal};

pub(crate) const HEALTH: &str = env!("CARGO_BIN_EXE_health");

/// Returns the folder with the files of the recipes.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cookbook")
}

/// Returns the content of a recipe's file.
pub(crate) fn recipe(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Replaces parts of a recipe. Each part has to be in it.
pub(crate) fn replaced(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in {text}");
        text.replace(from, to)
    })
}

/// Returns the command of a program in a Debian package, which may be in a folder of root's `PATH`
/// only.
pub(crate) fn program(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()));
    let missing =
        || panic!("{name} is not installed: cargo xtask services up, or apt-get install {package}");
    Command::new(found.unwrap_or_else(missing))
}

/// Runs a command that has to succeed, and returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    let (success, output) = outcome(command);
    assert!(success, "{command:?}: {output}");
    output
}

/// Runs a command. Returns `true` if it succeeds, and its whole output.
pub(crate) fn outcome(command: &mut Command) -> (bool, String) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&printed).into_owned(),
    )
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Calls `ask` until it returns a value.
pub(crate) fn until<T>(what: &str, max_wait: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(
            began.elapsed() < max_wait,
            "not within {max_wait:?}: {what}"
        );
        sleep(Duration::from_millis(50));
    }
}

/// A child process that is killed when dropped.
pub(crate) struct Process(Running);

impl Process {
    /// Starts a server whose output is written to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self(Running::new(command))
    }

    pub(crate) fn terminate(&self) {
        signal(&self.0, "TERM");
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

/// A running `health serve` with a configuration.
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) address: String,
    config: tempfile::NamedTempFile,
}

impl Served {
    pub(crate) fn start(config: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        Self::listen(file, "127.0.0.1:0")
    }

    /// Starts a new process at the same address once this one has ended.
    pub(crate) fn restart(self) -> Self {
        let Self {
            address,
            config,
            mut process,
        } = self;
        until("the process ends", Duration::from_secs(20), || {
            process.has_ended().then_some(())
        });
        Self::listen(config, &address)
    }

    fn listen(config: tempfile::NamedTempFile, address: &str) -> Self {
        let mut command = Command::new(HEALTH);
        command.env_clear().env("TMPDIR", std::env::temp_dir());
        command
            .args(["serve", "--listen", address, "--config"])
            .arg(config.path());
        let mut child = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let stdout = child.stdout.take().unwrap();
        let process = Process(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/ht/"));
        Self {
            process,
            address: address
                .unwrap_or_else(|| panic!("it printed {line:?}"))
                .to_owned(),
            config,
        }
    }
}

/// Returns the configuration that the recipes share, changed so that its result does not depend on
/// the machine.
pub(crate) fn config() -> String {
    replaced(
        &recipe("health.toml"),
        &[("usage_max = 90", "usage_max = 100")],
    )
}

/// Sends a request, and returns the status and the body. Fails if the connection is refused or
/// breaks.
pub(crate) fn ask(address: &str, path: &str, headers: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // In one packet: `write!` would send each piece separately, and the second waits for an
    // acknowledgement of the first.
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok((
        status.ok_or(std::io::ErrorKind::InvalidData)?,
        body.to_owned(),
    ))
}

/// Sends a request that has to succeed, and returns the status and the body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, path, "").unwrap_or_else(|error| panic!("{address}{path}: {error}"))
}
