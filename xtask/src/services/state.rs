//! The values that are chosen once for a service and kept: its ports, its passwords and its
//! folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::account::Account;
use crate::{Outcome, root};

/// The range of ports, below the one from which the kernel takes ports for clients: a client must
/// not occupy the port of a server that was killed, and must not connect to itself there.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// The values that have to be chosen for a service.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) name: &'static str,
    pub(super) ports: &'static [&'static str],
    pub(super) secrets: &'static [(&'static str, usize)],
    /// The user that the server runs as if the harness runs as root.
    pub(super) account: Option<&'static str>,
}

/// A service's folder below `target/services`, and the values that were chosen for it.
pub(super) struct Home {
    folder: PathBuf,
    values: BTreeMap<String, String>,
}

/// Leaves out the values, because some of them are passwords.
impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Home {
    /// Loads the values that were chosen before. There are no values before the first `up`.
    pub(super) fn load(name: &str) -> Self {
        let folder = all().join(name);
        let text = fs::read_to_string(folder.join("state")).unwrap_or_default();
        let values = text.lines().filter_map(|line| line.split_once('='));
        Self {
            folder,
            values: values
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// Loads the values that were chosen before, and chooses those that are missing.
    pub(super) fn ensure(needs: &Needs) -> Result<Self, String> {
        let _one_at_a_time = lock(&all().join("ports.lock"))?;
        let mut home = Self::load(needs.name);
        fs::create_dir_all(&home.folder)
            .map_err(|error| format!("{}: {error}", home.folder.display()))?;
        for key in needs.ports {
            home.choose(key, || free_port(&ports_in_use()))?;
        }
        for (key, bytes) in needs.secrets {
            home.choose(key, || random_hex(*bytes))?;
        }
        home.choose("place", || place(needs))?;
        Ok(home)
    }

    fn choose(&mut self, key: &str, value: impl FnOnce() -> Result<String, String>) -> Outcome {
        if !self.values.contains_key(key) {
            self.values.insert(key.to_owned(), value()?);
            // Saved each time, so that the next choice sees it: two ports of one service must
            // differ.
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> Outcome {
        let text: String = self
            .values
            .iter()
            .flat_map(|(key, value)| [key, "=", value, "\n"])
            .collect();
        write_secret(&self.folder.join("state"), &text)
    }

    /// Returns a value that was chosen. It is empty before the first `up`.
    pub(super) fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// Returns the port of the service itself.
    pub(super) fn port(&self) -> &str {
        self.get("port")
    }

    /// Returns the password of the service itself.
    pub(super) fn password(&self) -> &str {
        self.get("password")
    }

    /// Returns `127.0.0.1:PORT`, or `-` for a worker, which does not listen.
    pub(super) fn address(&self) -> String {
        if self.port().is_empty() {
            "-".to_owned()
        } else {
            format!("127.0.0.1:{}", self.port())
        }
    }

    /// Returns the path of a file that the harness itself keeps for the service.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the folder that belongs to the server: its data, its configuration and its working
    /// directory.
    pub(super) fn place(&self) -> PathBuf {
        self.folder.join(self.get("place"))
    }

    /// Blocks every other `up` and `down` of this service until the returned file is dropped.
    pub(super) fn lock(&self) -> Result<File, String> {
        lock(&self.file("lock"))
    }
}

/// Returns the folder of the services: `HEALTH_SERVICES`, for a test with its own servers, or else
/// `target/services`.
pub(super) fn all() -> PathBuf {
    std::env::var_os("HEALTH_SERVICES").map_or_else(common, PathBuf::from)
}

/// Returns the folder of the servers that tests share.
fn common() -> PathBuf {
    root().join("target/services")
}

/// Writes a file that only its owner can read. Replaces the file as a whole.
pub(super) fn write_secret(path: &Path, text: &str) -> Outcome {
    let new = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Waits for a lock file. The lock ends when the returned file is dropped.
pub(super) fn lock(path: &Path) -> Result<File, String> {
    let locked = fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| OpenOptions::new().create(true).append(true).open(path))
        .and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the path of the server's folder, which is outside of the repository if the server's user
/// cannot enter that, for instance below `/root`.
fn place(needs: &Needs) -> Result<String, String> {
    let folder = all().join(needs.name);
    match Account::of(needs.account)? {
        Some(account) if !account.reaches(&folder)? => {
            let name = format!("health-{}-{}", needs.name, random_hex(8)?);
            Ok(std::env::temp_dir().join(name).display().to_string())
        }
        _ => Ok("data".to_owned()),
    }
}

fn ports_in_use() -> BTreeSet<u16> {
    let folders = [all(), common()]
        .into_iter()
        .flat_map(fs::read_dir)
        .flatten()
        .flatten();
    let states = folders.filter_map(|folder| fs::read_to_string(folder.path().join("state")).ok());
    states
        .flat_map(|state| {
            let values = state.lines().filter_map(|line| line.split_once('='));
            values
                .filter_map(|(_, value)| value.parse().ok())
                .collect::<Vec<u16>>()
        })
        .collect()
}

fn free_port(taken: &BTreeSet<u16>) -> Result<String, String> {
    for _ in 0..1_000 {
        let random = u16::from_str_radix(&random_hex(2)?, 16).map_err(|error| error.to_string())?;
        let port = PORTS.start + random % (PORTS.end - PORTS.start);
        if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port.to_string());
        }
    }
    Err(format!(
        "no free port from {} to {}",
        PORTS.start, PORTS.end
    ))
}

fn random_hex(bytes: usize) -> Result<String, String> {
    let mut random = vec![0; bytes];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    read.map_err(|error| format!("/dev/urandom: {error}"))?;
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    Ok(random
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect())
}
