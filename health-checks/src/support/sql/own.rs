use std::future::Future;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use health_core::{FailureKind, Findings, Result, Secret, ServiceUnavailable};
use sqlx::{ConnectOptions as _, Connection};

use super::driver::Options;
use super::{Driver, Query, describe, failed};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::connection::kept::Protocol;
use crate::support::connection::net::first;

/// The share of the run's time that waiting for a lock may take. It is less than the share after
/// which the run gives up.
const SHARE_OF_LOCKS: f64 = 0.8;

/// The head start of a server that does not answer, before the next one is tried as well.
const HEAD_START: Duration = Duration::from_secs(1);

/// A connection of the check's own, and its query.
pub(crate) struct Own<DB: Driver, Q> {
    pub(super) servers: Servers<DB>,
    /// The TLS settings. `None` if the URL itself names the certificates to trust, or if there is
    /// no TLS.
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<crate::support::tls::Tls>,
    /// The file of the database, if the database is a file.
    pub(super) file: Option<PathBuf>,
    pub(super) query: Q,
}

/// The servers of a URL. If there are several, the first one that answers and has the role is used.
pub(crate) struct Servers<DB: Driver> {
    pub(super) all: Vec<Options<DB>>,
    pub(super) role: Option<Role>,
    /// The longest that connecting to one of them may take, if the URL sets a limit.
    pub(super) connect_timeout: Option<Duration>,
}

/// The role that a server must have: libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "other databases' URLs have no word for it")
)]
pub(crate) enum Role {
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby, or any server if there is no standby.
    PreferStandby,
}

impl Role {
    /// Returns `true` if the server need not accept writes.
    fn is_of_replica(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Standby | Self::PreferStandby)
    }
}

impl<DB: Driver> Servers<DB> {
    /// Returns `true` if the URL asks for a server that need not accept writes.
    pub(super) fn are_replicas(&self) -> bool {
        self.role.is_some_and(Role::is_of_replica)
    }

    pub(super) fn one(options: Options<DB>) -> Self {
        Self {
            all: vec![options],
            role: None,
            connect_timeout: None,
        }
    }
}

impl<DB: Driver> Clone for Servers<DB> {
    fn clone(&self) -> Self {
        Self {
            all: self.all.clone(),
            role: self.role,
            connect_timeout: self.connect_timeout,
        }
    }
}

/// An open connection.
pub(crate) struct Opened<C, M> {
    connection: C,
    memory: M,
    /// The identity of the open file, which differs from that of another file with the same name.
    file: Option<File>,
}

/// The identity of a file, whatever its name: device and inode, or the time of its creation on
/// other systems than Unix.
type File = (u64, u64, Option<SystemTime>);

impl<DB: Driver, Q: Query> Protocol for Own<DB, Q> {
    type Connection = Opened<DB::Connection, Q::Memory>;
    type Greeting = Q::Greeting;

    /// The settings conceal their URL.
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
    }

    async fn open(&self) -> Result<Self::Connection> {
        self.is_there().await?;
        let connection = match self.servers.role {
            Some(Role::PreferStandby) => match self.first(Some(Role::Standby)).await {
                Ok(connection) => connection,
                Err(_) => self.first(None).await?,
            },
            role => self.first(role).await?,
        };
        Ok(Opened {
            connection,
            memory: Q::Memory::default(),
            file: self.file().await,
        })
    }

    async fn greet(
        &self,
        opened: &mut Self::Connection,
        findings: &Findings,
    ) -> Probed<Q::Greeting> {
        if opened.file.is_some() && self.file().await != opened.file {
            let message = "the database file is another one than before";
            let error = ServiceUnavailable::new(message).with_kind(FailureKind::Lost);
            return Err(ProbeError::broken(error));
        }
        // With this limit, a lock that is held for long is reported as such.
        let time = findings
            .time_left()
            .min(Duration::from_hours(1))
            .mul_f64(SHARE_OF_LOCKS);
        DB::set_lock_timeout(&mut opened.connection, time)
            .await
            .map_err(failed)?;
        self.query
            .greet::<DB>(&mut opened.connection, &mut opened.memory, findings)
            .await
    }

    async fn probe(
        &self,
        opened: &mut Self::Connection,
        greeting: Q::Greeting,
        findings: &Findings,
    ) -> Probed {
        self.query
            .ask::<DB>(&mut opened.connection, greeting, findings)
            .await
    }

    async fn close(opened: Self::Connection) {
        let _ = opened.connection.close().await; // the connection is not needed any more
    }
}

impl<DB: Driver, Q> Own<DB, Q> {
    /// Connects to the first of the servers that has this role. Each server has a head start before
    /// the next one.
    async fn first(&self, role: Option<Role>) -> Result<DB::Connection> {
        let attempt = |options: &Options<DB>| {
            let options = options.clone();
            #[cfg(feature = "_tls")]
            let options = match &self.tls {
                Some(tls) => DB::over(options, tls)?,
                None => options,
            };
            Ok(connect::<DB>(options, role))
        };
        let connect_timeout = self.servers.connect_timeout;
        if let ([options], None) = (self.servers.all.as_slice(), connect_timeout) {
            return attempt(options)?.await;
        }
        let attempts: Result<Vec<_>> = self.servers.all.iter().map(attempt).collect();
        let bounded = |attempt| async move {
            match tokio::time::timeout(
                connect_timeout.unwrap_or(Duration::MAX),
                finished::<DB>(attempt),
            )
            .await
            {
                Ok(connected) => connected,
                Err(_) => Err(ServiceUnavailable::new("timed out")
                    .with_kind(FailureKind::TimedOut)
                    .into()),
            }
        };
        first(attempts?.into_iter().map(bounded), HEAD_START).await
    }

    /// Returns an error if the file is missing. The database's own message does not name the file.
    async fn is_there(&self) -> Result {
        let Some(path) = &self.file else {
            return Ok(());
        };
        match tokio::fs::metadata(path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let cause = Error::new(ErrorKind::NotFound, format!("{}: {error}", abridged(path)));
                let error = ServiceUnavailable::new("the database file does not exist");
                Err(error
                    .with_kind(FailureKind::NotFound)
                    .with_source(cause)
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// Returns the identity of the file that has the database's name now.
    async fn file(&self) -> Option<File> {
        identify(&tokio::fs::metadata(self.file.as_ref()?).await.ok()?)
    }
}

/// Shortens a path to its last name, and shows whether it is absolute. The parts between may be a
/// secret, as any part of a URL may.
fn abridged(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_direct = path
        .parent()
        .is_none_or(|parent| parent.as_os_str().is_empty() || parent.parent().is_none());
    let start = if path.is_absolute() { "/" } else { "./" };
    let between = if is_direct { "" } else { ".../" };
    let of = if path.is_absolute() {
        "an absolute path"
    } else {
        "from the current folder"
    };
    format!("{start}{between}{name} ({of})")
}

/// Connects to one server, which must have this role.
async fn connect<DB: Driver>(options: Options<DB>, role: Option<Role>) -> Result<DB::Connection> {
    // The future with which a driver connects is large.
    let mut connection = Box::pin(options.connect()).await.map_err(describe)?;
    let Some(role) = role else {
        return Ok(connection);
    };
    match plays::<DB>(&mut connection, role).await.map_err(describe) {
        Ok(true) => Ok(connection),
        other => {
            let _ = connection.close().await; // the server has another role
            other?;
            let error = ServiceUnavailable::new(
                "no server of the URL is what target_session_attrs asks for",
            );
            Err(error.with_kind(FailureKind::ReadOnly).into())
        }
    }
}

async fn plays<DB: Driver>(connection: &mut DB::Connection, role: Role) -> sqlx::Result<bool> {
    let (sql, is_wanted) = match role {
        Role::ReadWrite => ("SHOW transaction_read_only", false),
        Role::ReadOnly => ("SHOW transaction_read_only", true),
        Role::Primary => ("SELECT pg_is_in_recovery()", false),
        Role::Standby | Role::PreferStandby => ("SELECT pg_is_in_recovery()", true),
    };
    let answer = DB::value(connection, sql.to_owned()).await?;
    Ok(DB::takes_writes(answer.as_deref()) != is_wanted)
}

/// Runs `connect` in a task of its own, which closes a connection that is no longer wanted: servers
/// count handshakes that are dropped.
async fn finished<DB: Driver>(
    connect: impl Future<Output = Result<DB::Connection>> + Send + 'static,
) -> Result<DB::Connection> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        if let Err(Ok(unwanted)) = sender.send(connect.await) {
            let _ = unwanted.close().await; // another server was faster
        }
    });
    let lost = || {
        Err(ServiceUnavailable::new("connection lost")
            .with_kind(FailureKind::Lost)
            .into())
    };
    receiver.await.unwrap_or_else(|_| lost())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "it is not known elsewhere")]
fn identify(file: &std::fs::Metadata) -> Option<File> {
    use std::os::unix::fs::MetadataExt as _;
    Some((file.dev(), file.ino(), None))
}

#[cfg(not(unix))]
fn identify(file: &std::fs::Metadata) -> Option<File> {
    Some((0, 0, Some(file.created().ok()?)))
}
