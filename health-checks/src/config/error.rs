use std::fmt;
use std::io::{Error, ErrorKind};

/// An error in a configuration. It names the file, the line, the key, what was expected and the
/// nearest valid name. It never quotes a value or a line of the file, because either may hold a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    file: String,
    line: Option<usize>,
    key: Option<String>,
    message: String,
    more: Vec<ConfigError>,
}

impl ConfigError {
    pub(super) fn new(
        file: &str,
        line: Option<usize>,
        key: Option<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line,
            key,
            message: message.into(),
            more: Vec::new(),
        }
    }

    pub(super) fn unreadable(file: &str, error: &Error) -> Self {
        let message = match error.kind() {
            ErrorKind::NotFound => "there is no such file".into(),
            ErrorKind::PermissionDenied => "the file can't be read: permission denied".into(),
            ErrorKind::InvalidData => "the file is not UTF-8 text".into(),
            ErrorKind::FileTooLarge => "the file is longer than 1 MiB".into(),
            kind => format!("the file can't be read: {kind}"),
        };
        Self::new(file, None, None, message)
    }

    /// Creates an error about an environment variable.
    pub(super) fn variable(name: &str, message: impl Into<String>) -> Self {
        Self::new("environment", None, Some(name.to_owned()), message)
    }

    /// Returns one error for several, in the order of their lines. There must be at least one.
    pub(super) fn all(errors: impl IntoIterator<Item = Self>) -> Self {
        let mut errors = Vec::from_iter(errors);
        errors.sort_by_key(|error| error.line);
        let mut errors = errors.into_iter();
        let mut first = errors
            .next()
            .unwrap_or_else(|| Self::new("", None, None, "it can't be built"));
        first.more.extend(errors);
        first
    }

    /// Returns all errors that were found, this one first. The accessors are those of the first.
    pub fn errors(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.more)
    }

    /// Returns the name of the file as it was given, or `environment` if a variable is invalid.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns what is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the line, counted from 1, if it is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Returns the key, such as `checks[2].path`, or the name of the variable if that is invalid.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// Writes each error on a line of its own.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.errors().enumerate() {
            f.write_str(if position == 0 { "" } else { "\n" })?;
            f.write_str(&error.file)?;
            if let Some(line) = error.line {
                write!(f, ":{line}")?;
            }
            if let Some(key) = &error.key {
                write!(f, ": {key}")?;
            }
            write!(f, ": {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
