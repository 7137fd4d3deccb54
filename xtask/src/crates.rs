//! Counts the crates that each feature of health-checks adds, so that a new dependency changes a
//! file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Outcome, tidy};

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

`cargo xtask crates` writes this page, and CI compares it. It counts the crates that a service compiles for a feature of health-checks on Linux,
without those for building and testing. All features share most of their crates with each other, and with the service itself.

| features | crates | more than none |
|---|---|---|
";

/// Writes docs/crates.md, or compares it with the existing file.
pub(crate) fn run(root: &Path, only_compare: bool) -> Outcome {
    let none = count(root, "")?;
    let mut page = format!("{TITLE}| none | {none} | |\n");
    let features = tidy::features_of(root, PACKAGE)?;
    for feature in features
        .iter()
        .map(String::as_str)
        .chain(TOGETHER.iter().copied())
    {
        let count = count(root, feature)?;
        let _ = writeln!(
            page,
            "| `{}` | {count} | {} |",
            feature.replace(',', "`, `"),
            count - none
        );
    }
    let path = root.join("docs/crates.md");
    if !only_compare {
        return fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()));
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
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

/// Returns the number of crates of this package with these features, itself included.
fn count(root: &Path, features: &str) -> Result<usize, String> {
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
        "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", TARGET,
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
    let crates: BTreeSet<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    Ok(crates.len())
}
