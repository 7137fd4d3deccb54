//! Stdout and stderr. No line that can't be written makes a command panic: what it found out, and how it ends, is more than what it says.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes to stdout as it is; that nobody reads any more is no failure.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    finish(&mut io::stdout().lock(), bytes)
}

/// The same for text, whose colours are taken out where it goes to no terminal.
pub(crate) fn print(text: impl Display) -> io::Result<()> {
    finish(&mut anstream::stdout().lock(), text.to_string().as_bytes())
}

/// A line on stderr, if it can be written.
pub(crate) fn note(line: impl Display) {
    let _ = finish(&mut anstream::stderr().lock(), format!("{line}\n").as_bytes());
}

/// The same, unless stderr is shown before what counts.
pub(crate) fn warn(line: impl Display) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        note(line);
    }
}

/// Leaves warnings out from now on.
pub(crate) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

static IS_QUIET: AtomicBool = AtomicBool::new(false);

fn finish(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("stdout can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
