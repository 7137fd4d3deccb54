use std::io::{Error, ErrorKind};

use health_core::FailureKind;

/// The kind of a failure and its words.
pub(crate) type Words = (FailureKind, &'static str);

/// The words for an input or output error that is somewhere below this one.
pub(crate) fn failure_below(error: &(dyn std::error::Error + 'static)) -> Option<Words> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(words) = error.downcast_ref::<Error>().and_then(failure) {
            return Some(words);
        }
        next = error.source();
    }
    None
}

/// The words for this one.
pub(crate) fn failure(error: &Error) -> Option<Words> {
    if is_unknown_host(error) {
        return Some((FailureKind::Dns, "the host name can't be resolved"));
    }
    by_kind(error.kind())
}

/// Whether a name was not found: the standard library's own words, for it has no kind for that.
pub(crate) fn is_unknown_host(error: &Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("failed to lookup address information")
}

fn by_kind(kind: ErrorKind) -> Option<Words> {
    use FailureKind as Kind;
    Some(match kind {
        ErrorKind::ConnectionRefused => (Kind::Refused, "connection refused"),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (Kind::TimedOut, "timed out"),
        ErrorKind::HostUnreachable => (Kind::Lost, "no route to the host"),
        ErrorKind::NetworkUnreachable => (Kind::Lost, "no route to the network"),
        ErrorKind::AddrNotAvailable => (Kind::Misconfigured, "the address is not available"),
        ErrorKind::InvalidData => (Kind::Tls, "TLS failed"), // as which rustls wraps what it refuses
        ErrorKind::PermissionDenied => (Kind::Forbidden, "permission denied"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => (Kind::Lost, "connection lost"),
        _ => return None,
    })
}
