//! The facts about a measurement: the machine, the day and the versions, but no names of hosts or
//! folders.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use cargo_metadata::{Metadata, MetadataCommand};

use super::wrk;
use crate::root;

/// The packages whose versions the page names.
const PACKAGES: [&str; 5] = ["axum", "actix-web", "warp", "rocket", "tokio"];

/// The machine, the day and the versions.
#[derive(Debug)]
pub(super) struct Facts {
    /// A line: day, cores, processor, compiler.
    pub(super) machine: String,
    /// A list of names and versions.
    pub(super) versions: String,
    target: PathBuf,
}

impl Facts {
    pub(super) fn find() -> Result<Self, String> {
        let mut command = MetadataCommand::new();
        command
            .manifest_path(root().join("Cargo.toml"))
            .other_options(["--locked".to_owned()]);
        let metadata = command.exec().map_err(|error| error.to_string())?;
        let mut versions: Vec<_> = PACKAGES
            .iter()
            .map(|name| version(&metadata, name))
            .collect();
        versions.push(wrk::version()?);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let day = output("date", &["-u", "+%Y-%m-%d"])?;
        let rustc = output("rustc", &["--version"])?;
        let machine = format!("{day}, {cores} cores of {}, Linux, {rustc}.\n", processor());
        Ok(Self {
            machine,
            versions: versions.join(", "),
            target: metadata.target_directory.into(),
        })
    }

    /// The command `health`, as the profile for what is shipped builds it.
    pub(super) fn shipped(&self) -> PathBuf {
        self.target.join("dist/health")
    }

    /// The folder of the programs to be measured.
    pub(super) fn programs(&self) -> PathBuf {
        self.target.join("release")
    }
}

fn version(metadata: &Metadata, name: &str) -> String {
    let found = metadata
        .packages
        .iter()
        .filter(|package| package.name.as_str() == name);
    let versions: Vec<_> = found.map(|package| package.version.to_string()).collect();
    format!("{name} {}", versions.join(" and "))
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model
        .map_or("an unknown processor", |(_, name)| name.trim())
        .to_owned()
}

/// Runs a program, and returns what it prints.
pub(super) fn output(
    program: impl AsRef<std::ffi::OsStr>,
    args: &[&str],
) -> Result<String, String> {
    let shown = program.as_ref().to_string_lossy().into_owned();
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{shown}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
