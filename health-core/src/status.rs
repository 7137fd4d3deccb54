use std::fmt;

use serde::Serialize;

/// How a check or a whole report is, from good to bad: the worst wins.
///
/// ```
/// use health_core::Status;
/// assert_eq!([Status::Working, Status::Unavailable, Status::Warning].iter().max(), Some(&Status::Unavailable));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// No error.
    Working,
    /// Works, with a warning.
    Warning,
    /// No verdict yet. Never healthy, except for liveness.
    Unknown,
    /// Can't be used; unexpected results and unknown errors are this, too.
    Unavailable,
}

impl Status {
    /// `working`, `warning`, `unknown` or `unavailable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
