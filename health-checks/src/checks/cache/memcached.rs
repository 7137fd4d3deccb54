use std::io::{Error, ErrorKind};
use std::time::Duration;

use health_core::{BoxCheck, FailureKind, Findings, HealthCheckException, Result, Secret, ServiceUnavailable};
use memcache_async::ascii::Protocol as Client;

use super::{EXPIRES_IN, Item, OwnCache};
use crate::kind::Misconfigured;
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::connection::net::{Address, Stream};
use crate::support::io;

const PORT: u16 = 11211;

/// A cache in memcached, by a connection of the check's own.
pub(super) fn own(url: &Secret, prefix: String) -> Result<BoxCheck, Misconfigured> {
    let address = address(url.expose()).ok_or_else(|| Misconfigured::new("url", "expected memcached://host:11211"))?;
    Ok(BoxCheck::new(OwnCache(Kept::new(OnMemcached { address, prefix }))))
}

fn address(url: &str) -> Option<Address> {
    let place = url.strip_prefix("memcached://")?.trim_end_matches('/');
    if place.is_empty() || place.contains(['/', '@', '?', ',']) {
        return None;
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (place, PORT),
    };
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    (!host.is_empty() && !is_bare_ipv6).then(|| Address::Tcp(host.to_owned(), port))
}

struct OnMemcached {
    address: Address,
    prefix: String,
}

impl Protocol for OnMemcached {
    type Connection = Client<Stream>;

    async fn open(&self) -> Result<Client<Stream>> {
        self.address.connect().await.map(Client::new).map_err(describe)
    }

    /// `add` and not `set`: the key is new in either case, and to `set` the client waits for no answer.
    async fn probe(&self, client: &mut Client<Stream>, _: &Findings) -> Result {
        let item = Item::new(&self.prefix);
        let seconds = u32::try_from(Duration::as_secs(&EXPIRES_IN)).unwrap_or(u32::MAX);
        client.add(&item.key, item.value.as_bytes(), seconds).await.map_err(describe)?;
        let found = get(client, &item.key).await?;
        client.delete(&item.key).await.map_err(describe)?;
        item.judge(&[found, get(client, &item.key).await?])
    }
}

async fn get(client: &mut Client<Stream>, key: &str) -> Result<Option<String>> {
    match client.get(key).await {
        Ok(data) => Ok(Some(String::from_utf8_lossy(&data).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(describe(error)),
    }
}

fn describe(error: Error) -> HealthCheckException {
    let text = error.to_string();
    let (kind, message) = match error.kind() {
        // The client makes these of the server's answers.
        ErrorKind::Other if text.contains("out of memory") => (FailureKind::Saturated, "memcached has no memory left"),
        ErrorKind::Other if text.contains("Too many open connections") => {
            (FailureKind::Saturated, "memcached takes no more connections")
        }
        ErrorKind::Other if text.contains("unauthenticated") => {
            (FailureKind::Authentication, "memcached wants a login, which this check does not have")
        }
        ErrorKind::Other if text.contains("ERROR") => (FailureKind::Other, "memcached refused the command"),
        ErrorKind::InvalidData => (FailureKind::UnexpectedAnswer, "the server does not speak memcached's protocol"),
        _ => io::failure(&error).unwrap_or((FailureKind::Lost, "connection lost")),
    };
    ServiceUnavailable::new(message).with_kind(kind).with_source(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |host: &str, port| Some(Address::Tcp(host.into(), port));
        assert_eq!(address("memcached://cache"), tcp("cache", 11211));
        assert_eq!(address("memcached://cache:11212/"), tcp("cache", 11212));
        assert_eq!(address("memcached://[::1]:11212"), tcp("[::1]", 11212));
        assert_eq!(address("memcached://[::1]"), tcp("[::1]", 11211));
        for url in
            ["memcached://", "memcached://a,b", "memcached://u@h", "memcached://h/0", "memcached://::1", "http://h"]
        {
            assert_eq!(address(url), None, "{url}");
        }
    }
}
