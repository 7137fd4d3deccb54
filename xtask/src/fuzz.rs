//! `cargo xtask fuzz`: feeds generated inputs to the code that parses untrusted data, with
//! libFuzzer.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::{Outcome, execute};

/// The instrumentation that libFuzzer needs. The options work with a stable compiler;
/// `sanitizer-coverage` is LLVM's name for it.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Feed generated inputs to the code that parses them; needs a C++ compiler.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// The target, a folder of xtask/fuzz/corpus; without it, each of them
    target: Option<String>,
    /// The duration of each target, in minutes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

/// Runs the targets one after another. Findings are written below `target/fuzz`; an input that is
/// worth keeping belongs in `xtask/fuzz/corpus`.
pub(crate) fn run(root: &Path, options: &Fuzz) -> Outcome {
    let target = root.join("target/fuzz");
    let fuzz = root.join("xtask/fuzz");
    let chosen = chosen(&fuzz.join("corpus"), options.target.as_deref())?;
    // With a target of its own, build scripts and macros are compiled without instrumentation.
    let host = host()?;
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--release", "--target", &host, "--manifest-path"])
        .arg(fuzz.join("runner/Cargo.toml"));
    execute(
        build
            .arg("--target-dir")
            .arg(&target)
            .env("RUSTFLAGS", FLAGS),
    )?;
    let program = target.join(&host).join("release/health-fuzz-runner");
    for name in chosen {
        let own = target.join("corpus").join(&name);
        let found = target.join("found").join(&name);
        for folder in [&own, &found] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let mut run = Command::new(&program);
        run.env("HEALTH_FUZZ_TARGET", &name)
            .arg(&own)
            .arg(fuzz.join("corpus").join(&name));
        run.arg(format!("-max_total_time={}", options.minutes * 60))
            .args(["-print_final_stats=1", "-timeout=10"]);
        execute(
            run.arg(format!("-artifact_prefix={}/", found.display()))
                .arg("-verbosity=0"),
        )?;
    }
    Ok(())
}

/// Returns the targets to run: one of those that have a corpus, or all of them.
fn chosen(corpus: &Path, target: Option<&str>) -> Result<Vec<String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", corpus.display());
    let folders = fs::read_dir(corpus).map_err(failed)?.flatten();
    let mut all: Vec<_> = folders
        .map(|folder| folder.file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    match target {
        Some(target) if all.iter().any(|name| name == target) => Ok(vec![target.to_owned()]),
        Some(target) => Err(format!(
            "no target is named {target}; there are: {}",
            all.join(", ")
        )),
        None => Ok(all),
    }
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not report its host".into())
}
