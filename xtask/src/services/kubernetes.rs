//! What says whether Kubernetes would take a manifest: the schemas of its API, which tests give the cookbook's files to.

use std::fs;
use std::path::PathBuf;

use super::install::{cache, loud};
use super::service::Env;
use super::state::lock;
use crate::Outcome;

/// It has the schemas of Kubernetes 1.25 to 1.37 in it.
const PACKAGE: &str = "kubernetes-validate==1.37.0";

/// How tests find it; nothing where it is not installed.
pub(super) fn env() -> Env {
    let program = marker().is_file().then(|| folder().join("bin/kubernetes-validate"));
    program.map(|program| ("KUBERNETES_VALIDATE", program.display().to_string())).into_iter().collect()
}

/// Installs it in a virtual environment of its own, once for a machine.
pub(super) fn install() -> Outcome {
    let _one_at_a_time = lock(&cache().join("kubernetes.lock"))?;
    if marker().is_file() {
        return Ok(());
    }
    loud("python3", &["-m", "venv", "--clear", &folder().display().to_string()])?;
    let pip = folder().join("bin/pip").display().to_string();
    loud(&pip, &["install", "--quiet", "--disable-pip-version-check", PACKAGE])?;
    fs::write(marker(), PACKAGE).map_err(|error| format!("{}: {error}", marker().display()))
}

fn marker() -> PathBuf {
    folder().join("complete")
}

fn folder() -> PathBuf {
    cache().join(PACKAGE.replace("==", "-"))
}
