use std::path::PathBuf;

use reqwest::Url;

/// The help text of the argument `URL`.
pub(crate) const URL: &str = "The URL of the endpoint: http://HOST/PATH, https://HOST/PATH, unix:SOCKET:/PATH, or of gRPC: grpc://HOST:PORT[/SERVICE], grpcs://...";
const EXPECTED: &str = "URL: expected http://HOST/PATH, https://HOST/PATH, unix:SOCKET:/PATH, grpc://HOST:PORT[/SERVICE] or grpcs://...";

/// The address of an endpoint. Its path may contain a token, so only `address` is ever shown.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) socket: Option<PathBuf>,
    /// The host and port, or the socket.
    pub(super) address: String,
}

impl Target {
    /// Parses a URL, or a Unix socket in the syntax of nginx: `unix:/run/app.sock:/ht/`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if !is_clear(text) {
            return Err(
                "URL: not clear where its parts end: percent-encode a user and a password (@ is %40, / is %2F)",
            );
        }
        let Some(rest) = text.strip_prefix("unix:") else {
            return Self::tcp(text).ok_or(EXPECTED);
        };
        if cfg!(not(unix)) {
            return Err("URL: this system has no Unix sockets");
        }
        let (socket, path) = rest.split_once(":/").unwrap_or((rest, ""));
        let url = Url::parse(&format!("http://localhost/{path}"))
            .ok()
            .filter(|_| !socket.is_empty());
        Ok(Self {
            url: url.ok_or(EXPECTED)?,
            socket: Some(socket.into()),
            address: format!("unix:{socket}"),
        })
    }

    fn tcp(text: &str) -> Option<Self> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let address = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        Some(Self {
            url,
            socket: None,
            address,
        })
    }

    /// Returns the endpoint of a group: `/ht/` becomes `/ht/ready/`.
    pub(super) fn group(mut self, group: &str) -> Self {
        if let Ok(mut path) = self.url.path_segments_mut() {
            path.pop_if_empty().push(group).push("");
        }
        self
    }

    /// Returns `true` if requests to the endpoint need no TLS, not even to a proxy.
    pub(super) fn is_plain(&self) -> bool {
        self.url.scheme() == "http" && self.is_local()
    }

    /// Returns `true` if the endpoint is on this machine. Requests to it use no proxy.
    pub(super) fn is_local(&self) -> bool {
        let host = self
            .url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']']);
        let loopback = |address: std::net::IpAddr| address.is_loopback();
        host == "localhost" || self.socket.is_some() || host.parse().is_ok_and(loopback)
    }
}

/// Returns `false` if a part of a password could be taken for a host, which would be looked up.
fn is_clear(text: &str) -> bool {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split('?').next().unwrap_or_default();
    let signs = authority.matches('@').count();
    signs == 0 || (signs == 1 && !path.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_sockets() {
        for (text, url, socket, address) in [
            ("http://a/ht/", "http://a/ht/", None, "a:80"),
            (
                "https://u:pw@a.b/ht/t0ken/?x=1",
                "https://u:pw@a.b/ht/t0ken/?x=1",
                None,
                "a.b:443",
            ),
            (
                "http://[::1]:8000",
                "http://[::1]:8000/",
                None,
                "[::1]:8000",
            ),
            (
                "unix:/run/a.sock:/ht/",
                "http://localhost/ht/",
                Some("/run/a.sock"),
                "unix:/run/a.sock",
            ),
            (
                "unix:a.sock:/ht/?format=json",
                "http://localhost/ht/?format=json",
                Some("a.sock"),
                "unix:a.sock",
            ),
            (
                "unix:/run/a.sock",
                "http://localhost/",
                Some("/run/a.sock"),
                "unix:/run/a.sock",
            ),
        ] {
            let target = Target::parse(text).unwrap();
            let socket = socket.map(PathBuf::from);
            assert_eq!(target.url.as_str(), url, "{text}");
            assert_eq!(target.socket, socket, "{text}");
            assert_eq!(target.address.as_str(), address, "{text}");
        }
        for text in [
            "",
            "a",
            "localhost:8000/ht/",
            "127.0.0.1:8000",
            "ftp://a/",
            "http://",
            "unix:",
            "unix::/ht/",
        ] {
            assert_eq!(Target::parse(text).err(), Some(EXPECTED), "{text}");
        }
    }

    #[test]
    fn a_group_is_the_last_segment() {
        for (text, url) in [
            ("http://a/ht/", "http://a/ht/ready/"),
            ("http://a/ht?x=1", "http://a/ht/ready/?x=1"),
            ("http://a", "http://a/ready/"),
        ] {
            assert_eq!(
                Target::parse(text).unwrap().group("ready").url.as_str(),
                url
            );
        }
    }

    #[test]
    fn no_part_of_a_password_is_taken_for_a_host() {
        for text in ["http://app:p@hunter2/w@127.0.0.1/", "http://app:p@ss@h/"] {
            assert!(
                Target::parse(text).is_err_and(|error| error.contains("percent-encode")),
                "{text}"
            );
        }
        assert!(Target::parse("http://h/@user").is_ok());
    }
}
