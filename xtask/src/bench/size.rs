//! Measures the size of the command `health` with the checks alone that need no server.

use super::facts::Facts;
use super::row::{Row, Unit};

pub(super) fn row(facts: &Facts) -> Result<Row, String> {
    let program = super::command(facts, &["--no-default-features", "--features", "embedded"])?;
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
