//! The URL of a Redis server, as clients of Rust and Python, Celery and hosting providers write it.

use std::sync::Arc;

use health_core::Secret;
use redis::{ProtocolVersion, RedisConnectionInfo};

use super::EXPECTED;
use super::server::{Route, Server};
use crate::kind::Misconfigured;
use crate::support::connection::net::Address;
use crate::support::tls::Tls;
use crate::support::url::{self, Host, Url};

const PORT: u16 = 6379;

/// The default port of a sentinel.
const SENTINEL: u16 = 26379;

/// The schemes over TCP, each with `true` if it uses TLS.
const TCP: [(&str, bool); 4] = [
    ("redis", false),
    ("rediss", true),
    ("valkey", false),
    ("valkeys", true),
];

const SOCKETS: [&str; 4] = ["redis+unix", "unix", "redis+socket", "valkey+unix"];

/// Parses the URL of a Redis server:
///
/// - `redis://[user:password@]host[:6379][/database]`, `rediss://` for TLS, `valkey://` and
///   `valkeys://`;
/// - `redis+unix:///path/of/socket?db=1`, which redis-py calls `unix://` and Celery
///   `redis+socket://`;
/// - `redis+sentinel://[user:password@]host[:26379][,host..]/master[/database]`,
///   `rediss+sentinel://` for TLS.
///
/// The parameters `db` of [redis-py](https://redis.readthedocs.io/en/stable/connections.html) and
/// `virtual_host` of Celery select the database as well.
pub(crate) fn read(text: &Secret) -> Result<Server, Misconfigured> {
    let mut url = Url::parse(text, EXPECTED)?;
    let scheme = url.scheme.clone();
    let tls = TCP
        .iter()
        .find(|(name, _)| *name == url.family())
        .is_some_and(|(_, is_tls)| *is_tls);
    let server = if TCP.iter().any(|(name, _)| *name == scheme) {
        let address = address(url.host()?, PORT);
        let path = url.path.clone();
        let settings = settings(&mut url, path.trim_matches('/'))?;
        Server {
            url: text.clone(),
            route: Arc::new(Route::Direct(address)),
            settings,
            tls: tls.then(Tls::default),
        }
    } else if TCP
        .iter()
        .any(|(name, _)| scheme.strip_suffix("+sentinel") == Some(name))
    {
        behind_sentinels(&mut url, tls)?
    } else if SOCKETS.contains(&scheme.as_str()) {
        socket(&mut url)?
    } else {
        return Err(other(text, &scheme));
    };
    if tls {
        url.take_word(
            &["ssl_cert_reqs"],
            &[("required", ()), ("cert_required", ())],
        )?;
    }
    url.end()?;
    Ok(server)
}

/// Builds the error for an unknown scheme, which suggests another one.
fn other(text: &Secret, scheme: &str) -> Misconfigured {
    let known = TCP
        .iter()
        .map(|(name, _)| *name)
        .chain(SOCKETS)
        .chain(["redis+sentinel", "rediss+sentinel"]);
    if scheme == "sentinel" {
        // Celery takes the name of the master from its transport options.
        let why = "sentinel:// does not name the master: write redis+sentinel://host1:26379,host2:26379/master/0";
        return Misconfigured::new("url", why);
    }
    url::not(EXPECTED, text, known)
}

fn address(host: &Host, port: u16) -> Address {
    Address::Tcp(host.or_local().to_owned(), host.port.unwrap_or(port))
}

/// Reads the login and the number of the database.
fn settings(url: &mut Url, path: &str) -> Result<RedisConnectionInfo, Misconfigured> {
    let expected = |what: &str| {
        Misconfigured::new("url", format!("{what}: expected the number of a database"))
    };
    let number = |text: &str| text.parse::<u32>().ok();
    let in_path = if path.is_empty() {
        None
    } else {
        Some(number(path).ok_or_else(|| expected("the path"))?)
    };
    let named = url.take(&["db", "virtual_host"])?;
    let named = named
        .map(|text| number(&text).ok_or_else(|| expected("the parameter db")))
        .transpose()?;
    if in_path.is_some() && named.is_some() && in_path != named {
        return Err(Misconfigured::new(
            "url",
            "the path and the parameter db name two databases: leave one out",
        ));
    }
    let protocol = url.take_word(
        &["protocol"],
        &[
            ("2", ProtocolVersion::RESP2),
            ("resp2", ProtocolVersion::RESP2),
            ("3", ProtocolVersion::RESP3),
            ("resp3", ProtocolVersion::RESP3),
        ],
    )?;
    let mut settings = RedisConnectionInfo::default().set_db(in_path.or(named).unwrap_or(0).into());
    if let Some(protocol) = protocol {
        settings = settings.set_protocol(protocol);
    }
    let username = url.username.as_ref();
    let password = url.password.as_ref();
    Ok(login(settings, username, password))
}

fn login(
    mut settings: RedisConnectionInfo,
    username: Option<&String>,
    password: Option<&String>,
) -> RedisConnectionInfo {
    if let Some(username) = username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    settings
}

#[cfg(unix)]
fn socket(url: &mut Url) -> Result<Server, Misconfigured> {
    let path = url.path.clone();
    if !url.host()?.name.is_empty() || path.trim_matches('/').is_empty() {
        return Err(Misconfigured::new(
            "url",
            format!(
                "expected the path of a socket: {}:///run/redis.sock",
                url.scheme
            ),
        ));
    }
    // The login may be in either place: redis-rs writes it into the query.
    url.username = url
        .take(&["user", "username"])?
        .or_else(|| url.username.take());
    url.password = url
        .take(&["pass", "password"])?
        .or_else(|| url.password.take());
    let settings = settings(url, "")?;
    Ok(Server {
        url: url.text.clone(),
        route: Arc::new(Route::Direct(Address::Unix(path.into()))),
        settings,
        tls: None,
    })
}

#[cfg(not(unix))]
fn socket(_: &mut Url) -> Result<Server, Misconfigured> {
    Err(Misconfigured::new(
        "url",
        "there are no Unix sockets on this system",
    ))
}

fn behind_sentinels(url: &mut Url, is_tls: bool) -> Result<Server, Misconfigured> {
    let path = url.path.trim_matches('/').to_owned();
    let (master, database) = path.split_once('/').unwrap_or((&path, ""));
    if master.is_empty() || url.hosts.iter().any(|host| host.name.is_empty()) {
        return Err(Misconfigured::new(
            "url",
            "expected redis+sentinel://host1:26379,host2:26379/master/0",
        ));
    }
    let username = url.take(&["sentinel_username"])?;
    let password = url.take(&["sentinel_password"])?;
    let route = Route::Sentinels {
        sentinels: url
            .hosts
            .iter()
            .map(|host| (host.name.clone(), host.port.unwrap_or(SENTINEL)))
            .collect(),
        settings: login(
            RedisConnectionInfo::default(),
            username.as_ref(),
            password.as_ref(),
        ),
        master: master.to_owned(),
    };
    Ok(Server {
        url: url.text.clone(),
        route: Arc::new(route),
        settings: settings(url, database)?,
        tls: is_tls.then(Tls::default),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_and_logins_of_all_dialects() {
        for (url, expected) in [
            ("redis://h", (None, None, 0)),
            ("redis://:s%40cret@h/3/", (None, Some("s@cret"), 3)),
            (
                "valkeys://app:x@h?db=3&ssl_cert_reqs=CERT_REQUIRED",
                (Some("app"), Some("x"), 3),
            ),
            (
                "redis+socket:///run/redis.sock?virtual_host=1",
                (None, None, 1),
            ),
            (
                "unix://app:x@/run/redis.sock?db=2",
                (Some("app"), Some("x"), 2),
            ),
            (
                "redis+unix:///run/redis.sock?user=app&pass=x&protocol=3",
                (Some("app"), Some("x"), 0),
            ),
        ] {
            let Server { settings, .. } = read(&url.into()).unwrap();
            assert_eq!(settings.username(), expected.0);
            assert_eq!(settings.password(), expected.1);
            assert_eq!(settings.db(), expected.2);
        }
        for (url, message) in [
            ("redis://h/app", "the path: expected the number"),
            ("redis://h/1?db=2", "two databases"),
            (
                "redis://h?decode_responses=true",
                "the parameter decode_responses is unknown",
            ),
            (
                "redis://h?ssl_cert_reqs=none",
                "write verify beside the URL",
            ),
            (
                "rediss://h?ssl_cert_reqs=none",
                "expected one of required, cert_required; for another one write verify",
            ),
            (
                "rediss://h?ssl_ca_certs=/ca.pem",
                "write ca_file beside the URL",
            ),
            ("redis://a,b", "several hosts"),
            ("redis+socket://h/run", "expected the path of a socket"),
            ("sentinel://a:26379", "sentinel:// does not name the master"),
            ("rdis://h", "not rdis://; did you mean \"redis\"?"),
        ] {
            let error = read(&url.into()).unwrap_err().to_string();
            assert!(error.contains(message), "{url}: {error}");
        }
    }

    #[test]
    fn sentinels_are_read_with_their_master() {
        let server =
            read(&"redis+sentinel://app:s%40cret@s1,s2:26380,[::1]:26381/shop/3".into()).unwrap();
        assert_eq!(server.settings.username(), Some("app"));
        assert_eq!(server.settings.password(), Some("s@cret"));
        assert_eq!(server.settings.db(), 3);
        assert!(server.tls.is_none());
        let Route::Sentinels {
            sentinels,
            settings,
            master,
        } = &*server.route
        else {
            panic!("sentinels")
        };
        assert_eq!(master, "shop");
        assert_eq!(settings.password(), None);
        let expected = [("s1", 26379), ("s2", 26380), ("::1", 26381)]
            .map(|(host, port)| (host.to_owned(), port));
        assert_eq!(sentinels[..], expected);
        let with_password = read(&"rediss+sentinel://s1/shop?sentinel_password=x".into()).unwrap();
        let Route::Sentinels { settings, .. } = &*with_password.route else {
            panic!("sentinels")
        };
        assert_eq!(settings.password(), Some("x"));
        assert!(with_password.tls.is_some());
        for url in [
            "redis+sentinel://s1",
            "redis+sentinel://s1/",
            "redis+sentinel:///shop",
            "redis+sentinel://s1/shop?x=1",
        ] {
            assert!(read(&url.into()).is_err(), "{url}");
        }
    }
}
