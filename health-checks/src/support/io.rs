use std::io::{Error, ErrorKind};

use health_core::FailureKind;

/// The kind of a failure and its words.
pub(crate) type Words = (FailureKind, &'static str);

/// The words for an input or output error that is somewhere below this one.
pub(crate) fn failure_below(error: &(dyn std::error::Error + 'static)) -> Option<Words> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<Error>();
        if let Some(words) = tls(error).or_else(|| failure(io?)) {
            return Some(words);
        }
        // The source of such an error is its content's source, which leaves the content itself out.
        let content = io.and_then(Error::get_ref).map(|error| error as &(dyn std::error::Error + 'static));
        next = content.or_else(|| error.source());
    }
    None
}

/// The words for this one.
pub(crate) fn failure(error: &Error) -> Option<Words> {
    if is_unknown_host(error) {
        return Some((FailureKind::Dns, "the host name can't be resolved"));
    }
    let content = error.get_ref().map(|error| error as &(dyn std::error::Error + 'static));
    content.and_then(tls).or_else(|| by_kind(error.kind()))
}

/// The words for what rustls refuses.
fn tls(error: &(dyn std::error::Error + 'static)) -> Option<Words> {
    #[cfg(feature = "_tls")]
    return error.downcast_ref().map(|error| (FailureKind::Tls, super::tls::words(error)));
    #[cfg(not(feature = "_tls"))]
    return {
        let _ = error;
        None
    };
}

/// A host as connections take it: an IPv6 address has brackets in a URL (RFC 3986, 3.2.2).
pub(crate) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
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
