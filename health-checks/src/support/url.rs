//! URLs as services write them: the parts of
//! [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-3), several hosts, and a query in
//! which nothing is ignored.
//!
//! The parser of each kind of server takes the parameters that it knows ([`Url::take`]) and ends
//! with [`Url::end`], which refuses the remaining ones by name. No message holds a value, or
//! anything that could be a part of a password.

use std::fmt;

use health_core::Secret;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::nearest::hint;
pub(crate) use super::scheme;
use crate::kind::Misconfigured;

/// Advice for messages about characters that end a password too early.
const ENCODE: &str = "percent-encode what a URL has another meaning for in a name or a password: % as %25, @ as %40, / as %2F, \
                      ? as %3F, # as %23, : as %3A; ${VAR|url} does it, or write username and password beside the URL";

/// Parameters that mean the same as a key beside the URL.
const KEYS: &[(&[&str], &str)] = &[
    (
        &[
            "cacertfile",
            "ssl_ca_certs",
            "ssl_ca_path",
            "tlsCAFile",
            "sslcafile",
            "ssl_cafile",
        ],
        "ca_file",
    ),
    (&["certfile", "ssl_certfile"], "client_cert"),
    (&["keyfile", "ssl_keyfile"], "client_key"),
    (
        &["server_name_indication", "ssl_check_hostname"],
        "server_name",
    ),
    (&["verify", "ssl_cert_reqs"], "verify"),
    (
        &[
            "connect_timeout",
            "connection_timeout",
            "connectTimeout",
            "timeout",
            "socket_timeout",
            "socketTimeout",
        ],
        "timeout",
    ),
];

/// Parameters with which other clients switch TLS on.
const TLS: [&str; 4] = ["ssl", "tls", "use_ssl", "usessl"];

/// The parts of a URL, decoded.
pub(crate) struct Url {
    /// The URL as it was written, which may hold a secret.
    pub(crate) text: Secret,
    /// The scheme in lower case, with the part after its `+`.
    pub(crate) scheme: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// The hosts, at least one. Its name is empty if the URL names none.
    pub(crate) hosts: Vec<Host>,
    /// The path with its first slash. Empty if there is none.
    pub(crate) path: String,
    query: Vec<(String, String)>,
    known: Vec<&'static str>,
}

/// A host, and its port if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// The name. An IPv6 address has no brackets.
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
}

/// Leaves out what may be a secret.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Misconfigured {
    Misconfigured::new("url", message)
}

/// Builds the error for a URL with an unknown scheme. A text without a scheme may be anything, and
/// is not quoted.
pub(crate) fn not<'a>(
    expected: &str,
    text: &Secret,
    known: impl IntoIterator<Item = &'a str>,
) -> Misconfigured {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let scheme = text
        .expose()
        .split_once("://")
        .map_or("", |(scheme, _)| scheme)
        .to_ascii_lowercase();
    let known: Vec<_> = known.into_iter().collect();
    if scheme.is_empty() || !scheme.chars().all(is_scheme) || known.contains(&scheme.as_str()) {
        return wrong(expected.to_owned());
    }
    wrong(format!(
        "{expected}, not {scheme}://{}",
        hint(&scheme, known)
    ))
}

/// Returns the URL with this user and this password. The URL must not have its own.
#[cfg(any(feature = "config", feature = "fleet"))]
pub(crate) fn with_login(
    text: &Secret,
    username: Option<&str>,
    password: Option<&Secret>,
) -> Result<Secret, Misconfigured> {
    let key = if username.is_some() {
        "username"
    } else {
        "password"
    };
    let none = || {
        Misconfigured::new(
            key,
            "this URL is none that a login belongs to: leave it out",
        )
    };
    let (scheme, rest) = text.expose().split_once("://").ok_or_else(none)?;
    if scheme.starts_with("sqlite") || scheme == "memory" {
        return Err(none());
    }
    plain(text.expose())?;
    let (login, place) = match rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())].rfind('@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let (own_username, own_password) = login.split_once(':').unwrap_or((login, ""));
    let both = |key| Misconfigured::new(key, "the URL has one as well: leave one out");
    let username = match username {
        Some(_) if !own_username.is_empty() => return Err(both("username")),
        Some(username) => encode(username),
        None => own_username.to_owned(),
    };
    let password = match password {
        Some(_) if !own_password.is_empty() => return Err(both("password")),
        Some(password) => format!(":{}", encode(password.expose())),
        None if own_password.is_empty() => String::new(),
        None => format!(":{own_password}"),
    };
    Ok(format!("{scheme}://{username}{password}@{place}").into())
}

impl Url {
    /// Parses a URL. `expected` is the message for a text that is not a URL.
    pub(crate) fn parse(url: &Secret, expected: &'static str) -> Result<Self, Misconfigured> {
        let text = url.expose();
        plain(text)?;
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(expected))?;
        unambiguous(rest)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, places) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = match login.split_once(':') {
            Some((username, password)) => (username, Some(decode(password)?)),
            None => (login, None),
        };
        Ok(Self {
            text: url.clone(),
            scheme: scheme.to_ascii_lowercase(),
            username: Some(decode(username)?).filter(|name| !name.is_empty()),
            password,
            hosts: places
                .split(',')
                .map(Host::parse)
                .collect::<Result<_, _>>()?,
            path: decode(path)?,
            query: parameters(query)?,
            known: Vec::new(),
        })
    }

    /// Parses a URL that names a file and no host. The path follows the scheme, and a `//` if there
    /// is one.
    #[cfg(feature = "sqlite")]
    pub(crate) fn of_file(url: &Secret, expected: &'static str) -> Result<Self, Misconfigured> {
        let text = url.expose();
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong(expected))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Ok(Self {
            text: url.clone(),
            scheme: scheme.to_ascii_lowercase(),
            username: None,
            password: None,
            hosts: Vec::new(),
            path: decode(path.strip_prefix("//").unwrap_or(path))?,
            query: parameters(query)?,
            known: Vec::new(),
        })
    }

    /// Returns the scheme without the part after its `+`, which names the driver of another
    /// language's library.
    pub(crate) fn family(&self) -> &str {
        self.scheme.split('+').next().unwrap_or_default()
    }

    /// Returns the path without its first slash, or `None` if nothing is left.
    pub(crate) fn name(&self) -> Option<&str> {
        Some(self.path.strip_prefix('/').unwrap_or(&self.path)).filter(|path| !path.is_empty())
    }

    /// Returns the only host, or an error if there are several.
    pub(crate) fn host(&self) -> Result<&Host, Misconfigured> {
        match self.hosts.as_slice() {
            [host] => Ok(host),
            _ => Err(wrong("several hosts: write a check for each of them")),
        }
    }

    /// Refuses a user and a password that would be ignored.
    pub(crate) fn refuse_login(&self, who: &str) -> Result<(), Misconfigured> {
        if self.username.is_some() || self.password.is_some() {
            return Err(wrong(format!(
                "a user or a password, which {who} does not take: leave it out"
            )));
        }
        Ok(())
    }

    /// Takes the value of a parameter, by any of its names.
    pub(crate) fn take(&mut self, names: &[&'static str]) -> Result<Option<String>, Misconfigured> {
        self.known.extend(names);
        let mut found = None;
        while let Some(at) = self
            .query
            .iter()
            .position(|(name, _)| names.contains(&name.as_str()))
        {
            let (name, value) = self.query.remove(at);
            if found.replace(value).is_some() {
                return Err(wrong(format!(
                    "the parameter {name} is there twice, or under two names"
                )));
            }
        }
        Ok(found)
    }

    /// Takes a parameter that has one of these values, in upper or lower case. `-` stands for `_`.
    pub(crate) fn take_word<T: Copy>(
        &mut self,
        names: &[&'static str],
        words: &[(&str, T)],
    ) -> Result<Option<T>, Misconfigured> {
        let Some(value) = self.take(names)? else {
            return Ok(None);
        };
        let value = value.to_ascii_lowercase().replace('-', "_");
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return Ok(Some(*meaning));
        }
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let or = beside(names).map(|key| format!("; for another one write {key} beside the URL"));
        let names = names.join(" or ");
        let words = words.join(", ");
        let or = or.unwrap_or_default();
        Err(wrong(format!(
            "the parameter {names}: expected one of {words}{or}"
        )))
    }

    /// Takes a parameter that is a number.
    pub(crate) fn take_number<T: std::str::FromStr>(
        &mut self,
        names: &[&'static str],
    ) -> Result<Option<T>, Misconfigured> {
        let Some(value) = self.take(names)? else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            wrong(format!(
                "the parameter {}: expected a number",
                names.join(" or ")
            ))
        })
    }

    /// Takes the remaining parameters with this prefix and suffix, and returns them without either.
    /// Their names may be anything.
    pub(crate) fn take_named(&mut self, prefix: &str, suffix: &str) -> Vec<(String, String)> {
        let is_named = |name: &str| {
            name.strip_prefix(prefix)?
                .strip_suffix(suffix)
                .map(str::to_owned)
        };
        let (named, rest) = std::mem::take(&mut self.query)
            .into_iter()
            .partition(|(name, _)| is_named(name).is_some());
        self.query = rest;
        let named: Vec<(String, String)> = named;
        named
            .into_iter()
            .filter_map(|(name, value)| Some((is_named(&name)?, value)))
            .collect()
    }

    /// Refuses every parameter that was not taken, because it would be ignored.
    pub(crate) fn end(&self) -> Result<(), Misconfigured> {
        let Some((name, _)) = self.query.first() else {
            return Ok(());
        };
        if !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.[]".contains(c))
        {
            return Err(wrong(format!(
                "a parameter without a proper name; {ENCODE}"
            )));
        }
        if let Some(key) = beside(&[name.as_str()]) {
            return Err(wrong(format!(
                "the parameter {name} is not used here: write {key} beside the URL"
            )));
        }
        if TLS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(wrong(format!(
                "the parameter {name} is not used here: the scheme says it, such as rediss:// and amqps://"
            )));
        }
        let near = hint(name, self.known.iter().copied());
        let listed = match self.known.as_slice() {
            _ if !near.is_empty() => near,
            [] => "; there are none for this kind of URL".into(),
            known => format!("; the parameters are {}", known.join(", ")),
        };
        Err(wrong(format!(
            "the parameter {name} is unknown, and would be ignored{listed}"
        )))
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, Misconfigured> {
        let (name, port) = match text.strip_prefix('[') {
            Some(text) => {
                let (name, rest) = text
                    .split_once(']')
                    .ok_or_else(|| wrong("an IPv6 address without its ]"))?;
                let is_address = name
                    .split('%')
                    .next()
                    .is_some_and(|name| name.parse::<std::net::Ipv6Addr>().is_ok());
                if !is_address || !(rest.is_empty() || rest.starts_with(':')) {
                    return Err(wrong("what stands in [ ] is not an IPv6 address"));
                }
                (name, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(wrong(format!(
                        "too many colons: write an IPv6 address in [ ]; else {ENCODE}"
                    )));
                }
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None | Some("") => None,
            Some(port) => {
                let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
                let number = port.parse().ok().filter(|port| is_number && *port > 0);
                let or = if is_number {
                    String::new()
                } else {
                    format!("; else {ENCODE}")
                };
                Some(number.ok_or_else(|| {
                    wrong(format!("the port is not a number from 1 to 65535{or}"))
                })?)
            }
        };
        Ok(Self {
            name: decode(name)?,
            port,
        })
    }

    /// Returns the name, or `localhost` if it is empty.
    pub(crate) fn or_local(&self) -> &str {
        if self.name.is_empty() {
            "localhost"
        } else {
            &self.name
        }
    }
}

/// Returns the key beside the URL that means the same as one of these parameters.
fn beside(names: &[&str]) -> Option<&'static str> {
    KEYS.iter()
        .find(|(known, _)| names.iter().any(|name| known.contains(name)))
        .map(|(_, key)| *key)
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, Misconfigured> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(parameter)
        .collect()
}

fn parameter(pair: &str) -> Result<(String, String), Misconfigured> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decode(name)?, decode(&value.replace('+', " "))?))
}

/// Refuses characters that an env file or an editor has left in a URL.
pub(crate) fn plain(text: &str) -> Result<(), Misconfigured> {
    if text.starts_with(['"', '\'']) {
        return Err(wrong(
            "begins with a quotation mark, as env files of Docker keep them: leave the quotes out",
        ));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong(
            "white space in a URL: leave it out, or write it as %20",
        ));
    }
    Ok(())
}

fn unclear() -> Misconfigured {
    wrong(format!("not clear where its parts end; {ENCODE}"))
}

/// Refuses a URL that parsers split in different ways, because a part of a password could be taken
/// for a host.
fn unambiguous(rest: &str) -> Result<(), Misconfigured> {
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let signs = rest.matches('@').count();
    if signs > 1 || signs != authority.matches('@').count() {
        return Err(unclear());
    }
    no_fragment(rest)?;
    Ok(())
}

/// Returns the host of an HTTP URL. Its path and parameters may hold any text that could not be a
/// part of a password.
#[cfg(feature = "_http")]
pub(crate) fn of_http(rest: &str) -> Result<Host, Misconfigured> {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split('?').next().unwrap_or_default();
    let has_login = authority.contains('@');
    if authority.matches('@').count() > 1 || (has_login && path.contains('@')) {
        return Err(unclear());
    }
    no_fragment(rest)?;
    if authority
        .rsplit('@')
        .next()
        .is_some_and(|host| host.contains(','))
    {
        return Err(wrong("several hosts: write a check for each of them"));
    }
    let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    decode(login)?;
    Host::parse(host)
}

/// Refuses a fragment, because it would be ignored and may be the end of a password.
fn no_fragment(rest: &str) -> Result<(), Misconfigured> {
    match rest.split_once('#') {
        None => Ok(()),
        Some((before, _)) if before.contains(['/', '?']) && !before.contains('@') => Err(wrong(
            "a # and what stands behind it would be ignored: leave it out, or write it as %23",
        )),
        Some(_) => Err(unclear()),
    }
}

/// Encodes every character that could have a meaning in a URL.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Decodes a part of a URL. Refuses a `%` without two digits, which belongs to a password that is
/// not encoded.
fn decode(part: &str) -> Result<String, Misconfigured> {
    let is_code = |at: usize| {
        part.as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    };
    if part.match_indices('%').any(|(at, _)| !is_code(at)) {
        return Err(wrong(format!("a % without two digits; {ENCODE}")));
    }
    let text = percent_decode_str(part)
        .decode_utf8()
        .map_err(|_| wrong("not UTF-8 once it is decoded"))?;
    if text.contains('\0') {
        return Err(wrong("a zero byte (%00)"));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url, Misconfigured> {
        Url::parse(&text.into(), "expected a URL")
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_url_has_its_parts() {
        let mut url =
            parse("PG+x://us%40er:p%2Fw%3A@h1:1,[::1]:2,[fe80::1%25eth0],h2:/a%2Fb?a=1+2&b[c]=3&e")
                .unwrap();
        assert_eq!(url.scheme.as_str(), "pg+x");
        assert_eq!(url.family(), "pg");
        assert_eq!(url.username.as_deref(), Some("us@er"));
        assert_eq!(url.password.as_deref(), Some("p/w:"));
        let host = |name: &str, port| Host {
            name: name.into(),
            port,
        };
        let hosts = [
            host("h1", Some(1)),
            host("::1", Some(2)),
            host("fe80::1%eth0", None),
            host("h2", None),
        ];
        assert_eq!(url.hosts, hosts);
        assert_eq!(url.path.as_str(), "/a/b");
        assert_eq!(url.name(), Some("a/b"));
        assert_eq!(url.take(&["a"]).unwrap().as_deref(), Some("1 2"));
        assert_eq!(
            url.take_named("b[", "]"),
            [("c".to_owned(), "3".to_owned())]
        );
        assert_eq!(url.take(&["e", "f"]).unwrap().as_deref(), Some(""));
        url.end().unwrap();
        assert!(url.host().is_err());
        let url = parse("redis://").unwrap();
        assert_eq!(url.host().unwrap().or_local(), "localhost");
        assert_eq!(url.name(), None);
        assert_eq!(&url.username, &None);
    }

    #[test]
    fn a_password_is_never_taken_for_something_else() {
        for password in [
            "p@hunter2/w",
            "p/hunter2",
            "p?hunter2",
            "p#hunter2",
            "12/hunter2",
            "12?hunter2",
            "p%hunter2",
            "p:@hunter2",
        ] {
            for user in ["app", ""] {
                let message = refused(&format!("amqp://{user}:{password}@127.0.0.1:9/app"));
                assert!(message.contains("percent-encode"), "{password}: {message}");
                assert!(!message.contains("hunter2"), "{message}");
            }
        }
    }

    #[cfg(feature = "config")]
    #[test]
    fn a_login_beside_a_url_is_put_into_it() {
        let with = |url: &str, username: Option<&str>, password: Option<&str>| {
            let url = with_login(&url.into(), username, password.map(Secret::from).as_ref());
            url.map(|url| url.expose().to_owned())
                .map_err(|wrong| wrong.to_string())
        };
        assert_eq!(
            with("redis://h/1", None, Some("p@s/%")).unwrap(),
            "redis://:p%40s%2F%25@h/1"
        );
        assert_eq!(
            with("amqp://app@h1,h2?a=b", None, Some("x")).unwrap(),
            "amqp://app:x@h1,h2?a=b"
        );
        assert_eq!(
            with("smtp://h", Some("a@b"), Some("x")).unwrap(),
            "smtp://a%40b:x@h"
        );
        assert_eq!(
            with("redis://:x@h", Some("app"), None).unwrap(),
            "redis://app:x@h"
        );
        assert!(
            with("amqp://app:x@h", Some("app"), None)
                .unwrap_err()
                .starts_with("username: the URL has one")
        );
        assert!(
            with("amqp://app:x@h", None, Some("y"))
                .unwrap_err()
                .starts_with("password: the URL has one")
        );
        for url in ["sqlite://app.db", "memory://", "unix:/run/app.sock:/"] {
            assert!(
                with(url, None, Some("x"))
                    .unwrap_err()
                    .starts_with("password: this URL is none"),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (text, message) in [
            ("localhost:6379", "expected a URL"),
            ("\"redis://h\"", "quotation mark"),
            ("redis://h h", "white space"),
            ("redis://h:0", "from 1 to 65535"),
            ("redis://h:99999", "from 1 to 65535"),
            ("redis://::1", "write an IPv6 address in [ ]"),
            ("redis://[::1", "without its ]"),
            ("redis://[::1]x", "not an IPv6 address"),
            ("redis://h/%00", "zero byte"),
            ("redis://h/%ff", "not UTF-8"),
        ] {
            assert!(refused(text).contains(message), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn parameters_are_used_or_refused_by_name() {
        let refused = |text: &str| {
            let mut url = parse(text).unwrap();
            let taken = url.take(&["schema", "currentSchema"]).map(drop);
            let word = url.take_word(&["sslmode"], &[("require", 1)]).map(drop);
            taken
                .and(word)
                .and_then(|()| url.end())
                .unwrap_err()
                .to_string()
        };
        assert!(
            refused("x://h?shcema=hunter2")
                .contains("shcema is unknown, and would be ignored; did you mean \"schema\"?")
        );
        assert!(
            refused("x://h?schema=a&currentSchema=hunter2")
                .contains("currentSchema is there twice, or under two names")
        );
        assert!(refused("x://h?sslmode=hunter2").ends_with("sslmode: expected one of require"));
        assert!(refused("x://h?cacertfile=hunter2").contains("write ca_file beside the URL"));
        assert!(refused("x://h?a%20hunter2=1").contains("without a proper name"));
        for text in [
            "x://h?shcema=hunter2",
            "x://h?hunter%202",
            "x://h?sslmode=hunter2",
        ] {
            assert!(!refused(text).contains("hunter2"));
        }
    }
}
