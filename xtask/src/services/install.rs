//! What is missing on this machine is installed: Debian's packages, Garage, and what is written in Python.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::is_root;
use super::process::run;
use super::state::lock;
use crate::Outcome;

/// A program and the Debian package that has it.
pub(super) type Tool = (&'static str, &'static str);

/// What the recipes of docs/cookbook.md are tried with; the tests start these by themselves.
pub(super) const COOKBOOK: &[Tool] = &[
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("systemd-analyze", "systemd"),
];

/// What the completions and the manual pages of `health` are tried with.
pub(super) const SHELLS: &[Tool] = &[("zsh", "zsh"), ("fish", "fish"), ("groff", "groff-base"), ("mandoc", "mandoc")];

const GARAGE: &str = "2.5.0";

/// A virtual environment of Python: the name of its folder, which changes with the versions in it, and its packages.
#[derive(Debug)]
pub(super) struct Venv {
    folder: &'static str,
    packages: &'static [&'static str],
}

/// The servers that are written in Python.
pub(super) const CELERY: Venv = Venv {
    folder: "celery-5.7.0",
    packages: &["celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0", "aiosmtpd==1.4.6"],
};

/// What reads the feeds and the metrics back: health-cli/tests/readers/.
const READERS: Venv = Venv {
    folder: "readers-6.0.14-0.26.0",
    packages: &["feedparser==6.0.14", "feedparser-sgmllib==2.1.0", "prometheus-client==0.26.0"],
};

/// What says whether Kubernetes would take a manifest, by the schemas of its API from 1.25 to 1.37.
const KUBERNETES: Venv = Venv { folder: "kubernetes-validate-1.37.0", packages: &["kubernetes-validate==1.37.0"] };

/// What tests run by themselves: the variable by which they find it, the program, and where it is.
pub(super) const FOR_TESTS: [(&str, &str, Venv); 2] =
    [("READERS_PYTHON", "python", READERS), ("KUBERNETES_VALIDATE", "kubernetes-validate", KUBERNETES)];

/// What makes a virtual environment.
pub(super) const PYTHON: &[Tool] = &[("ensurepip", "python3-venv")];

/// A program of the system, whether or not it is on the PATH.
pub(super) fn find(program: &str) -> Result<PathBuf, String> {
    let folders = search_path();
    let found = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{program} is not installed"))
}

/// The packages of those programs that are not on this machine.
pub(super) fn missing(tools: &[Tool]) -> Vec<&'static str> {
    tools.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect()
}

/// Installs Debian packages, as root; otherwise says what to install.
pub(super) fn packages(missing: &BTreeSet<&str>) -> Outcome {
    let missing: Vec<_> = missing.iter().copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = [&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat();
    if !is_root() {
        return Err(format!("not installed; as root: apt-get {}", install.join(" ")));
    }
    loud("apt-get", &["update"])?;
    loud("apt-get", &install)
}

/// Python's `venv` is a package of its own, without a program.
fn is_there(program: &str) -> bool {
    match program {
        "ensurepip" => [CELERY, READERS, KUBERNETES].iter().all(Venv::is_complete) || has_venv(),
        _ => find(program).is_ok(),
    }
}

fn has_venv() -> bool {
    run(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

impl Venv {
    /// The folder of its programs.
    pub(super) fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    pub(super) fn python(&self) -> PathBuf {
        self.bin().join("python")
    }

    /// Makes it, once for a machine.
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
        fs::write(self.marker(), self.packages.join("\n")).map_err(|error| format!("{folder}: {error}"))
    }

    /// Other versions than those that were installed are installed again.
    pub(super) fn is_complete(&self) -> bool {
        fs::read_to_string(self.marker()).is_ok_and(|installed| installed == self.packages.join("\n"))
    }

    fn marker(&self) -> PathBuf {
        self.root().join("complete")
    }

    fn root(&self) -> PathBuf {
        cache().join(self.folder)
    }
}

/// The program of the S3 server.
pub(super) fn garage_program() -> PathBuf {
    cache().join(format!("garage-{GARAGE}")).join("bin/garage")
}

/// Builds Garage, which is in no distribution: once for a machine, in some minutes.
pub(super) fn garage() -> Outcome {
    let _one_at_a_time = lock(&cache().join("garage.lock"))?;
    if garage_program().is_file() {
        return Ok(());
    }
    println!("> garage {GARAGE}: built once for this machine, some minutes");
    let build = cache().join("garage-build");
    let root = cache().join(format!("garage-{GARAGE}"));
    let mut command = Command::new(env!("CARGO"));
    command.args(["install", "garage", "--version", GARAGE, "--locked", "--no-default-features", "--debug", "--quiet"]);
    command.args(["--features", "bundled-libs,sqlite", "--root"]).arg(root).arg("--target-dir").arg(&build);
    let outcome = status(command.current_dir(cache()));
    // Some gigabytes, also when it failed.
    let _none_without_a_build = fs::remove_dir_all(build);
    outcome
}

/// The user's cache: what is built or downloaded once for a machine.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|set| !set.is_empty()).map(PathBuf::from);
    cache.or_else(home).unwrap_or_else(std::env::temp_dir).join("health-xtask")
}

/// The folders of Debian's servers that are on no PATH come first, the newest PostgreSQL before older ones.
fn search_path() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<u32> = versions.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let mut folders: Vec<_> =
        versions.iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))).collect();
    folders.push("/usr/lib/rabbitmq/bin".into());
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders
}

/// The PATH for servers and their tools.
pub(super) fn path_with(first: Option<&Path>) -> OsString {
    let folders = first.map(Path::to_path_buf).into_iter().chain(search_path());
    std::env::join_paths(folders).unwrap_or_else(|_| std::env::var_os("PATH").unwrap_or_default())
}

fn loud(program: &str, args: &[&str]) -> Outcome {
    println!("> {program} {}", args.join(" "));
    status(Command::new(program).args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn status(command: &mut Command) -> Outcome {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}
