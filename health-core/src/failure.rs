use crate::named::named;

/// The reason why a check fails, as data, for alerts and for code that must not parse messages.
///
/// ```
/// use health_core::{FailureKind, HealthCheckException, ServiceUnavailable};
///
/// let error = HealthCheckException::from(
///     ServiceUnavailable::new("connection refused").with_kind(FailureKind::Refused),
/// );
/// assert_eq!(error.kind(), FailureKind::Refused);
/// assert_eq!(error.kind().as_str(), "refused");
/// assert_eq!("timed_out".parse(), Ok(FailureKind::TimedOut));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// TLS failed: the certificate is not trusted, is expired or has another name, or the server
    /// does not support TLS.
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

// A kind that only a newer version knows is read as `Other`.
named!("kind of failure", FailureKind {
    Refused => "refused",
    Lost => "lost",
    TimedOut => "timed_out",
    Authentication => "authentication",
    Forbidden => "forbidden",
    Tls => "tls",
    Dns => "dns",
    NotFound => "not_found",
    Saturated => "saturated",
    ReadOnly => "read_only",
    Misconfigured => "misconfigured",
    UnexpectedAnswer => "unexpected_answer",
    Blocked => "blocked",
    Expired => "expired",
    Panicked => "panicked",
    Other => "other",
} else Other);
