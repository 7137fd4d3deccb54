//! The errors of checks.
//!
//! A message is public, because it is rendered on a page that anyone may read. Write what is wrong
//! and, if it helps, what to do. Leave out host names, credentials and the text of a driver's
//! error. Those belong in the *source*, which is logged under a reference and never rendered.
//!
//! ```
//! use health_core::{HealthCheckException, Result, ResultExt, ServiceWarning};
//!
//! fn spool(path: &str) -> Result {
//!     let entries = std::fs::read_dir(path).or_unavailable("spool folder is missing")?;
//!     if entries.count() > 100 {
//!         return Err(ServiceWarning::new("more than 100 letters are waiting").into());
//!     }
//!     Ok(())
//! }
//!
//! let error: HealthCheckException = spool("/no/such/folder").unwrap_err();
//! assert_eq!(error.to_string(), "unavailable: spool folder is missing");
//! assert!(
//!     error.reference().is_some(),
//!     "the cause is in the log under this reference"
//! );
//! ```

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::conceal::Concealer;
use crate::named::named;
use crate::{FailureKind, Secret, Status};

/// The result of a check: `Ok(())` if the service works, or an error that says what is wrong.
pub type Result<T = (), E = HealthCheckException> = std::result::Result<T, E>;

type Source = Box<dyn Error + Send + Sync>;

/// The error of a check; the base of the error family.
///
/// Displayed as `{type}: {message}`, for instance `unavailable: connection refused`.
#[derive(Debug)]
#[non_exhaustive]
pub enum HealthCheckException {
    /// The service works, but not as it should: see [`ServiceWarning`].
    ServiceWarning(ServiceWarning),
    /// The service can't be used: see [`ServiceUnavailable`].
    ServiceUnavailable(ServiceUnavailable),
    /// The service answers, but wrongly: see [`ServiceReturnedUnexpectedResult`].
    ServiceReturnedUnexpectedResult(ServiceReturnedUnexpectedResult),
    /// An error that the check did not foresee: see [`UnknownError`].
    UnknownError(UnknownError),
}

/// The type of an error, which stands before the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorType {
    /// The type of a [`ServiceWarning`].
    Warning,
    /// The type of a [`ServiceUnavailable`].
    Unavailable,
    /// The type of a [`ServiceReturnedUnexpectedResult`].
    UnexpectedResult,
    /// The type of an [`UnknownError`], and of an error that only a newer version knows.
    UnknownError,
}

named!("type of error", ErrorType {
    Warning => "warning",
    Unavailable => "unavailable",
    UnexpectedResult => "unexpected result",
    UnknownError => "unknown error",
} else UnknownError);

macro_rules! exceptions {
    ($($(#[$doc:meta])* $name:ident, $type:ident, $status:ident, $kind:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name {
                message: Cow<'static, str>,
                kind: FailureKind,
                source: Option<Source>,
            }

            impl $name {
                /// Creates an error with a message that anyone may read.
                pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
                    Self { message: message.into(), kind: FailureKind::$kind, source: None }
                }

                #[doc = concat!("Sets the kind of failure. *Default*: [`FailureKind::", stringify!($kind), "`].")]
                #[must_use]
                pub fn with_kind(mut self, kind: FailureKind) -> Self {
                    self.kind = kind;
                    self
                }

                /// Sets the cause. It is logged under a reference and never rendered.
                #[must_use]
                pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
                    self.source = Some(source.into());
                    self
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{}: {}", ErrorType::$type, self.message)
                }
            }

            impl Error for $name {
                fn source(&self) -> Option<&(dyn Error + 'static)> {
                    self.source.as_deref().map(|source| source as _)
                }
            }

            impl From<$name> for HealthCheckException {
                fn from(error: $name) -> Self {
                    Self::$name(error)
                }
            }
        )+

        impl HealthCheckException {
            /// Returns the type of the error, which stands before the colon.
            pub fn message_type(&self) -> ErrorType {
                match self { $(Self::$name(_) => ErrorType::$type,)+ }
            }

            /// Returns the text after the colon. It is public: anyone may read it.
            pub fn message(&self) -> &str {
                match self { $(Self::$name(error) => &error.message,)+ }
            }

            /// Returns the kind of failure.
            pub fn kind(&self) -> FailureKind {
                match self { $(Self::$name(error) => error.kind,)+ }
            }

            fn message_mut(&mut self) -> &mut Cow<'static, str> {
                match self { $(Self::$name(error) => &mut error.message,)+ }
            }

            fn source_mut(&mut self) -> &mut Option<Source> {
                match self { $(Self::$name(error) => &mut error.source,)+ }
            }

            /// Returns the status of a check with this error: [`Status::Warning`] for a warning,
            /// [`Status::Unavailable`] for all others.
            pub fn status(&self) -> Status {
                match self { $(Self::$name(_) => Status::$status,)+ }
            }
        }

        impl Error for HealthCheckException {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                match self { $(Self::$name(error) => error.source(),)+ }
            }
        }

        impl fmt::Display for HealthCheckException {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name(error) => error.fmt(f),)+ }
            }
        }
    };
}

exceptions! {
    /// The service works, but a limit is crossed: a disk that fills up, a queue that grows.
    ///
    /// It counts as an error unless
    /// [`Settings::warnings_as_errors`](crate::Settings::warnings_as_errors) is off.
    ServiceWarning, Warning, Warning, Other;
    /// The service can't be used: refused, timed out, no such database.
    ServiceUnavailable, Unavailable, Unavailable, Other;
    /// The service answers, but with something else than expected.
    ServiceReturnedUnexpectedResult, UnexpectedResult, Unavailable, UnexpectedAnswer;
    /// An error that the check did not foresee. Prefer [`UnknownError::caused_by`], which names the
    /// log entry.
    UnknownError, UnknownError, Unavailable, Other;
}

impl HealthCheckException {
    /// Replaces the message, and keeps the type and the source.
    #[must_use]
    pub fn map_message(mut self, words: impl FnOnce(&str) -> String) -> Self {
        *self.message_mut() = words(self.message()).into();
        self
    }

    /// Replaces these secrets by `***` in the message and in the cause, as
    /// [`Findings::conceal`](crate::Findings::conceal) does for all errors of a run.
    ///
    /// ```
    /// use health_core::{HealthCheckException, Secret, ServiceUnavailable};
    ///
    /// let url = Secret::from("redis://:hunter2@cache");
    /// let error = HealthCheckException::from(
    ///     ServiceUnavailable::new("Redis refused the command").with_source("ERR 'hunter2'"),
    /// );
    /// assert_eq!(error.conceal([&url]).cause().as_deref(), Some("ERR '***'"));
    /// ```
    #[must_use]
    pub fn conceal<'a>(self, secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        self.concealed(&Concealer::of(secrets))
    }

    pub(crate) fn concealed(mut self, secrets: &Concealer) -> Self {
        if let Some(cause) = self.cause().and_then(|cause| secrets.apply(&cause)) {
            let before = self.reference();
            *self.source_mut() = Some(cause.into());
            // The message of an unknown error has the reference.
            if let Some((before, after)) = before.zip(self.reference()) {
                let shown = |reference| format!("(ref {reference})");
                self = self.map_message(|text| text.replace(&shown(before), &shown(after)));
            }
        }
        // A message that is a literal has no secret, even if a password is one of its words.
        if let Cow::Owned(message) = self.message_mut()
            && let Some(shown) = secrets.apply(message)
        {
            *message = shown;
        }
        self
    }

    /// Returns four hexadecimal digits that identify the cause in the log.
    ///
    /// They are a hash of the cause's text, so they are the same in every run and on every replica.
    /// `None` without a cause.
    pub fn reference(&self) -> Option<String> {
        self.source().map(|cause| reference(&chain(cause)))
    }

    /// Returns the cause in full, for the log only.
    pub fn cause(&self) -> Option<String> {
        self.source().map(chain)
    }
}

impl UnknownError {
    /// Creates an error such as `unknown error: see log (ref 7f3a)`, and keeps the cause for the
    /// log.
    pub fn caused_by(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        Self::new(format!(
            "see log (ref {})",
            reference(&chain(cause.as_ref()))
        ))
        .with_source(cause)
    }

    /// Creates the error of a panic. Only the panic hook gets the payload; the error keeps its
    /// hash.
    pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or_default();
        Self::caused_by(format!(
            "{PANIC}{}: its message went to the process's panic hook",
            reference(text)
        ))
        .with_kind(FailureKind::Panicked)
    }
}

const PANIC: &str = "panic ";

/// Returns the FNV-1a hash, folded to 16 bits. The hashers of the standard library may change from
/// one release to the next.
///
/// Leaves out words that contain a digit: a port, a time or the number of a request vary from run
/// to run, and the reference would vary with them.
fn reference(cause: &str) -> String {
    let varies = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    let mut words: Vec<&str> = cause
        .split_whitespace()
        .filter(|word| !varies(word))
        .collect();
    if words.is_empty() || cause.starts_with(PANIC) {
        words = vec![cause]; // the text of a panic is a hash, which may have digits
    }
    let hash = words
        .join(" ")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!(
        "{:04x}",
        (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) & 0xffff
    )
}

/// Joins an error and its sources with `: `.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let deeper = error.to_string();
        if !text.ends_with(&deeper) {
            text = format!("{text}: {deeper}"); // many errors repeat their source
        }
        below = error.source();
    }
    text
}

/// Turns a foreign error into an error of this crate, with a message that anyone may read. The
/// foreign error becomes the source.
pub trait ResultExt<T> {
    /// Turns the error into [`ServiceUnavailable`] with this message.
    ///
    /// # Errors
    /// Fails if the result was an error.
    fn or_unavailable(self, message: impl Into<Cow<'static, str>>) -> Result<T>;

    /// Turns the error into [`ServiceWarning`] with this message.
    ///
    /// # Errors
    /// Fails if the result was an error.
    fn or_warning(self, message: impl Into<Cow<'static, str>>) -> Result<T>;

    /// Turns the error into [`ServiceReturnedUnexpectedResult`] with this message.
    ///
    /// # Errors
    /// Fails if the result was an error.
    fn or_unexpected(self, message: impl Into<Cow<'static, str>>) -> Result<T>;

    /// Turns the error into an unknown error, with [`UnknownError::caused_by`].
    ///
    /// # Errors
    /// Fails if the result was an error.
    fn or_unknown(self) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> ResultExt<T> for std::result::Result<T, E> {
    fn or_unavailable(self, message: impl Into<Cow<'static, str>>) -> Result<T> {
        self.map_err(|source| ServiceUnavailable::new(message).with_source(source).into())
    }

    fn or_warning(self, message: impl Into<Cow<'static, str>>) -> Result<T> {
        self.map_err(|source| ServiceWarning::new(message).with_source(source).into())
    }

    fn or_unexpected(self, message: impl Into<Cow<'static, str>>) -> Result<T> {
        self.map_err(|source| {
            ServiceReturnedUnexpectedResult::new(message)
                .with_source(source)
                .into()
        })
    }

    fn or_unknown(self) -> Result<T> {
        self.map_err(|source| UnknownError::caused_by(source).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_as_the_original_does() {
        let shown = |error: HealthCheckException| error.to_string();
        assert_eq!(shown(ServiceWarning::new("m").into()), "warning: m");
        assert_eq!(shown(ServiceUnavailable::new("m").into()), "unavailable: m");
        assert_eq!(
            shown(ServiceReturnedUnexpectedResult::new("m").into()),
            "unexpected result: m"
        );
        assert_eq!(shown(UnknownError::new("m").into()), "unknown error: m");
    }

    #[test]
    fn the_reference_is_a_hash_of_the_cause_and_of_nothing_else() {
        let error =
            |cause: &'static str| HealthCheckException::from(UnknownError::caused_by(cause));
        assert_eq!(
            error("disk on fire").to_string(),
            error("disk on fire").to_string()
        );
        assert_ne!(
            error("disk on fire").to_string(),
            error("disk is wet").to_string()
        );
        assert_eq!(
            error("port 4711: refused at 11:02").to_string(),
            error("port 42: refused at 23:59").to_string()
        );
        assert_ne!(error("4711").to_string(), error("42").to_string());
        let panicked = |payload: &'static str| UnknownError::panicked(&payload).to_string();
        assert_ne!(panicked("index 7 of 3"), panicked("none"));
        let shown = error("password=hunter2").to_string();
        assert!(
            shown.starts_with("unknown error: see log (ref ") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_foreign_error_is_the_source_and_not_the_text() {
        let refused = std::io::Error::other("10.0.0.5 refused");
        let error = Err::<(), _>(refused)
            .or_unavailable("connection refused")
            .unwrap_err();
        assert_eq!(error.to_string(), "unavailable: connection refused");
        assert_eq!(error.cause().as_deref(), Some("10.0.0.5 refused"));
    }
}
