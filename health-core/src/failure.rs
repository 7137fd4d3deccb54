use std::fmt;

use serde::Serialize;

/// The reason why a check fails, as data, for alerts and for code that must not parse messages.
///
/// ```
/// use health_core::{FailureKind, HealthCheckException, ServiceUnavailable};
///
/// let error = HealthCheckException::from(ServiceUnavailable::new("connection refused").with_kind(FailureKind::Refused));
/// assert_eq!(error.kind(), FailureKind::Refused);
/// assert_eq!(error.kind().as_str(), "refused");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The connection was refused: no process listens there.
    Refused,
    /// The connection was lost or closed, or there is no route to the server.
    Lost,
    /// No answer came in time.
    TimedOut,
    /// The server does not accept the user, the password or the key.
    Authentication,
    /// The server knows the user and does not permit this.
    Forbidden,
    /// TLS failed: the certificate is not trusted, is expired or has another name, or the server does not support TLS.
    Tls,
    /// The host name can't be resolved.
    Dns,
    /// The database, bucket, queue, file or virtual host does not exist.
    NotFound,
    /// The server or the pool has no connections, memory or disk space left.
    Saturated,
    /// The server accepts no writes.
    ReadOnly,
    /// The check is configured in a way that can't work.
    Misconfigured,
    /// The server's response was not the expected one.
    UnexpectedAnswer,
    /// A check that this one depends on is unavailable.
    Blocked,
    /// The last verdict, certificate or credential is too old.
    Expired,
    /// The check panicked.
    Panicked,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Returns the kind in `snake_case`: `refused`, `timed_out`, `unexpected_answer`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
            Self::Authentication => "authentication",
            Self::Forbidden => "forbidden",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::NotFound => "not_found",
            Self::Saturated => "saturated",
            Self::ReadOnly => "read_only",
            Self::Misconfigured => "misconfigured",
            Self::UnexpectedAnswer => "unexpected_answer",
            Self::Blocked => "blocked",
            Self::Expired => "expired",
            Self::Panicked => "panicked",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spellings are written down twice: serde's and ours.
    #[test]
    fn it_is_serialised_as_it_is_displayed() {
        for kind in [FailureKind::TimedOut, FailureKind::ReadOnly, FailureKind::UnexpectedAnswer, FailureKind::Dns] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
