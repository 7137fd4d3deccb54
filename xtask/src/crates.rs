//! Counts the crates that each feature of health-checks adds, so that a new dependency changes a
//! file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Outcome, execute, tidy};

const PACKAGE: &str = "health-checks";

/// The platform, because some crates are for one platform only.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Features that do nothing without another one.
const TOGETHER: &[&str] = &[
    "database,mysql",
    "database,postgres",
    "database,sqlite",
    "cache,memcached",
    "sea-orm,postgres",
];

const TITLE: &str = "\
# The crates of each feature

`cargo xtask crates` writes this page, and CI compares the numbers of crates. It counts the crates that a service compiles for a feature of
health-checks on Linux, without those for building and testing. All features share most of their crates with each other, and with the service itself.
The last column is the CPU time of compiling those crates and their build scripts for a debug build, on the machine that wrote the page
(`--seconds` measures it again, in one build of all features, so that health-checks itself counts with all of its code).

| features | crates | more than none | seconds |
|---|---|---|---|
";

/// The features of the build that measures each crate: every check and every pool.
const ALL: &str = "full,deadpool-postgres,deadpool-redis,diesel-async,fred,redis-cluster-async,\
                   redis-connection-manager,sea-orm,tokio-postgres";

/// The seconds that it takes to compile a crate, by its name and version.
type Seconds = BTreeMap<String, f64>;

/// Writes docs/crates.md, or compares it with the existing file.
pub(crate) fn run(root: &Path, only_compare: bool, measure: bool) -> Outcome {
    let path = root.join("docs/crates.md");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let measured = measure.then(|| compile(root)).transpose()?;
    let none = crates(root, "", "normal")?;
    let mut page = TITLE.to_owned();
    let features = tidy::features_of(root, PACKAGE)?;
    let single = features.iter().map(String::as_str);
    for feature in [""]
        .into_iter()
        .chain(single)
        .chain(TOGETHER.iter().copied())
    {
        let count = crates(root, feature, "normal")?.len();
        let name = match feature {
            "" => "none".to_owned(),
            _ => format!("`{}`", feature.replace(',', "`, `")),
        };
        let more = match feature {
            "" => String::new(),
            _ => (count - none.len()).to_string(),
        };
        let seconds = match &measured {
            Some(seconds) => total(seconds, &crates(root, feature, "normal,build")?),
            None => column(&known, &name, 4).unwrap_or("?").to_owned(),
        };
        let _ = writeln!(page, "| {name} | {count} | {more} | {seconds} |");
    }
    if !only_compare {
        return fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()));
    }
    let changed: Vec<_> = page
        .lines()
        .filter(|line| !known.lines().any(|known| known == *line))
        .collect();
    if known == page {
        return Ok(());
    }
    Err(format!(
        "the crates of a feature have changed; if this is intended, run `cargo xtask crates`:\n  {}",
        changed.join("\n  ")
    ))
}

/// Returns a column of the row with this name in a table of Markdown.
fn column<'a>(page: &'a str, name: &str, column: usize) -> Option<&'a str> {
    let row = page
        .lines()
        .find(|line| line.starts_with(&format!("| {name} |")))?;
    row.split('|').nth(column).map(str::trim)
}

fn total(seconds: &Seconds, crates: &BTreeSet<String>) -> String {
    let total: f64 = crates.iter().filter_map(|name| seconds.get(name)).sum();
    format!("{total:.0}")
}

/// Compiles everything once, and returns how long each crate took, its build script included.
fn compile(root: &Path) -> Result<Seconds, String> {
    let target = root.join("target/crates");
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "build",
            "--locked",
            "--timings",
            "--package",
            PACKAGE,
            "--features",
            ALL,
        ])
        .arg("--target-dir")
        .arg(&target);
    let outcome = execute(&mut command).and_then(|()| {
        let report = target.join("cargo-timings/cargo-timing.html");
        fs::read_to_string(&report).map_err(|error| format!("{}: {error}", report.display()))
    });
    let _none_without_a_build = fs::remove_dir_all(&target);
    // The data of the report, which cargo writes in no other form that is stable.
    let report = outcome?;
    let data = report
        .split_once("const UNIT_DATA = ")
        .and_then(|(_, data)| data.split_once("];\n"))
        .map(|(data, _)| format!("{data}]"));
    let units: Vec<serde_json::Value> =
        serde_json::from_str(&data.ok_or("cargo's report has no data of units")?)
            .map_err(|error| format!("cargo's report: {error}"))?;
    let mut seconds = Seconds::new();
    for unit in units {
        if let (Some(name), Some(version), Some(took)) = (
            unit["name"].as_str(),
            unit["version"].as_str(),
            unit["duration"].as_f64(),
        ) {
            *seconds.entry(format!("{name} v{version}")).or_default() += took;
        }
    }
    Ok(seconds)
}

/// Returns the names and versions of the crates that this package needs with these features, by
/// these edges, itself included.
fn crates(root: &Path, features: &str, edges: &str) -> Result<BTreeSet<String>, String> {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "tree",
        "--locked",
        "--package",
        PACKAGE,
        "--no-default-features",
        "--features",
        features,
    ]);
    command.args([
        "--edges", edges, "--prefix", "none", "--format", "{p}", "--target", TARGET,
    ]);
    let output = command
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // A path or a marker may follow the version.
    let named = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    Ok(named.collect())
}
