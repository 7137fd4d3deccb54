//! A fleet of replicas, which share their verdicts through Redis.
//!
//! ```
//! use health_checks::RedisFleet;
//! use health_core::{CheckExt, Health, check_fn};
//!
//! let fleet = RedisFleet::from_url("redis://cache.internal/0")?.name("shop-prod");
//! let stock = check_fn("stock", || async { Ok(()) });
//! let health = Health::builder()
//!     .fleet(fleet)
//!     .check(stock.shared("stock.internal"))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod redis;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use health_core::fleet::{Answer, Exchange, Fleet, sealed};
use health_core::{Result, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::redis::Link;
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::limit;

/// A fleet of replicas that share their verdicts through a Redis server. The server may be behind
/// sentinels, or a node of a cluster.
///
/// Pass it to [`HealthBuilder::fleet`](health_core::HealthBuilder::fleet). It keeps one connection
/// of its own, and sends one command per TTL. `docs/fleet.md` in the repository describes its
/// costs, the rights that it needs, and when not to use it.
pub struct RedisFleet {
    name: String,
    own: Duration,
    host: String,
    link: Link,
}

/// The characters of a name that are not encoded in a key. The braces of a hash tag are encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The default name of a fleet.
const NAME: &str = "default";

/// The default interval of a replica's own probes.
pub(crate) const OWN: Duration = Duration::from_mins(1);

impl RedisFleet {
    /// Creates a fleet on the Redis server of this URL:
    /// `redis://[user:password@]host[:6379][/database]`, `rediss://` for TLS, `redis+unix:///path`,
    /// or `redis+sentinel://host,host2/master/0`.
    ///
    /// # Errors
    /// Returns an error if the URL is not a valid URL of Redis, or has a parameter that would be
    /// ignored.
    pub fn from_url(url: impl Into<Secret>) -> Result<Self, Misconfigured> {
        let link = Link::new(url.into());
        link.validate()?;
        let mut fleet = Self {
            name: String::new(),
            own: OWN,
            host: limit::host(),
            link,
        };
        fleet.set_name(NAME);
        Ok(fleet)
    }

    /// Sets the name. Replicas with the same name share their verdicts, so services and
    /// environments that use the same Redis need different names. The name is part of every key. It
    /// has 1 to 100 characters, or the build of the health fails. *Default*: `default`.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.set_name(name);
        self
    }

    fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.link.tag = utf8_percent_encode(name, PLAIN).to_string();
    }

    /// Sets the interval at which each replica probes for itself, even while the others share their
    /// verdicts. A replica whose own network fails notices it after this time at the latest. It is
    /// at least 1 s, or the build of the health fails. *Default*: 60 s.
    #[must_use]
    pub fn own(self, own: Duration) -> Self {
        Self { own, ..self }
    }

    /// Logs in as this user, with the password in this file, which is read for each new connection.
    /// The URL must not have a user or a password.
    ///
    /// # Errors
    /// Returns an error if the URL has a password or a user as well.
    pub fn password_file(
        mut self,
        username: Option<String>,
        path: impl Into<PathBuf>,
    ) -> Result<Self, Misconfigured> {
        self.link.password = Some((username, path.into()));
        self.link.validate()?;
        Ok(self)
    }

    /// Sets the TLS settings. *Default*: trusts the certificates of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        self.link.tls = tls;
        self.link.validate()?;
        Ok(self)
    }
}

impl Fleet for RedisFleet {
    fn name(&self) -> &str {
        &self.name
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn own(&self) -> Duration {
        self.own
    }

    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async {
            let answer = self.link.exchange(exchange).await;
            answer.map_err(|error| error.conceal(&self.link.secrets()))
        })
    }
}

impl sealed::Sealed for RedisFleet {}

/// Leaves out the URL, which may have a password.
impl fmt::Debug for RedisFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleet")
            .field("name", &self.name)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}
