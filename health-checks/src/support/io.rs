use std::io::ErrorKind;

/// The words for an input or output error that is somewhere below this one.
#[cfg(any(feature = "http", feature = "mail", feature = "s3"))]
pub(crate) fn message(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && let Some(message) = by_kind(io.kind())
        {
            return Some(message);
        }
        next = error.source();
    }
    None
}

pub(crate) fn by_kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "timed out",
        ErrorKind::HostUnreachable => "no route to the host",
        ErrorKind::NetworkUnreachable => "no route to the network",
        ErrorKind::AddrNotAvailable => "the address is not available",
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => "connection lost",
        _ => return None,
    })
}
