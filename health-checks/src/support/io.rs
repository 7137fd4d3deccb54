use std::io::{Error, ErrorKind};

use health_core::{FailureKind, HealthCheckException, ServiceUnavailable, UnknownError};

/// The kind of a failure, and its message.
pub(crate) type Words = (FailureKind, &'static str);

/// Returns the kind and the message for an I/O error that is this error or somewhere below it.
pub(crate) fn failure_below(error: &(dyn std::error::Error + 'static)) -> Option<Words> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<Error>();
        if let Some(words) = tls(error).or_else(|| failure(io?)) {
            return Some(words);
        }
        // The source of an I/O error is the source of its content, which would skip the content
        // itself.
        let content = io
            .and_then(Error::get_ref)
            .map(|error| error as &(dyn std::error::Error + 'static));
        next = content.or_else(|| error.source());
    }
    None
}

/// Returns the kind and the message for this error.
pub(crate) fn failure(error: &Error) -> Option<Words> {
    if is_unknown_host(error) {
        return Some((FailureKind::Dns, "the host name can't be resolved"));
    }
    let content = error
        .get_ref()
        .map(|error| error as &(dyn std::error::Error + 'static));
    content.and_then(tls).or_else(|| by_kind(error.kind()))
}

/// Converts an error to a message that is safe to show to anyone, for a protocol that has no
/// messages of its own.
pub(crate) fn describe(error: Error) -> HealthCheckException {
    match failure(&error) {
        Some((kind, message)) => ServiceUnavailable::new(message)
            .with_kind(kind)
            .with_source(error)
            .into(),
        None => UnknownError::caused_by(error).into(),
    }
}

/// Returns the kind and the message for an error of rustls.
fn tls(error: &(dyn std::error::Error + 'static)) -> Option<Words> {
    #[cfg(feature = "_tls")]
    return error
        .downcast_ref()
        .map(|error| (FailureKind::Tls, super::tls::words(error)));
    #[cfg(not(feature = "_tls"))]
    return {
        let _ = error;
        None
    };
}

/// Returns a host as connections take it. In a URL, an IPv6 address has brackets (RFC 3986, 3.2.2).
pub(crate) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Returns `true` if a name was not found. The standard library has no kind for this error, so its
/// message decides.
pub(crate) fn is_unknown_host(error: &Error) -> bool {
    error.raw_os_error().is_none()
        && error
            .to_string()
            .contains("failed to lookup address information")
}

fn by_kind(kind: ErrorKind) -> Option<Words> {
    use FailureKind as Kind;
    Some(match kind {
        ErrorKind::ConnectionRefused => (Kind::Refused, "connection refused"),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (Kind::TimedOut, "timed out"),
        ErrorKind::HostUnreachable => (Kind::Lost, "no route to the host"),
        ErrorKind::NetworkUnreachable => (Kind::Lost, "no route to the network"),
        ErrorKind::AddrNotAvailable => (Kind::Misconfigured, "the address is not available"),
        ErrorKind::InvalidData => (Kind::Tls, "TLS failed"), // the kind in which rustls wraps its errors
        ErrorKind::PermissionDenied => (Kind::Forbidden, "permission denied"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => (Kind::Lost, "connection lost"),
        _ => return None,
    })
}
