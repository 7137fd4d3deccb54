//! A fleet of replicas, which share their verdicts through Redis.
//!
//! ```
//! use health_checks::RedisFleet;
//! use health_core::{CheckExt, Health, check_fn};
//!
//! let fleet = RedisFleet::from_url("redis://cache.internal/0")?.name("shop-prod");
//! let stock = check_fn("stock", || async { Ok(()) });
//! let health = Health::builder()
//!     .check(fleet.share("stock.internal", stock))
//!     .check(fleet.check())
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod machine;
mod member;
mod message;
mod redis;
mod seat;
mod shared;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use health_core::{BoxCheck, CheckExt, Configured, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::member::Member;
use self::redis::Link;
pub use self::shared::{FleetHealthCheck, SharedCheck};
#[cfg(feature = "config")]
pub(crate) use self::shared::{LONGEST_NAME, SHORTEST_OWN};
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::limit;

/// A fleet of replicas that share their verdicts through a Redis server. The server may be behind
/// sentinels, or a node of a cluster.
///
/// Together, the replicas probe each dependency about once per TTL. Each replica produces its first
/// verdict of a check itself. After that it probes only from time to time, and otherwise shows the
/// verdicts of the others. A failure that all replicas see is held in `ready`; one that only this
/// replica sees fails `ready` at once, and one that only others see never does. While Redis can't
/// be reached, each replica probes for itself.
///
/// The fleet keeps one connection of its own, and sends one command per TTL. Set its options before
/// the first [`share`](Self::share): a change of an option makes another member of the fleet.
/// `docs/fleet.md` in the repository describes its costs, the rights that it needs, and when not to
/// use it.
pub struct RedisFleet {
    name: String,
    own: Duration,
    url: Secret,
    password: Option<(Option<String>, PathBuf)>,
    tls: TlsSettings,
    member: OnceLock<Arc<Member>>,
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
        let fleet = Self {
            name: NAME.to_owned(),
            own: OWN,
            url: url.into(),
            password: None,
            tls: TlsSettings::default(),
            member: OnceLock::new(),
        };
        fleet.validated()
    }

    /// Shares the verdicts of a check with the other replicas. They share it if its identifier and
    /// this key are the same in each of them. The key has to differ wherever the target of the check
    /// differs, such as the database that a pool connects to.
    ///
    /// The options of the check are kept, and others may follow. Its runs are in the background,
    /// read or not: its `ttl` or `every` is the age at which a replica replaces the verdict.
    ///
    /// A check of this process or this machine, one in the group `live`, one that
    /// [measures](health_core::HealthCheck::measures), one that the application reports, and one
    /// with a `ttl` of zero can't be shared: then the build of the `Health` fails. The same is true
    /// for a fleet with an invalid name or interval.
    pub fn share(&self, key: impl Into<String>, check: impl CheckExt) -> Configured<SharedCheck> {
        let member = Arc::clone(self.member());
        check
            .into_check()
            .map(|check| SharedCheck::new(BoxCheck::new(check), key.into(), member))
    }

    /// Returns the fleet itself as a check, with the number of its replicas, the age of the last
    /// exchange and the number of failed ones. It warns while Redis can't be reached. It is not
    /// critical, and in no probe.
    pub fn check(&self) -> FleetHealthCheck {
        FleetHealthCheck(Arc::clone(self.member()))
    }

    /// Runs the checks of this fleet as if they were not shared, for a process that reads them only
    /// once.
    #[cfg(feature = "config")]
    pub(crate) fn switch_off(&self) {
        self.member().switch_off();
    }

    fn member(&self) -> &Arc<Member> {
        self.member.get_or_init(|| {
            let link = self.link();
            Arc::new(Member::new(&self.name, &limit::host(), self.own, link))
        })
    }

    fn link(&self) -> Link {
        let tag = utf8_percent_encode(&self.name, PLAIN).to_string();
        Link::new(
            tag,
            self.url.clone(),
            self.password.clone(),
            self.tls.clone(),
        )
    }

    /// Returns an error if the settings contradict each other.
    fn validated(self) -> Result<Self, Misconfigured> {
        self.link().validate()?;
        Ok(self)
    }

    /// Sets the name. Replicas with the same name share their verdicts, so services and
    /// environments that use the same Redis need different names. The name is part of every key. It
    /// has 1 to 100 characters, or the build of the `Health` fails. *Default*: `default`.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            member: OnceLock::new(),
            ..self
        }
    }

    /// Sets the interval at which each replica probes for itself, even while the others share their
    /// verdicts. A replica whose own network fails notices it after this time at the latest. It is
    /// at least 1 s, or the build of the `Health` fails. *Default*: 60 s.
    #[must_use]
    pub fn own(self, own: Duration) -> Self {
        Self {
            own,
            member: OnceLock::new(),
            ..self
        }
    }

    /// Logs in as this user, with the password in this file, which is read for each new connection.
    /// The URL must not have a user or a password.
    ///
    /// # Errors
    /// Returns an error if the URL has a password or a user as well.
    pub fn password_file(
        self,
        username: Option<String>,
        path: impl Into<PathBuf>,
    ) -> Result<Self, Misconfigured> {
        let fleet = Self {
            password: Some((username, path.into())),
            member: OnceLock::new(),
            ..self
        };
        fleet.validated()
    }

    /// Sets the TLS settings. *Default*: trusts the certificates of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        let fleet = Self {
            tls,
            member: OnceLock::new(),
            ..self
        };
        fleet.validated()
    }
}

/// Leaves out the URL, which may have a password.
impl fmt::Debug for RedisFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleet")
            .field("name", &self.name)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}
