//! What is missing on this machine is installed: Debian's packages, Garage, Python with Celery, and axe-core.

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

/// What the test of the page needs: a browser, and what downloads axe-core.
pub(super) const PAGE: &[Tool] = &[("chromium", "chromium"), ("npm", "npm")];

/// Looks for what keeps people from using a page; a package of npm.
const AXE: &str = "axe-core@4.14.1";

const GARAGE: &str = "2.5.0";

/// The directory of the virtual environment; `celery[redis]` below is the same version.
const VENV: &str = "celery-5.7.0";

const PYTHON_PACKAGES: &[&str] = &["celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0", "aiosmtpd==1.4.6"];

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

/// Python's `venv` is a package of its own, without a program; npm is not needed twice.
fn is_there(program: &str) -> bool {
    match program {
        "npm" => axe_script().is_file() || find(program).is_ok(),
        "ensurepip" => is_complete(&venv_marker()) || has_venv(),
        _ => find(program).is_ok(),
    }
}

fn has_venv() -> bool {
    run(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

/// The folder of the virtual environment's programs.
pub(super) fn venv_bin() -> PathBuf {
    cache().join(VENV).join("bin")
}

/// The virtual environment with Celery and aiosmtpd.
pub(super) fn venv() -> Outcome {
    let _one_at_a_time = lock(&cache().join("venv.lock"))?;
    if is_complete(&venv_marker()) {
        return Ok(());
    }
    let folder = cache().join(VENV);
    loud("python3", &["-m", "venv", "--clear", &folder.display().to_string()])?;
    let pip = venv_bin().join("pip").display().to_string();
    let options = ["install", "--quiet", "--disable-pip-version-check"];
    loud(&pip, &[&options, PYTHON_PACKAGES].concat())?;
    fs::write(venv_marker(), PYTHON_PACKAGES.join("\n")).map_err(|error| format!("{}: {error}", folder.display()))
}

fn venv_marker() -> PathBuf {
    cache().join(VENV).join("complete")
}

/// Other versions than those that were installed are installed again.
fn is_complete(marker: &Path) -> bool {
    fs::read_to_string(marker).is_ok_and(|installed| installed == PYTHON_PACKAGES.join("\n"))
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

/// The script that is added to a page, once it is installed.
pub(super) fn axe_script() -> PathBuf {
    cache().join(AXE).join("node_modules/axe-core/axe.min.js")
}

/// Downloads axe-core, and nothing that it would run.
pub(super) fn axe() -> Outcome {
    let _one_at_a_time = lock(&cache().join("axe.lock"))?;
    if axe_script().is_file() {
        return Ok(());
    }
    let folder = cache().join(AXE).display().to_string();
    let options = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    loud("npm", &[&options, ["--prefix", &folder, AXE].as_slice()].concat())
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
