//! `cargo xtask dist`: packs the command `health` with its manual pages, completions and documents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand};
use clap::Args;

use crate::{Outcome, execute, root};

/// The shells, each with the path at which it looks for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "share/bash-completion/completions/health"),
    ("zsh", "share/zsh/site-functions/_health"),
    ("fish", "share/fish/vendor_completions.d/health.fish"),
    ("elvish", "share/elvish/lib/health.elv"),
    ("powershell", "share/pwsh/completions/_health.ps1"),
];

const DOCUMENTS: &[&str] = &[
    "health-cli/README.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

/// Pack the command `health`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask dist
  cargo xtask dist --target x86_64-unknown-linux-musl
  cargo xtask dist --out /tmp/dist

DIR gets health-VERSION-TARGET/, in which bin/ and share/ are as they are below /usr: the
program, manual pages, completions of five shells, the JSON Schema of the configuration file,
documents and licences. Beside it are the same as .tar.gz, and its .sha256. The same program
makes the same archive, whoever packs it, and when.")]
pub(crate) struct Dist {
    /// The profile that the program is built with
    #[arg(long, default_value = "dist")]
    profile: String,
    /// The target that the program is built for; this machine has to run it, because it writes its
    /// own pages [default: this machine's]
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// Pack this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    program: Option<PathBuf>,
    /// The folder to write to [default: target/archive]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds the program, generates its files and packs everything.
pub(crate) fn run(options: &Dist) -> Outcome {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec();
    let metadata = metadata.map_err(|error| error.to_string())?;
    let program = options
        .program
        .clone()
        .map_or_else(|| build(options, &metadata), Ok)?;
    let target = options.target.clone().map_or_else(host, Ok)?;
    let name = format!("health-{}-{target}", version(&metadata)?);
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| metadata.target_directory.as_std_path().join("archive"));
    let out = std::path::absolute(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let folder = out.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    copy(&program, &folder.join("bin/health"))?;
    generate(&folder)?;
    for document in DOCUMENTS {
        let file = Path::new(document).file_name().unwrap_or_default();
        copy(
            &root().join(document),
            &folder.join("share/doc/health").join(file),
        )?;
    }
    pack(&out, &name)
}

/// Writes the pages, scripts and the schema that the program generates itself.
fn generate(folder: &Path) -> Outcome {
    let program = folder.join("bin/health");
    let written = folder.join("share/man/man1");
    execute(Command::new(&program).args(["man", "--dir"]).arg(written))?;
    for (shell, file) in COMPLETIONS {
        write(
            &folder.join(file),
            &printed(Command::new(&program).args(["completions", shell]))?,
        )?;
    }
    write(
        &folder.join("share/health/health.schema.json"),
        &printed(Command::new(&program).arg("schema"))?,
    )
}

/// Writes the archive and its checksum. The archive shows neither who packed it nor when.
fn pack(out: &Path, name: &str) -> Outcome {
    let archive = format!("{name}.tar.gz");
    let mut tar = Command::new("tar");
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u+w,go-w,a+rX",
    ]);
    tar.arg(format!("--mtime=@{}", time()?))
        .arg("--use-compress-program=gzip -9n")
        .arg("-C")
        .arg(out);
    execute(tar.arg("-cf").arg(out.join(&archive)).arg(name))?;
    let sum = printed(Command::new("sha256sum").arg(&archive).current_dir(out))?;
    write(&out.join(format!("{archive}.sha256")), &sum)?;
    println!("{}", out.join(archive).display());
    Ok(())
}

fn build(options: &Dist, metadata: &Metadata) -> Result<PathBuf, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--package",
        "health-cli",
        "--bin",
        "health",
        "--profile",
        &options.profile,
    ]);
    let mut folder = metadata.target_directory.clone().into_std_path_buf();
    if let Some(target) = &options.target {
        cargo.args(["--target", target]);
        folder.push(target);
    }
    execute(&mut cargo)?;
    folder.push(if options.profile == "dev" {
        "debug"
    } else {
        &options.profile
    });
    Ok(folder.join("health"))
}

fn version(metadata: &Metadata) -> Result<String, String> {
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "health-cli");
    package
        .map(|package| package.version.to_string())
        .ok_or_else(|| "there is no health-cli".to_owned())
}

/// Returns the target of this machine.
fn host() -> Result<String, String> {
    let told = printed(Command::new("rustc").arg("-vV"))?;
    let told = String::from_utf8_lossy(&told).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not tell its host".to_owned())
}

/// Returns the time of the files in the archive, in seconds: `SOURCE_DATE_EPOCH`, or else the time
/// of the commit.
fn time() -> Result<String, String> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(time);
    }
    let time = printed(
        Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(root()),
    );
    let time =
        time.map_err(|error| format!("{error}; outside of a clone set SOURCE_DATE_EPOCH"))?;
    Ok(String::from_utf8_lossy(&time).trim().to_owned())
}

/// Runs a command, and returns what it prints. Fails if the command does.
fn printed(command: &mut Command) -> Result<Vec<u8>, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    let failed = || {
        format!(
            "{shown}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    };
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failed())
    }
}

fn copy(from: &Path, to: &Path) -> Outcome {
    make_parent(to)?;
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| format!("{}: {error}", from.display()))
}

fn write(path: &Path, content: &[u8]) -> Outcome {
    make_parent(path)?;
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

fn make_parent(path: &Path) -> Outcome {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))
}
