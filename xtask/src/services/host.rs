//! This machine: its programs, and the folder for what is built for it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// Variables of the environment.
pub(super) type Env = Vec<(&'static str, String)>;

/// A program and the Debian package that contains it.
pub(super) type Tool = (&'static str, &'static str);

/// The tool that creates a virtual environment.
pub(super) const PYTHON: &[Tool] = &[("ensurepip", "python3-venv")];

/// Finds a program of the system, even if it is not on the `PATH`.
pub(super) fn find(program: &str) -> Result<PathBuf, String> {
    let folders = search_path();
    let found = folders
        .iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    found.ok_or_else(|| format!("{program} is not installed"))
}

/// Returns the folder in the user's cache for what is built or downloaded once per machine.
pub(super) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|set| !set.is_empty())
        .map(PathBuf::from);
    cache
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("health-xtask")
}

/// Returns the folders to search. The folders of Debian's servers, which are not on the `PATH`,
/// come first: the newest PostgreSQL before older ones.
fn search_path() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut versions: Vec<u32> = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let mut folders: Vec<_> = versions
        .iter()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")))
        .collect();
    folders.push("/usr/lib/rabbitmq/bin".into());
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders
}

/// Returns the `PATH` for servers and their tools.
pub(super) fn path_with(first: Option<&Path>) -> OsString {
    let folders = first
        .map(Path::to_path_buf)
        .into_iter()
        .chain(search_path());
    std::env::join_paths(folders).unwrap_or_else(|_| std::env::var_os("PATH").unwrap_or_default())
}

/// Prints a command, and runs it.
pub(super) fn loud(program: &str, args: &[&str]) -> Outcome {
    println!("> {program} {}", args.join(" "));
    status(
        Command::new(program)
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

pub(super) fn status(command: &mut Command) -> Outcome {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|error| format!("{shown}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown}: {status}"))
    }
}
