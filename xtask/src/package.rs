//! `cargo xtask package`: packs every crate that may be published, as crates.io would get it.

use std::path::Path;

use crate::{Outcome, cargo, tidy};

/// The files that a package needs besides its code. The licences are links to those of the
/// workspace.
const DOCUMENTS: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Packs the crates below `target/package`. Their code is compiled by the tests, so it is not
/// compiled again here.
pub(crate) fn run(root: &Path) -> Outcome {
    let packages = tidy::publishable(root)?;
    for package in &packages {
        let missing: Vec<_> = DOCUMENTS
            .into_iter()
            .filter(|name| !root.join(package).join(name).is_file())
            .collect();
        if !missing.is_empty() {
            return Err(format!("{package} has no {}", missing.join(", ")));
        }
    }
    let names = packages.iter().flat_map(|name| ["--package", name]);
    cargo(
        ["package", "--locked", "--no-verify", "--allow-dirty"]
            .into_iter()
            .chain(names),
    )
}
