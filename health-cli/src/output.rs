//! Stdout as it is, without colours to take out.

use std::io::{self, ErrorKind, Write as _};

/// Writes to stdout; that nobody reads any more is no failure.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
