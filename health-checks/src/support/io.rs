use std::io::ErrorKind;

/// The words for an input or output error that is somewhere below this one.
pub(crate) fn message(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && let Some(message) = words(io)
        {
            return Some(message);
        }
        next = error.source();
    }
    None
}

/// The words for this one.
pub(crate) fn words(error: &std::io::Error) -> Option<&'static str> {
    if is_unknown_host(error) { Some("the host name can't be resolved") } else { by_kind(error.kind()) }
}

/// Whether a name was not found: the standard library's own words, for it has no kind for that.
pub(crate) fn is_unknown_host(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("failed to lookup address information")
}

fn by_kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "timed out",
        ErrorKind::HostUnreachable => "no route to the host",
        ErrorKind::NetworkUnreachable => "no route to the network",
        ErrorKind::AddrNotAvailable => "the address is not available",
        ErrorKind::InvalidData => "TLS failed", // as which rustls wraps what it refuses
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => "connection lost",
        _ => return None,
    })
}
