use std::fmt;
use std::sync::Arc;

use health_core::{FailureKind, Result, Secret, ServiceUnavailable};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use tokio::task::AbortHandle;

use super::{describe, failed, not_reached, url};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::net::{Address, tcp};
use crate::support::tls::Tls;

/// The address of a Redis server, and the login.
#[derive(Clone)]
pub(crate) struct Server {
    pub(super) url: Secret,
    pub(super) route: Arc<Route>,
    pub(super) settings: RedisConnectionInfo,
    /// `None` if the URL does not use TLS.
    pub(super) tls: Option<Tls>,
}

pub(super) enum Route {
    Direct(Address),
    /// The sentinels that know the address of the master with this name.
    Sentinels {
        sentinels: Vec<(String, u16)>,
        settings: RedisConnectionInfo,
        master: String,
    },
}

/// Leaves out addresses and passwords.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("database", &self.settings.db())
            .finish_non_exhaustive()
    }
}

/// A connection that is logged in. Its driver ends with the last clone.
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
    /// Parses the URL of a Redis server: see [`url::read`](super::url::read).
    pub(crate) fn from_url(text: &Secret) -> Result<Self, Misconfigured> {
        url::read(text)
    }

    /// Uses these TLS settings. Returns an error if the URL does not use TLS.
    pub(crate) fn over(mut self, settings: TlsSettings) -> Result<Self, Misconfigured> {
        settings.needs(self.tls.is_some())?;
        if let Some(tls) = &mut self.tls {
            *tls = settings.into();
        }
        Ok(self)
    }

    /// Returns the URL, which no error may show.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        vec![self.url.clone()]
    }

    pub(crate) fn database(&self) -> i64 {
        self.settings.db()
    }

    /// Connects and logs in.
    pub(crate) async fn open(&self) -> Result<Connection> {
        match &*self.route {
            Route::Direct(address) => self.open_at(address).await,
            Route::Sentinels {
                sentinels,
                settings,
                master,
            } => {
                let (host, port) = self.ask_sentinels(sentinels, settings, master).await?;
                self.open_at(&Address::Tcp(host, port)).await
            }
        }
    }

    /// Replaces a connection by one to the node of the cluster that an error redirects to. Returns
    /// any other error as it is.
    pub(crate) async fn follow(&self, connection: &mut Connection, error: RedisError) -> Probed {
        let Some((node, _)) = error.redirect_node() else {
            return Err(failed(error));
        };
        // If the other node can't be reached, the connection to this one still works.
        let moved = self.open_moved(node).await;
        *connection = moved.map_err(ProbeError::Answered)?;
        Ok(())
    }

    /// Connects to another node of the cluster that a response names: `host:port`, or `:port` for
    /// the host of this server.
    async fn open_moved(&self, node: &str) -> Result<Connection> {
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

    /// Returns the address of the master, from the first sentinel that knows it.
    async fn ask_sentinels(
        &self,
        sentinels: &[(String, u16)],
        settings: &RedisConnectionInfo,
        master: &str,
    ) -> Result<(String, u16)> {
        let mut failed = None;
        for (host, port) in sentinels {
            let ask = async {
                let mut connection = connect(
                    &Address::Tcp(host.clone(), *port),
                    self.tls.as_ref(),
                    settings,
                )
                .await?;
                let mut command = redis::cmd("SENTINEL");
                command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
                let found: Option<(String, u16)> = command
                    .query_async(&mut connection.client)
                    .await
                    .map_err(describe)?;
                found.ok_or_else(|| {
                    let message = "the sentinels know no master of this name";
                    ServiceUnavailable::new(message)
                        .with_kind(FailureKind::NotFound)
                        .into()
                })
            };
            // A sentinel that does not answer must not take the time of the others.
            match tokio::time::timeout(SENTINEL_TIME, ask).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        Err(failed.unwrap_or_else(|| {
            ServiceUnavailable::new("no sentinel answers")
                .with_kind(FailureKind::TimedOut)
                .into()
        }))
    }
}

/// The longest that one sentinel may take.
const SENTINEL_TIME: std::time::Duration = std::time::Duration::from_secs(1);

async fn connect(
    address: &Address,
    tls: Option<&Tls>,
    settings: &RedisConnectionInfo,
) -> Result<Connection> {
    let stream = match (address, tls) {
        (Address::Tcp(host, port), Some(tls)) => {
            let stream = tcp(host, *port).await.map_err(not_reached)?;
            tls.connect(stream, host, &[], not_reached).await?
        }
        (address, _) => address.connect().await.map_err(not_reached)?,
    };
    // The run limits the time that a command may take.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    // The database is selected below, because the client would drop the code of the server's
    // response.
    let login = settings.clone().set_db(0);
    let connected: Result<_, RedisError> =
        MultiplexedConnection::new_with_config(&login, stream, config).await;
    let (client, driver) = connected.map_err(describe)?;
    let mut connection = Connection {
        client,
        _driver: Arc::new(Driver(tokio::spawn(driver).abort_handle())),
    };
    if settings.db() != 0 {
        redis::cmd("SELECT")
            .arg(settings.db())
            .exec_async(&mut connection.client)
            .await
            .map_err(describe)?;
    }
    Ok(connection)
}
