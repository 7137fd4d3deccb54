//! What is read: a service whose checks can be broken and repaired. And who reads.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Server, folder, signal, stderr};

/// Every read is a run. The names have in them what formats escape or separate by.
const CHECKS: &str = r#"
[groups.host]

[[checks]]
kind = "storage"
name = "orders:new"
path = "orders"
labels = { team = "shop" }

[[checks]]
kind = "storage"
name = "Bilder <\"Größe\"> & \\ 🔥"
path = "images"
critical = false

[[checks]]
kind = "disk"
groups = ["host"]
usage_max = 100
"#;

/// The check that makes the shop unhealthy; its folder is [`ORDERS_FOLDER`].
pub(crate) const ORDERS: &str = "orders:new";
pub(crate) const ORDERS_FOLDER: &str = "orders";
/// The check that does not.
pub(crate) const IMAGES: &str = "Bilder <\"Größe\"> & \\ 🔥";
pub(crate) const IMAGES_FOLDER: &str = "images";
pub(crate) const DISK: &str = "DiskUsage";
/// Only the verdict for whoever has no token.
pub(crate) const STRANGERS: &str = "token = \"t0ken\"\nanonymous = \"status\"";

pub(crate) struct Shop {
    folder: tempfile::TempDir,
    pub(crate) server: Server,
}

impl Shop {
    /// All is well with it at first.
    pub(crate) fn open(settings: &str) -> Self {
        let folder = folder(&format!("[settings]\nttl = 0\ndrain_delay = \"1m\"\n{settings}\n{CHECKS}"));
        for name in [ORDERS_FOLDER, IMAGES_FOLDER] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let server = Server::start(folder.path(), &["--config", "health.toml"]);
        Self { folder, server }
    }

    pub(crate) fn damage(&self, name: &str) {
        fs::remove_dir_all(self.folder.path().join(name)).unwrap();
    }

    pub(crate) fn repair(&self, name: &str) {
        fs::create_dir(self.folder.path().join(name)).unwrap();
    }

    /// It is told to end, and still answers: as one that fails.
    pub(crate) fn drain(&self) {
        signal(&self.server.process, "TERM");
        let began = Instant::now();
        while self.server.get("/ht/?format=json").0 != 500 {
            assert!(began.elapsed() < Duration::from_secs(20), "it does not drain");
        }
    }

    /// What read.py makes of an answer.
    pub(crate) fn read(&self, reader: &str, path: &str) -> Value {
        read(reader, &self.server.url(path))
    }
}

/// What read.py makes of an answer.
pub(crate) fn read(reader: &str, url: &str) -> Value {
    let mut python = Command::new(python());
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py"));
    // Nothing of this environment: not a proxy either.
    let output = python.args([reader, url]).env_clear().output().unwrap();
    assert!(output.status.success(), "{reader} of {url}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// That of the environment which has feedparser and the client of Prometheus.
fn python() -> String {
    let help = "READERS_PYTHON is not set: run `cargo xtask test`, or `cargo xtask services up` and \
        `eval \"$(cargo xtask services env)\"`";
    std::env::var("READERS_PYTHON").expect(help)
}
