//! `cargo xtask`: the chores of this repository.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

mod api;
mod bench;
mod crates;
mod dist;
mod fuzz;
mod package;
mod services;
mod tidy;

/// The result of a chore: nothing, or what is wrong.
type Outcome = Result<(), String>;

/// The features with which the tests that need servers are compiled.
const SERVERS: [&str; 2] = ["health-checks/servers", "health-cli/servers"];

/// The chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run all that has to pass before a change is merged: fmt, clippy, docs, tidy, api, crates,
    /// test
    Ci,
    /// Run every test of the workspace, with all services up
    Test {
        /// Arguments that are passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check the rules of the repository: dependency directions, the catalogue, the files at the
    /// top
    Tidy,
    /// Write the public API of each library to docs/api, from which `ci` sees that it has changed
    Api {
        /// Compare only, and fail if the API differs from the files
        #[arg(long)]
        check: bool,
    },
    /// Write docs/crates.md: the number of crates that each feature of health-checks adds
    Crates {
        /// Measure also how long they take to compile, some minutes
        #[arg(long, conflicts_with = "check")]
        seconds: bool,
        /// Compare only, and fail if a number differs from the file
        #[arg(long)]
        check: bool,
    },
    /// Compile health-core and health-checks with each of their features alone
    Features,
    /// Measure, compare the results with the goals, and write docs/benchmarks.md
    Bench(bench::Bench),
    /// Feed generated inputs to the code that parses them
    Fuzz(fuzz::Fuzz),
    /// Pack every crate that may be published, as crates.io would get it
    Package,
    /// Build the command `health`, and pack it with its manual pages, completions and licences
    Dist(dist::Dist),
    /// Start and stop the real servers for tests
    #[command(subcommand)]
    Services(services::Services),
}

fn main() -> ExitCode {
    match run(Args::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Outcome {
    match chore {
        Chore::Ci => {
            cargo(["fmt", "--all", "--check"])?;
            cargo([
                "clippy",
                "--workspace",
                "--all-targets",
                "--features",
                &SERVERS.join(","),
                "--locked",
                "--",
                "-D",
                "warnings",
            ])?;
            documentation()?;
            tidy::tidy(&root())?;
            api::run(&root(), true)?;
            crates::run(&root(), true, false)?;
            package::run(&root())?;
            // The small binary is checked alone, because other crates of the workspace would enable
            // features that it does not have.
            cargo([
                "check",
                "--package",
                "health-cli",
                "--no-default-features",
                "--features",
                "embedded",
                "--locked",
            ])?;
            test(&[])
        }
        Chore::Test { args } => test(&args),
        Chore::Tidy => tidy::tidy(&root()),
        Chore::Api { check } => api::run(&root(), check),
        Chore::Crates { check, seconds } => crates::run(&root(), check, seconds),
        Chore::Features => features(),
        Chore::Bench(options) => bench::run(&options),
        Chore::Fuzz(options) => fuzz::run(&root(), &options),
        Chore::Package => package::run(&root()),
        Chore::Dist(options) => dist::run(&options),
        Chore::Services(command) => services::run(command),
    }
}

fn test(args: &[String]) -> Outcome {
    services::during(&[], |env| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--locked", "--no-fail-fast"]);
        // With --workspace, cargo ignores a package.
        match package(args) {
            None => command.args(["--workspace", "--features", &SERVERS.join(",")]),
            Some(package) => command.args(features_with_servers(package)),
        };
        execute(command.args(args).envs(env))
    })
}

/// Returns the package that the arguments for `cargo test` name.
fn package(args: &[String]) -> Option<&str> {
    let position = args
        .iter()
        .position(|arg| arg.starts_with("-p") || arg.starts_with("--package"))?;
    let named = args[position]
        .trim_start_matches("--package")
        .trim_start_matches("-p");
    let named = named.trim_start_matches('=');
    Some(named)
        .filter(|name| !name.is_empty())
        .or_else(|| Some(args.get(position + 1)?.as_str()))
}

/// Returns the arguments with which the tests of a package include those that need servers.
fn features_with_servers(package: &str) -> Vec<&'static str> {
    let feature = SERVERS.iter().find(|feature| {
        feature
            .split_once('/')
            .is_some_and(|(name, _)| name == package)
    });
    feature.map_or_else(Vec::new, |feature| vec!["--features", feature])
}

fn documentation() -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    execute(&mut command)
}

fn features() -> Outcome {
    let alone = |package: &str, features: &str| {
        let args = [
            "clippy",
            "--package",
            package,
            "--no-default-features",
            "--features",
            features,
            "--",
            "-D",
            "warnings",
        ];
        cargo(args)
    };
    for feature in tidy::features_of(&root(), "health-core")?
        .into_iter()
        .chain([String::new()])
    {
        alone("health-core", &feature)?;
    }
    cargo([
        "test",
        "--package",
        "health-core",
        "--no-default-features",
        "--test",
        "small",
    ])?;
    let together = [
        "full,rustls-ring",
        "full,rustls-aws-lc-rs",
        "full,rustls-aws-lc-rs,rustls-ring",
    ];
    let drivers = ["sea-orm,mysql", "sea-orm,postgres", "sea-orm,sqlite"];
    let together = together.into_iter().chain(drivers).map(str::to_owned);
    for feature in tidy::features_of(&root(), "health-checks")?
        .into_iter()
        .chain(together)
    {
        alone("health-checks", &feature)?;
    }
    Ok(())
}

fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Outcome {
    execute(Command::new(env!("CARGO")).args(args))
}

/// Prints a command, and runs it at the root of the repository.
///
/// Removes the variables that `cargo run` has set for this chore. Otherwise, build scripts that
/// read them, such as that of ring, would run again, and all that depends on them would be compiled
/// again, each time another cargo is used in between.
fn execute(command: &mut Command) -> Outcome {
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let name = Path::new(command.get_program())
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let args: Vec<_> = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let shown = format!("{name} {}", args.join(" "));
    println!("> {shown}");
    let status = command
        .current_dir(root())
        .status()
        .map_err(|error| format!("{shown}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown}: {status}"))
    }
}

/// Returns the root of the repository: the folder above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}
