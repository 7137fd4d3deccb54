//! The sockets that `serve` listens on.

use std::io;

use health_listen::Socket;

const DEFAULT: &str = "127.0.0.1:8000";

/// Returns the sockets of `--listen`, or else those that systemd passes, or else the default one.
pub(crate) fn sockets(listen: &[String]) -> Result<Vec<Socket>, String> {
    let mut handed = handed_over()?;
    if listen.is_empty() {
        return if handed.is_empty() {
            Ok(vec![bind("--listen", DEFAULT)?])
        } else {
            Ok(handed)
        };
    }
    let mut all = Vec::new();
    for address in listen {
        match address.as_str() {
            "systemd" if handed.is_empty() => {
                return Err(
                    "--listen systemd: no socket was handed over: LISTEN_FDS is not set, or is for another process"
                        .into(),
                );
            }
            "systemd" => all.append(&mut handed),
            address => all.push(bind("--listen or HEALTH_LISTEN", address)?),
        }
    }
    if handed.is_empty() {
        Ok(all)
    } else {
        Err("systemd has handed over sockets: add --listen systemd, or leave --listen out".into())
    }
}

/// Binds the address of a flag.
pub(crate) fn bind(flag: &str, address: &str) -> Result<Socket, String> {
    let failed = |error: io::Error| format!("{flag}: can't listen at {address}: {error}");
    if let Some(path) = address.strip_prefix("unix:") {
        return bind_unix(path.strip_prefix("//").unwrap_or(path)).map_err(failed);
    }
    let or_systemd = if flag.starts_with("--listen") {
        " or systemd"
    } else {
        ""
    };
    let wrong = || {
        format!(
            "{flag} {address:?}: expected HOST:PORT, PORT, :PORT, [::1]:PORT, unix:/path/of/socket{or_systemd}"
        )
    };
    let (host, port) = host_and_port(address).ok_or_else(wrong)?;
    if !matches!(host, "" | "*") {
        return Socket::bind((host, port)).map_err(failed);
    }
    // One socket for IPv4 and IPv6, if the system has IPv6.
    match Socket::bind(("::", port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            Socket::bind(("0.0.0.0", port)).map_err(failed)
        }
        bound => bound.map_err(failed),
    }
}

/// Splits `HOST:PORT`, `[::1]:PORT`, `:PORT` and `PORT`. A port without a colon is on the loopback
/// address.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    if address.contains('/') {
        return None;
    }
    let (host, port) = address.rsplit_once(':').unwrap_or(("127.0.0.1", address));
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some((host, port.parse().ok()?))
}

#[cfg(unix)]
fn bind_unix(path: &str) -> io::Result<Socket> {
    if path.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected unix:/path/of/socket",
        ));
    }
    Socket::bind_unix(path)
}

#[cfg(not(unix))]
fn bind_unix(_: &str) -> io::Result<Socket> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no Unix sockets",
    ))
}

#[cfg(unix)]
fn handed_over() -> Result<Vec<Socket>, String> {
    let mut handed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..handed.len() {
        let tcp = handed
            .take_tcp_listener(number)
            .ok()
            .flatten()
            .map(Socket::from);
        let socket = tcp.or_else(|| {
            handed
                .take_unix_listener(number)
                .ok()
                .flatten()
                .map(Socket::from)
        });
        let message =
            || format!("socket {number} of systemd is none that listens: ListenStream= makes one");
        sockets.push(socket.ok_or_else(message)?);
    }
    Ok(sockets)
}

#[cfg(not(unix))]
fn handed_over() -> Result<Vec<Socket>, String> {
    Ok(Vec::new())
}
