use crate::named::named;

/// The status of a check or of a whole report, from good to bad: the worst wins.
///
/// ```
/// use health_core::Status;
/// assert_eq!(
///     [Status::Working, Status::Unavailable, Status::Warning]
///         .iter()
///         .max(),
///     Some(&Status::Unavailable)
/// );
/// assert_eq!("unavailable".parse(), Ok(Status::Unavailable));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The check has no error.
    Working,
    /// The check works, with a warning.
    Warning,
    /// The check has no verdict yet. A critical check of this status is unhealthy; `live` waits a
    /// while for its verdict.
    Unknown,
    /// The service can't be used. Unexpected results and unknown errors have this status, too.
    Unavailable,
}

named!("status", Status {
    Working => "working",
    Warning => "warning",
    Unknown => "unknown",
    Unavailable => "unavailable",
});
