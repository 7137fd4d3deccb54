//! Measures the size of the command `health` with the checks alone that need no server.

use std::path::Path;

use super::row::{Row, Unit};
use crate::cargo;

pub(super) fn row(programs: &Path) -> Result<Row, String> {
    let features = ["--no-default-features", "--features", "embedded"];
    cargo(
        [
            &["build", "--release", "--locked", "--package", "health-cli"],
            features.as_slice(),
        ]
        .concat(),
    )?;
    let program = programs.join("health");
    let size = program
        .metadata()
        .map_err(|error| format!("{}: {error}", program.display()))?
        .len();
    let size = u32::try_from(size).map_err(|error| error.to_string())?;
    Ok(Row::new(
        "size of health with the feature embedded alone",
        Unit::Bytes,
        size.into(),
    )
    .below(8e6))
}
