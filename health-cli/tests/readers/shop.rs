//! A service whose checks can be broken and repaired, and the programs that read its responses.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Server, folder, signal, stderr};

/// The checks of the shop. Their names contain characters that formats have to escape or use as
/// separators.
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
/// The check that does not make the shop unhealthy; its folder is `IMAGES_FOLDER`.
pub(crate) const IMAGES: &str = "Bilder <\"Größe\"> & \\ 🔥";
pub(crate) const IMAGES_FOLDER: &str = "images";
pub(crate) const DISK: &str = "DiskUsage";
/// Callers without the token only get the verdict.
pub(crate) const STRANGERS: &str = "token = \"t0ken\"\nanonymous = \"status\"";

pub(crate) struct Shop {
    folder: tempfile::TempDir,
    pub(crate) server: Server,
}

impl Shop {
    /// Starts the shop. Its checks work at first, and each read runs them.
    pub(crate) fn open(settings: &str) -> Self {
        let folder = folder(&format!(
            "[settings]\nttl = 0\ndrain_delay = \"1m\"\n{settings}\n{CHECKS}"
        ));
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

    /// Sends SIGTERM, and waits until the shop is unhealthy. It still responds.
    pub(crate) fn drain(&self) {
        signal(&self.server.process, "TERM");
        let began = Instant::now();
        while self.server.get("/ht/?format=json").0 != 500 {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it does not drain"
            );
        }
    }

    /// Returns the result of `read.py` for a path of the shop.
    pub(crate) fn read(&self, reader: &str, path: &str) -> Value {
        read(reader, &self.server.url(path))
    }
}

/// Returns the result of `read.py` for a URL.
pub(crate) fn read(reader: &str, url: &str) -> Value {
    let mut python = Command::new(python());
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read.py"));
    // Without the environment of the test, which may name a proxy.
    let output = python.args([reader, url]).env_clear().output().unwrap();
    assert!(
        output.status.success(),
        "{reader} of {url}: {}",
        stderr(&output)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the Python of the environment that has feedparser, the client of Prometheus and that of
/// gRPC.
pub(crate) fn python() -> String {
    let help = "READERS_PYTHON is not set: run `cargo xtask test`, or `cargo xtask services up` and \
        `eval \"$(cargo xtask services env)\"`";
    std::env::var("READERS_PYTHON").expect(help)
}
