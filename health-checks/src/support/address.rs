/// Splits `host:port` and `[::1]:port`. Returns the host without brackets, or `None` for anything
/// else.
pub(crate) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bare.or((!host.contains(':')).then_some(host))?;
    (!host.is_empty() && !host.contains(['/', '@', ' ', '[', ']'])).then_some((host, port))
}

/// The message for an invalid address.
#[cfg(any(feature = "certificate", feature = "tcp"))]
pub(crate) const EXPECTED: &str =
    "expected a host and a port, such as printer.internal:9100 or [::1]:9100";
