//! `cargo xtask package`: packs every crate that may be published, as crates.io would get it.

use std::path::Path;

use crate::{Outcome, cargo, tidy};

/// Packs the crates below `target/package`. Their code is compiled by the tests, so it is not compiled again here.
pub(crate) fn run(root: &Path) -> Outcome {
    let packages = tidy::publishable(root)?;
    let names = packages.iter().flat_map(|name| ["--package", name]);
    cargo(["package", "--locked", "--no-verify", "--allow-dirty"].into_iter().chain(names))
}
