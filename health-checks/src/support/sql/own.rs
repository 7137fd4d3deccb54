use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use health_core::{FailureKind, Findings, Result, ServiceUnavailable};
use sqlx::{ConnectOptions as _, Connection};

use super::driver::Options;
use super::{Driver, Query, describe};
use crate::support::connection::kept::Protocol;

/// A lock of the database may take this share of the run's time, less than a kept connection may.
const SHARE_OF_LOCKS: f64 = 0.4;

/// A connection of the check's own, and what it is asked.
pub(crate) struct Own<DB: Driver, Q> {
    pub(super) options: Options<DB>,
    /// The settings of TLS; `None` where the URL itself says so, or there is none.
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<crate::support::tls::Tls>,
    /// The file of the database, where it is one.
    pub(super) file: Option<PathBuf>,
    pub(super) query: Q,
}

/// An open connection.
pub(crate) struct Opened<C> {
    connection: C,
    /// The file that is open, by what tells it from another one of its name.
    file: Option<File>,
}

/// A file, whatever its name: device and inode; elsewhere when it was made.
type File = (u64, u64, Option<SystemTime>);

impl<DB: Driver, Q: Query> Protocol for Own<DB, Q> {
    type Connection = Opened<DB::Connection>;

    async fn open(&self) -> Result<Self::Connection> {
        // Drivers' futures for connecting are large.
        let options = self.options.clone();
        #[cfg(feature = "_tls")]
        let options = match &self.tls {
            Some(tls) => DB::over(options, tls)?,
            None => options,
        };
        let connection = Box::pin(options.connect()).await.map_err(describe)?;
        Ok(Opened { connection, file: self.file().await })
    }

    async fn probe(&self, opened: &mut Self::Connection, findings: &Findings) -> Result {
        if opened.file.is_some() && self.file().await != opened.file {
            let message = "the database file is another one than before";
            return Err(ServiceUnavailable::new(message).with_kind(FailureKind::Lost).into());
        }
        // So that a lock that is held for long is told as such.
        let time = findings.time_left().min(Duration::from_hours(1)).mul_f64(SHARE_OF_LOCKS);
        DB::set_patience(&mut opened.connection, time).await.map_err(describe)?;
        self.query.ask::<DB>(&mut opened.connection, findings).await
    }

    async fn close(opened: Self::Connection) {
        let _ = opened.connection.close().await; // it has served its purpose
    }
}

impl<DB: Driver, Q> Own<DB, Q> {
    /// The file that is there under the database's name.
    async fn file(&self) -> Option<File> {
        identify(&tokio::fs::metadata(self.file.as_ref()?).await.ok()?)
    }
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
