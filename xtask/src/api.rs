//! The public API of each library, as text: a change of it is a change of a file.

use std::fs;
use std::path::Path;
use std::process::Command;

use public_api::{Builder, MINIMUM_NIGHTLY_RUST_VERSION};

use crate::{Outcome, execute};

/// The libraries whose API is a promise.
const LIBRARIES: &[&str] = &[
    "health-actix",
    "health-axum",
    "health-checks",
    "health-core",
    "health-listen",
    "health-rocket",
    "health-testkit",
    "health-tonic",
    "health-warp",
];

/// The features that add to an API.
const FEATURES: &str = "health-checks/full,health-checks/deadpool-postgres,health-checks/deadpool-redis,health-checks/diesel-async,\
    health-checks/fred,health-checks/redis-cluster-async,health-checks/redis-connection-manager,health-checks/sea-orm,\
    health-checks/tokio-postgres,health-core/metrics";

/// Writes the API of each library to `docs/api`, or compares it with what is there.
pub(crate) fn run(root: &Path, only_compare: bool) -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "doc",
        "--no-deps",
        "--lib",
        "--locked",
        "--features",
        FEATURES,
    ]);
    command.args(LIBRARIES.iter().flat_map(|library| ["--package", library]));
    // Rustdoc's JSON is unstable, so a stable compiler has to be told to write it.
    command.env("RUSTC_BOOTSTRAP", "1").env(
        "RUSTDOCFLAGS",
        "-Zunstable-options --output-format json --cap-lints allow",
    );
    execute(&mut command)?;
    let mut changed = Vec::new();
    for library in LIBRARIES {
        let json = root.join(format!("target/doc/{}.json", library.replace('-', "_")));
        let builder = Builder::from_rustdoc_json(json)
            .omit_blanket_impls(true)
            .omit_auto_trait_impls(true);
        let api = builder.omit_auto_derived_impls(true).build().map_err(|error| {
            format!(
                "the API of {library} can't be read, which needs the compiler of rust-version in Cargo.toml (or the nightly \
                 {MINIMUM_NIGHTLY_RUST_VERSION} or later, as far as the crate public-api supports it): {error}"
            )
        })?;
        let path = root.join(format!("docs/api/{library}.txt"));
        if only_compare {
            let known = fs::read_to_string(&path).unwrap_or_default();
            changed.extend(
                differences(&known, &api.to_string()).map(|line| format!("{library}: {line}")),
            );
        } else {
            fs::write(&path, api.to_string())
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the public API has changed; if this is intended, run `cargo xtask api`:\n  {}",
        changed.join("\n  ")
    ))
}

/// Returns the lines that only one of two texts has.
fn differences<'a>(known: &'a str, present: &'a str) -> impl Iterator<Item = String> {
    let lacks = |text: &'a str| {
        let lines: std::collections::HashSet<_> = text.lines().collect();
        move |line: &&str| !lines.contains(line)
    };
    let removed = known
        .lines()
        .filter(lacks(present))
        .map(|line| format!("- {line}"));
    removed.chain(
        present
            .lines()
            .filter(lacks(known))
            .map(|line| format!("+ {line}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_only_one_text_has_are_differences() {
        let found: Vec<_> = differences("a\nb\nc\n", "a\nc\nd\n").collect();
        assert_eq!(found, ["- b", "+ d"]);
        assert_eq!(differences("a\n", "a\n").count(), 0);
    }
}
