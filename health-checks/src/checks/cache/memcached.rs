use std::io::{Error, ErrorKind};
use std::time::Duration;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheckException, Result, Secret, ServiceUnavailable,
};
use memcache_async::ascii::Protocol as Client;

use super::{EXPIRES_IN, Item, OwnCache};
use crate::kind::Misconfigured;
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::{Kept, Protocol};
use crate::support::connection::net::{Address, Stream};
use crate::support::io;
use crate::support::url::Url;

const PORT: u16 = 11211;

/// Creates a check of a cache in memcached, through a connection of the check's own.
pub(super) fn own(url: &Secret, prefix: String) -> Result<BoxCheck, Misconfigured> {
    let address = address(url)?;
    Ok(BoxCheck::new(OwnCache(Kept::new(OnMemcached {
        address,
        prefix,
    }))))
}

/// Parses `memcached://host[:11211]` or `memcached:///path/of/socket`.
fn address(text: &Secret) -> Result<Address, Misconfigured> {
    let url = Url::parse(text, "expected memcached://host:11211")?;
    let host = url.host()?;
    url.refuse_login("memcached")?;
    url.end()?;
    if host.name.is_empty() && url.path.len() > 1 {
        #[cfg(unix)]
        return Ok(Address::Unix(url.path.into()));
        #[cfg(not(unix))]
        return Err(Misconfigured::new(
            "url",
            "there are no Unix sockets on this system",
        ));
    }
    match url.name() {
        None if host.name.is_empty() => Err(Misconfigured::new(
            "url",
            "names no host: expected memcached://host:11211",
        )),
        None => Ok(Address::Tcp(host.name.clone(), host.port.unwrap_or(PORT))),
        Some(_) => Err(Misconfigured::new(
            "url",
            "a path, which memcached does not have: leave it out",
        )),
    }
}

struct OnMemcached {
    address: Address,
    prefix: String,
}

impl Protocol for OnMemcached {
    type Connection = Client<Stream>;
    /// The key and the value of the run.
    type Greeting = Item;

    /// A URL of memcached has no login.
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
    }

    async fn open(&self) -> Result<Client<Stream>> {
        self.address
            .connect()
            .await
            .map(Client::new)
            .map_err(describe)
    }

    /// Gets the key, which is new. Proxies know fewer commands than memcached, but all know `get`.
    async fn greet(&self, client: &mut Client<Stream>, _: &Findings) -> Probed<Item> {
        let item = Item::new(&self.prefix);
        get(client, &item.key).await.map_err(failed)?;
        Ok(item)
    }

    /// Uses `add` in place of `set`. The key is new in either case, but the client does not wait
    /// for the response to `set`.
    async fn probe(&self, client: &mut Client<Stream>, item: Item, _: &Findings) -> Probed {
        let seconds = u32::try_from(Duration::as_secs(&EXPIRES_IN)).unwrap_or(u32::MAX);
        client
            .add(&item.key, item.value.as_bytes(), seconds)
            .await
            .map_err(failed)?;
        let found = get(client, &item.key).await.map_err(failed)?;
        client.delete(&item.key).await.map_err(failed)?;
        let left = get(client, &item.key).await.map_err(failed)?;
        item.judge(&[found, left]).map_err(ProbeError::Answered)
    }
}

async fn get(client: &mut Client<Stream>, key: &str) -> Result<Option<String>, Error> {
    match client.get(key).await {
        Ok(data) => Ok(Some(String::from_utf8_lossy(&data).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Converts an error to that of a probe. The client builds an error of kind `Other` from a response
/// of the server, which closes a connection that it does not take.
fn failed(error: Error) -> ProbeError {
    let text = error.to_string();
    let is_answer = error.kind() == ErrorKind::Other
        && text.contains("ERROR")
        && !text.contains("Too many open connections");
    ProbeError::new(is_answer, describe(error))
}

fn describe(error: Error) -> HealthCheckException {
    let text = error.to_string();
    let (kind, message) = match error.kind() {
        // The client builds these errors from responses of the server.
        ErrorKind::Other if text.contains("out of memory") => {
            (FailureKind::Saturated, "memcached has no memory left")
        }
        ErrorKind::Other if text.contains("Too many open connections") => (
            FailureKind::Saturated,
            "memcached takes no more connections",
        ),
        ErrorKind::Other if text.contains("unauthenticated") => (
            FailureKind::Authentication,
            "memcached wants a login, which this check does not have",
        ),
        ErrorKind::Other if text.contains("ERROR") => {
            (FailureKind::Other, "memcached refused the command")
        }
        ErrorKind::InvalidData => (
            FailureKind::UnexpectedAnswer,
            "the server does not speak memcached's protocol",
        ),
        _ => io::failure(&error).unwrap_or((FailureKind::Lost, "connection lost")),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let read = |url: &str| address(&url.into()).map_err(|error| error.to_string());
        let tcp = |host: &str, port| Ok(Address::Tcp(host.into(), port));
        assert_eq!(read("memcached://cache"), tcp("cache", 11211));
        assert_eq!(read("memcached://cache:11212/"), tcp("cache", 11212));
        assert_eq!(read("memcached://[::1]:11212"), tcp("::1", 11212));
        assert_eq!(read("memcached://[::1]"), tcp("::1", 11211));
        #[cfg(unix)]
        assert_eq!(
            read("memcached:///run/memcached.sock"),
            Ok(Address::Unix("/run/memcached.sock".into()))
        );
        for (url, message) in [
            ("memcached://", "names no host"),
            ("memcached:///", "names no host"),
            ("memcached://a,b", "several hosts: write a check for each"),
            ("memcached://u@h", "a user or a password"),
            ("memcached://h/0", "a path"),
            ("memcached://::1", "write an IPv6 address in [ ]"),
            ("memcached://h?a=b", "the parameter a is unknown"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(message), "{url}: {error}");
        }
    }
}
