//! The rules of the repository, as code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::Outcome;

/// The members that each member may depend on, besides external crates. Adapters and examples have
/// lists of their own.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("health-core", &[]),
    ("health-checks", &["health-core"]),
    ("health-listen", &["health-core"]),
    ("health-testkit", &["health-core"]),
    ("health-tonic", &["health-core"]),
    (
        "health-cli",
        &[
            "health-core",
            "health-checks",
            "health-listen",
            "health-tonic",
        ],
    ),
    ("xtask", &[]),
    ("health-fuzz", &["health-core", "health-checks"]),
    (
        "health-bench",
        &[
            "health-core",
            "health-checks",
            "health-actix",
            "health-axum",
            "health-rocket",
            "health-tonic",
            "health-warp",
        ],
    ),
];

/// The adapters. They may depend on health-core and health-listen, and each has to run the
/// conformance suite.
const ADAPTERS: &[&str] = &[
    "health-actix",
    "health-axum",
    "health-rocket",
    "health-warp",
];

/// The members that packages below `examples/` may depend on, besides the adapters.
const EXAMPLES: &[&str] = &[
    "health-core",
    "health-checks",
    "health-listen",
    "health-tonic",
    "example-shop",
];

/// The crates that health-core must not depend on: frameworks, client libraries and servers. (Its
/// feature `tower` implements traits of tower-service and http-body, which is the purpose of that
/// feature.)
const NOT_IN_CORE: &[&str] = &[
    "actix-web",
    "axum",
    "hyper",
    "warp",
    "rocket",
    "tower",
    "sqlx",
    "redis",
    "bb8-redis",
    "lapin",
    "aws-sdk-s3",
    "sysinfo",
    "reqwest",
];

/// The files and folders at the top of the repository.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".git-blame-ignore-revs",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "docs",
    "examples",
    "health-actix",
    "health-axum",
    "health-checks",
    "health-cli",
    "health-core",
    "health-listen",
    "health-rocket",
    "health-testkit",
    "health-tonic",
    "health-warp",
    "rustfmt.toml",
    "xtask",
];

/// Files among the checks of health-checks that are not checks.
const NO_CHECKS: &[&str] = &["mod"];

/// Features of health-checks that are not checks: the configuration, the fleet, drivers and stores
/// of checks, and crypto providers.
const NO_CHECK_FEATURES: &[&str] = &[
    "config",
    "deadpool-postgres",
    "deadpool-redis",
    "default",
    "diesel-async",
    "embedded",
    "fleet",
    "fred",
    "full",
    "memcached",
    "mysql",
    "postgres",
    "redis-cluster-async",
    "redis-connection-manager",
    "rustls-aws-lc-rs",
    "rustls-ring",
    "sea-orm",
    "servers",
    "sqlite",
    "tokio-postgres",
];

pub(crate) fn tidy(root: &Path) -> Outcome {
    println!("> tidy");
    let metadata = metadata(root)?;
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        directions(root, package, &metadata, &mut wrong);
        unique_targets(package, &metadata, &mut wrong);
        conformance(package, &mut wrong);
    }
    top(root, &mut wrong)?;
    one_provider(root, &mut wrong)?;
    summaries(root, &mut wrong)?;
    one_judge(root, &mut wrong)?;
    catalogue(root, &mut wrong)?;
    wrong.sort();
    wrong.dedup();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not tidy:\n  {}", wrong.join("\n  ")))
    }
}

/// Returns the names of the packages that may be published.
pub(crate) fn publishable(root: &Path) -> Result<Vec<String>, String> {
    let metadata = metadata(root)?;
    let is_free = |package: &&&Package| package.publish.is_none();
    Ok(metadata
        .workspace_packages()
        .iter()
        .filter(is_free)
        .map(|package| package.name.to_string())
        .collect())
}

/// Returns the public features of a package.
pub(crate) fn features_of(root: &Path, package: &str) -> Result<Vec<String>, String> {
    let metadata = metadata(root)?;
    let package = metadata
        .workspace_packages()
        .into_iter()
        .find(|member| member.name.as_str() == package);
    // A feature whose name begins with an underscore is shared by other features, and is not meant
    // for users.
    let features = package
        .into_iter()
        .flat_map(|package| package.features.keys());
    Ok(features
        .filter(|feature| !feature.starts_with('_'))
        .cloned()
        .collect())
}

fn metadata(root: &Path) -> Result<Metadata, String> {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| error.to_string())
}

fn directions(root: &Path, package: &Package, metadata: &Metadata, wrong: &mut Vec<String>) {
    let name = package.name.as_str();
    let is_example = package
        .manifest_path
        .as_std_path()
        .starts_with(root.join("examples"));
    let allowed = match DIRECTIONS.iter().find(|(member, _)| *member == name) {
        Some((_, allowed)) => allowed.to_vec(),
        None if ADAPTERS.contains(&name) => vec!["health-core", "health-listen"],
        None if is_example => [EXAMPLES, ADAPTERS].concat(),
        None => {
            wrong.push(format!(
                "{name}: a new member; say in xtask/src/tidy.rs what it may depend on"
            ));
            return;
        }
    };
    let members: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .map(|member| member.name.to_string())
        .collect();
    for dependency in &package.dependencies {
        if ADAPTERS.contains(&name) && dependency.name == "health-checks" {
            wrong.push(format!(
                "{name} must not depend on health-checks, in tests neither: it never sees a check"
            ));
        }
        if dependency.kind == DependencyKind::Development {
            continue;
        }
        if members.contains(&dependency.name) && !allowed.contains(&dependency.name.as_str()) {
            wrong.push(format!("{name} must not depend on {}", dependency.name));
        }
        if name == "health-core" && NOT_IN_CORE.contains(&dependency.name.as_str()) {
            wrong.push(format!("{name} must not know {}", dependency.name));
        }
    }
}

/// Checks that each adapter runs the conformance suite, which compares its responses with those of
/// the endpoint.
fn conformance(package: &Package, wrong: &mut Vec<String>) {
    let name = package.name.as_str();
    let folder = package
        .manifest_path
        .as_std_path()
        .parent()
        .unwrap_or(Path::new("."));
    let suite = fs::read_to_string(folder.join("tests/conformance.rs")).unwrap_or_default();
    if ADAPTERS.contains(&name) && !suite.contains("conformance::main(") {
        wrong.push(format!(
            "{name} lacks tests/conformance.rs, which runs health_testkit::conformance"
        ));
    }
    let is_run =
        |target: &&cargo_metadata::Target| target.is_test() && target.name == "conformance";
    let has_suite = ADAPTERS.contains(&name) || name == "health-tonic"; // which has cases of its own
    if has_suite && !package.targets.iter().any(|target| is_run(&target)) {
        wrong.push(format!("{name} does not run its conformance suite"));
    }
}

/// Checks that no two binaries or examples have the same name. All members share one target folder,
/// in which they would overwrite each other.
fn unique_targets(package: &Package, metadata: &Metadata, wrong: &mut Vec<String>) {
    let named = |package: &Package| -> BTreeMap<String, String> {
        let targets = package
            .targets
            .iter()
            .filter(|target| target.is_bin() || target.is_example());
        targets
            .map(|target| (target.name.clone(), package.name.to_string()))
            .collect()
    };
    let own = named(package);
    for other in metadata
        .workspace_packages()
        .into_iter()
        .filter(|other| other.name != package.name)
    {
        for (target, owner) in named(other)
            .iter()
            .filter(|(target, _)| own.contains_key(*target))
        {
            wrong.push(format!(
                "{owner} and {} both build \"{target}\"",
                package.name
            ));
        }
    }
}

/// Checks that the program has one crypto provider. A second one would make it larger, and code
/// that expects a single provider would panic.
fn one_provider(root: &Path, wrong: &mut Vec<String>) -> Outcome {
    let args = [
        "tree",
        "--package",
        "health-cli",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--locked",
    ];
    let tree = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(root)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&tree.stdout);
    if !tree.status.success() || !text.contains("\nring v") {
        return Err(format!(
            "cargo tree: {}\n{}",
            tree.status,
            String::from_utf8_lossy(&tree.stderr)
        ));
    }
    if text.contains("\naws-lc-") {
        wrong.push("health-cli: aws-lc-rs is in its tree; its provider is ring".to_owned());
    }
    Ok(())
}

/// Checks that no documentation begins with an indirect question ("What is shown"): a summary line
/// says what an item is or does.
fn summaries(root: &Path, wrong: &mut Vec<String>) -> Outcome {
    const HEADLESS: [&str; 6] = ["What", "Whether", "Who", "Where", "Which", "How"];
    for (file, text) in sources(root)? {
        let mut is_documentation = false;
        for (position, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let documentation = line
                .strip_prefix("///")
                .or_else(|| line.strip_prefix("//!"));
            let word = documentation
                .and_then(|text| text.split_whitespace().next())
                .unwrap_or_default();
            if !is_documentation && HEADLESS.contains(&word) {
                wrong.push(format!(
                    "{file}:{}: documentation begins with \"{word}\": say what it is or does",
                    position + 1
                ));
            }
            is_documentation = documentation.is_some();
        }
    }
    Ok(())
}

/// Checks that nothing but the judge decides whether a row fails its report, or is held. A report of
/// a user's test, in report.rs, has rows as they were made.
fn one_judge(root: &Path, wrong: &mut Vec<String>) -> Outcome {
    const PLACES: [&str; 2] = ["health-core/src/engine/group/", "health-core/src/report.rs"];
    for (file, text) in sources(root)? {
        if !file.starts_with("health-core/src/") || PLACES.iter().any(|it| file.starts_with(it)) {
            continue;
        }
        for (position, line) in text.lines().enumerate() {
            if line.contains(".held = ") || line.contains(".fails_report = ") {
                wrong.push(format!(
                    "{file}:{}: only health-core/src/engine/group decides whether a check fails",
                    position + 1
                ));
            }
        }
    }
    Ok(())
}

/// Returns the Rust files of the repository, with their text.
fn sources(root: &Path) -> Result<Vec<(String, String)>, String> {
    let output = Command::new("git")
        .args(["ls-files", "*.rs"])
        .current_dir(root)
        .output();
    let files = output.map_err(|error| format!("git ls-files: {error}"))?;
    let read = |file: &str| {
        let text = fs::read_to_string(root.join(file));
        let text = text.map_err(|error| format!("{file}: {error}"))?;
        Ok((file.to_owned(), text))
    };
    String::from_utf8_lossy(&files.stdout)
        .lines()
        .map(read)
        .collect()
}

fn top(root: &Path, wrong: &mut Vec<String>) -> Outcome {
    for name in names(root)? {
        if !TOP.contains(&name.as_str()) && ![".git", "target"].contains(&name.as_str()) {
            wrong.push(format!(
                "{name} does not belong at the top of the repository"
            ));
        }
    }
    Ok(())
}

/// Checks that each check has one file, one feature and one line in the catalogue.
fn catalogue(root: &Path, wrong: &mut Vec<String>) -> Outcome {
    let source = root.join("health-checks/src");
    let checks = source.join("checks");
    let files: BTreeSet<String> = names(&checks)?
        .into_iter()
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| !NO_CHECKS.contains(&name.as_str()))
        .collect();
    let features: BTreeSet<String> = features_of(root, "health-checks")?
        .into_iter()
        .filter(|feature| !NO_CHECK_FEATURES.contains(&feature.as_str()))
        .collect();
    let text =
        fs::read_to_string(source.join("catalogue.rs")).map_err(|error| error.to_string())?;
    for name in files.union(&features) {
        let line = format!("#[cfg(feature = \"{name}\")]\n    Kind::of::<checks::{name}::");
        for (is_there, what) in [
            (
                files.contains(name),
                "a file health-checks/src/checks/NAME.rs",
            ),
            (
                features.contains(name),
                "a feature in health-checks/Cargo.toml",
            ),
            (
                text.contains(&line),
                "a line in health-checks/src/catalogue.rs",
            ),
        ] {
            if !is_there {
                wrong.push(format!(
                    "the check {name} lacks {}",
                    what.replace("NAME", name)
                ));
            }
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}
