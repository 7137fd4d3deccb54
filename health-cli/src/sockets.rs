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

/// Binds `PATH`, or `PATH?mode=0660&group=www-data`.
#[cfg(unix)]
fn bind_unix(address: &str) -> io::Result<Socket> {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    if path.is_empty() {
        return Err(invalid("expected unix:/path/of/socket"));
    }
    let mut mode = None;
    let mut group = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("mode", value)) if mode.is_none() => mode = Some(parse_mode(value)?),
            Some(("group", value)) if group.is_none() => group = Some(parse_group(value)?),
            Some((key @ ("mode" | "group"), _)) => {
                return Err(invalid(format!("{key} is given twice")));
            }
            _ => {
                let key = pair.split('=').next().unwrap_or_default();
                let message = format!("{key:?} is unknown: expected ?mode=0660&group=www-data");
                return Err(invalid(message));
            }
        }
    }
    match (mode, group) {
        (None, None) => Socket::bind_unix(path),
        (None, Some(_)) => Err(invalid("group needs a mode, such as mode=0660")),
        (Some(mode), group) => Socket::bind_unix_as(path, mode, group),
    }
}

#[cfg(unix)]
fn parse_mode(text: &str) -> io::Result<u32> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| is_octal && *mode <= 0o777)
        .ok_or_else(|| invalid(format!("mode={text}: expected an octal mode, such as 0660")))
}

/// Returns the number of a group by its number, or by its name in `/etc/group`.
#[cfg(unix)]
fn parse_group(text: &str) -> io::Result<u32> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(text)).then(|| fields.nth(1)?.parse().ok())?
    });
    number.ok_or_else(|| {
        invalid(format!(
            "group={text}: there is no such group in /etc/group: its number works, too"
        ))
    })
}

#[cfg(unix)]
fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
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
