//! Small text files: configurations and secrets.

use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

use health_core::{FailureKind, HealthCheckException, Result, Secret, ServiceUnavailable};

/// The maximum length of a file. A device may have no end.
const LONGEST: u64 = 1024 * 1024;

/// Reads a file of at most 1 MiB.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    all(std::fs::File::open(path)?)
}

/// Reads a source of at most 1 MiB to its end.
pub(crate) fn all(source: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = source.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > LONGEST) {
        return Err(ErrorKind::FileTooLarge.into());
    }
    String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData.into())
}

/// Returns the reason why a file can't be read.
pub(crate) fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::FileTooLarge => "it is longer than 1 MiB".into(),
        ErrorKind::InvalidData => "it is not UTF-8 text".into(),
        kind => kind.to_string(),
    }
}

/// Reads the password in a file, without white space at its ends. An empty file is an error,
/// because whoever issues the password may fill the file later.
pub(crate) fn password(path: &Path) -> Result<Secret> {
    let text = text(path).map_err(unreadable)?;
    match text.trim() {
        "" => Err(ServiceUnavailable::new("password_file is empty")
            .with_kind(FailureKind::Misconfigured)
            .into()),
        password => Ok(password.into()),
    }
}

/// Returns the error for a `password_file` that is of no use.
pub(crate) fn unreadable(
    cause: impl std::error::Error + Send + Sync + 'static,
) -> HealthCheckException {
    ServiceUnavailable::new("password_file can't be read")
        .with_kind(FailureKind::Misconfigured)
        .with_source(cause)
        .into()
}
