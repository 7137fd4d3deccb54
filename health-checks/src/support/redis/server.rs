use std::fmt;
use std::sync::Arc;

use health_core::{FailureKind, Result, Secret, ServiceUnavailable};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};
use tokio::task::AbortHandle;

use super::{describe, not_reached};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::net::{Address, tcp};
use crate::support::tls::Tls;

/// The port of a sentinel that names none.
const SENTINEL: u16 = 26379;

/// Where Redis is, and who asks.
#[derive(Clone)]
pub(crate) struct Server {
    route: Arc<Route>,
    settings: RedisConnectionInfo,
    /// `None` where the URL does not use it.
    tls: Option<Tls>,
}

enum Route {
    Direct(Address),
    /// The sentinels know where the master of this name is.
    Sentinels {
        sentinels: Vec<(String, u16)>,
        settings: RedisConnectionInfo,
        master: String,
    },
}

/// Without addresses and passwords.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("database", &self.settings.db()).finish_non_exhaustive()
    }
}

/// A connection that is logged in; what drives it ends with its last clone.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: MultiplexedConnection,
    _driver: Arc<Driver>,
}

struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// `redis://`, `rediss://`, `redis+unix://`, and `redis+sentinel://[user:password@]host[:26379][,host..]/master[/database]`.
    pub(crate) fn from_url(url: &Secret) -> Option<Self> {
        let (scheme, rest) = url.expose().split_once("://")?;
        if let Some(scheme) = scheme.strip_suffix("+sentinel") {
            return Self::behind_sentinels(scheme == "rediss", rest);
        }
        let info = url.expose().into_connection_info().ok()?;
        let (address, is_tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (Address::Tcp(host.clone(), *port), false),
            ConnectionAddr::TcpTls { host, port, insecure: false, .. } => (Address::Tcp(host.clone(), *port), true),
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => (Address::Unix(path.clone()), false),
            _ => return None,
        };
        Some(Self {
            route: Arc::new(Route::Direct(address)),
            settings: info.redis_settings().clone(),
            tls: is_tls.then(Tls::default),
        })
    }

    fn behind_sentinels(is_tls: bool, rest: &str) -> Option<Self> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/')?;
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let (master, database) =
            path.trim_end_matches('/').split_once('/').unwrap_or((path.trim_end_matches('/'), "0"));
        // What the client reads of a URL with one host is read by the client.
        let read = |login: &str, database: &str| {
            let url = format!("redis://{login}{}localhost/{database}", if login.is_empty() { "" } else { "@" });
            Some(url.as_str().into_connection_info().ok()?.redis_settings().clone())
        };
        let mut sentinel_login = String::new();
        if !query.is_empty() {
            sentinel_login =
                format!(":{}", query.strip_prefix("sentinel_password=").filter(|rest| !rest.contains('&'))?);
        }
        let sentinels: Option<Vec<_>> = hosts.split(',').map(host_and_port).collect();
        let route = Route::Sentinels {
            sentinels: sentinels?,
            settings: read(&sentinel_login, "0")?,
            master: Some(master).filter(|master| !master.is_empty())?.to_owned(),
        };
        Some(Self { route: Arc::new(route), settings: read(login, database)?, tls: is_tls.then(Tls::default) })
    }

    /// Speaks TLS in this way, which the URL has to ask for.
    pub(crate) fn over(mut self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        settings.needs(self.tls.is_some())?;
        if let Some(tls) = &mut self.tls {
            *tls = settings.into();
        }
        Ok(self)
    }

    pub(crate) fn database(&self) -> i64 {
        self.settings.db()
    }

    /// Connects and logs in.
    pub(crate) async fn open(&self) -> Result<Connection> {
        match &*self.route {
            Route::Direct(address) => self.open_at(address).await,
            Route::Sentinels { sentinels, settings, master } => {
                let (host, port) = self.ask_sentinels(sentinels, settings, master).await?;
                self.open_at(&Address::Tcp(host, port)).await
            }
        }
    }

    /// The same at another node of the cluster that an answer names: `host:port`, or `:port` for the node that was asked.
    pub(crate) async fn open_moved(&self, node: &str) -> Result<Connection> {
        let lost = || ServiceUnavailable::new("Redis: the key is on another node of the cluster");
        let (host, port) = node.rsplit_once(':').ok_or_else(lost)?;
        let port = port.parse().map_err(|_| lost())?;
        let host = match &*self.route {
            Route::Direct(Address::Tcp(own, _)) if host.is_empty() => own,
            _ => host,
        };
        self.open_at(&Address::Tcp(host.to_owned(), port)).await
    }

    async fn open_at(&self, address: &Address) -> Result<Connection> {
        connect(address, self.tls.as_ref(), &self.settings).await
    }

    /// The address of the master, by the first sentinel that knows it.
    async fn ask_sentinels(
        &self,
        sentinels: &[(String, u16)],
        settings: &RedisConnectionInfo,
        master: &str,
    ) -> Result<(String, u16)> {
        let mut failed = None;
        for (host, port) in sentinels {
            let ask = async {
                let mut connection = connect(&Address::Tcp(host.clone(), *port), self.tls.as_ref(), settings).await?;
                let mut command = redis::cmd("SENTINEL");
                command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
                let found: Option<(String, u16)> =
                    command.query_async(&mut connection.client).await.map_err(describe)?;
                found.ok_or_else(|| {
                    let message = "the sentinels know no master of this name";
                    ServiceUnavailable::new(message).with_kind(FailureKind::NotFound).into()
                })
            };
            // A sentinel that does not answer must not take the time of the others.
            match tokio::time::timeout(SENTINEL_TIME, ask).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        Err(failed
            .unwrap_or_else(|| ServiceUnavailable::new("no sentinel answers").with_kind(FailureKind::TimedOut).into()))
    }
}

/// The longest that one sentinel may take.
const SENTINEL_TIME: std::time::Duration = std::time::Duration::from_secs(1);

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (text, SENTINEL),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

async fn connect(address: &Address, tls: Option<&Tls>, settings: &RedisConnectionInfo) -> Result<Connection> {
    let stream = match (address, tls) {
        (Address::Tcp(host, port), Some(tls)) => {
            let stream = tcp(host, *port).await.map_err(not_reached)?;
            tls.connect(stream, host, not_reached).await?
        }
        (address, _) => address.connect().await.map_err(not_reached)?,
    };
    // What a command may take is up to the run.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    // The database is chosen below: the client would forget the code of what the server says to that.
    let login = settings.clone().set_db(0);
    let connected: Result<_, RedisError> = MultiplexedConnection::new_with_config(&login, stream, config).await;
    let (client, driver) = connected.map_err(describe)?;
    let mut connection = Connection { client, _driver: Arc::new(Driver(tokio::spawn(driver).abort_handle())) };
    if settings.db() != 0 {
        redis::cmd("SELECT").arg(settings.db()).exec_async(&mut connection.client).await.map_err(describe)?;
    }
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_read_with_their_master() {
        let server = Server::from_url(&"redis+sentinel://app:s%40cret@s1,s2:26380,[::1]:26381/shop/3".into()).unwrap();
        assert_eq!((server.settings.username(), server.settings.password()), (Some("app"), Some("s@cret")));
        assert_eq!((server.settings.db(), server.tls.is_some()), (3, false));
        let Route::Sentinels { sentinels, settings, master } = &*server.route else { panic!("sentinels") };
        assert_eq!(master, "shop");
        assert_eq!(settings.password(), None);
        let expected = [("s1", 26379), ("s2", 26380), ("[::1]", 26381)].map(|(host, port)| (host.to_owned(), port));
        assert_eq!(sentinels[..], expected);
        let with_password = Server::from_url(&"rediss+sentinel://s1/shop?sentinel_password=x".into()).unwrap();
        let Route::Sentinels { settings, .. } = &*with_password.route else { panic!("sentinels") };
        assert_eq!((settings.password(), with_password.tls.is_some()), (Some("x"), true));
        for url in
            ["redis+sentinel://s1", "redis+sentinel://s1/", "redis+sentinel:///shop", "redis+sentinel://s1/shop?x=1"]
        {
            assert!(Server::from_url(&url.into()).is_none(), "{url}");
        }
    }
}
