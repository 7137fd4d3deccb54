//! Installs what is missing on this machine: Debian packages, axe-core, and programs from
//! Python packages.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::account::is_root;
use super::host::{Env, PYTHON, Tool, cache, find, loud};
use super::state::lock;
use super::venv::{self, KUBERNETES, READERS};
use crate::Outcome;

/// The programs that tests need besides the services: the tests of the recipes in docs/cookbook.md,
/// of the page, of the formats, and of the completions and manual pages.
pub(super) const FOR_TESTS: [(&str, &[Tool]); 4] = [
    (
        "cookbook",
        &[
            ("haproxy", "haproxy"),
            ("icinga2", "icinga2-bin"),
            ("nagios4", "nagios4-core"),
            ("nginx", "nginx-light"),
            ("prometheus", "prometheus"),
            ("promtool", "prometheus"),
            ("systemd-analyze", "systemd"),
        ],
    ),
    ("page", &[("chromium", "chromium"), ("npm", "npm")]),
    ("readers", PYTHON),
    (
        "shells",
        &[
            ("zsh", "zsh"),
            ("fish", "fish"),
            ("groff", "groff-base"),
            ("mandoc", "mandoc"),
        ],
    ),
];

/// The npm package that checks the accessibility of a page.
const AXE: &str = "axe-core@4.14.1";

/// Returns the packages of the programs that are not on this machine.
pub(super) fn missing(tools: &[Tool]) -> Vec<&'static str> {
    tools
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect()
}

/// Installs Debian packages as root. Without root, the error says what to install.
pub(super) fn packages(missing: &BTreeSet<&str>) -> Outcome {
    let missing: Vec<_> = missing.iter().copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = [
        &["install", "-y", "--no-install-recommends"],
        missing.as_slice(),
    ]
    .concat();
    if !is_root() {
        return Err(format!(
            "not installed; as root: apt-get {}",
            install.join(" ")
        ));
    }
    loud("apt-get", &["update"])?;
    loud("apt-get", &install)
}

/// Returns `true` if a program is installed, or is no longer needed: npm and Python's `venv` are
/// needed only once.
fn is_there(program: &str) -> bool {
    match program {
        "npm" => axe_script().is_file() || find(program).is_ok(),
        "ensurepip" => venv::is_there(),
        _ => find(program).is_ok(),
    }
}

/// Installs the programs that tests run themselves and that are not Debian packages.
pub(super) fn for_tests() -> Outcome {
    READERS.install()?;
    KUBERNETES.install()?;
    axe()
}

/// Returns the variables with the paths of those programs, without the ones that are not installed.
pub(super) fn env_of_tests() -> Env {
    let all = [
        (
            "HEALTH_AXE",
            Some(axe_script()).filter(|script| script.is_file()),
        ),
        (
            "KUBERNETES_VALIDATE",
            KUBERNETES.program("kubernetes-validate"),
        ),
        ("READERS_PYTHON", READERS.program("python")),
    ];
    all.into_iter()
        .filter_map(|(name, path)| Some((name, path?.display().to_string())))
        .collect()
}

/// Returns the script that tests add to a page. It exists once axe-core is installed.
fn axe_script() -> PathBuf {
    cache().join(AXE).join("node_modules/axe-core/axe.min.js")
}

/// Downloads axe-core, without running any of its scripts.
fn axe() -> Outcome {
    let _one_at_a_time = lock(&cache().join("axe.lock"))?;
    if axe_script().is_file() {
        return Ok(());
    }
    let folder = cache().join(AXE).display().to_string();
    let options = [
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ];
    loud(
        "npm",
        &[&options, ["--prefix", &folder, AXE].as_slice()].concat(),
    )
}
