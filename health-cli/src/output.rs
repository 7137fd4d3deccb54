//! Output to stdout and stderr. A failed write never panics, so that a command still ends with its
//! own exit code.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes bytes to stdout unchanged. A closed pipe is not an error.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    finish(&mut io::stdout().lock(), bytes)
}

/// Writes text to stdout. Its colours are removed unless stdout is a terminal or colours are
/// forced.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    finish(&mut anstream::stdout().lock(), text.to_string().as_bytes())
}

/// Writes a line to stderr, and ignores errors.
pub(crate) fn note(line: impl Display) {
    let _ = finish(
        &mut anstream::stderr().lock(),
        format!("{line}\n").as_bytes(),
    );
}

/// Writes a line to stderr, unless `be_quiet` was called.
pub(crate) fn warn(line: impl Display) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        note(line);
    }
}

/// Suppresses warnings from now on.
pub(crate) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

static IS_QUIET: AtomicBool = AtomicBool::new(false);

fn finish(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(io::Error::new(
            error.kind(),
            format!("stdout can't be written: {error}"),
        )),
        _ => Ok(()),
    }
}
