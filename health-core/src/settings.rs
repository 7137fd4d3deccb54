//! Every setting of the engine and the endpoint, with its default, in one place.
//!
//! ```
//! use std::time::Duration;
//! use health_core::Settings;
//!
//! let settings = Settings::default().warnings_as_errors(false).timeout(Duration::from_secs(2));
//! assert!(!settings.warnings_as_errors);
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::Secret;
use crate::serde_duration;

/// The settings of a service's health; `[settings]` in a configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[doc(alias = "HEALTH_CHECK")]
pub struct Settings {
    /// Whether a warning makes the service unhealthy. *Default*: `true`.
    #[doc(alias = "WARNINGS_AS_ERRORS")]
    pub warnings_as_errors: bool,
    /// The longest that one run of a check may take; more than zero. *Default*: 5 s.
    #[serde(with = "serde_duration")]
    pub timeout: Duration,
    /// How long a verdict is good, from the end of its run. Zero: until the next read. A kind of check that costs the other
    /// side something has a longer time of its own, which this does not shorten. *Default*: 1 s.
    #[serde(with = "serde_duration")]
    pub ttl: Duration,
    /// The longest that a check keeps a connection of its own, idle or not; zero opens a new one in each run. *Default*:
    /// 30 s.
    #[serde(with = "serde_duration")]
    pub reconnect: Duration,
    /// The longest that a reader waits; then the answer goes out with what is known. *Default*: 4 s.
    #[serde(with = "serde_duration")]
    pub budget: Duration,
    /// The same for `live`, `ready` and `startup`, below the kubelet's default timeout of 1 s. *Default*: 800 ms.
    #[serde(with = "serde_duration")]
    pub probe_budget: Duration,
    /// How old a verdict may be to stand in, marked as stale, for a run that is not over. *Default*: 30 s.
    #[serde(with = "serde_duration")]
    pub max_stale: Duration,
    /// How many checks run at the same time; at least 1. Waiting for a place is not check time, and liveness does not
    /// wait. *Default*: 256.
    pub max_concurrency: usize,
    /// How long a service goes on serving after SIGTERM, while `ready` already fails. *Default*: 5 s.
    #[serde(with = "serde_duration")]
    pub drain_delay: Duration,
    /// The status code of an unhealthy answer, 400 to 599. Many balancers' manuals show 503. *Default*: 500.
    pub unhealthy_status: u16,
    /// What a reader has to know: `/ht/<token>/` or `Authorization: Bearer <token>`. *Default*: none.
    pub token: Option<Secret>,
    /// What a reader without the token gets. *Default*: nothing.
    pub anonymous: Anonymous,
    /// The `Content-Security-Policy` of pages. *Default*: styles of the page itself and nothing from elsewhere.
    pub content_security_policy: String,
    /// Which of the service's processes this is, such as a pod's name; shown on the page and as `serviceId` in
    /// health+json. *Default*: none.
    pub instance: Option<String>,
    /// The release that it runs; shown on the page and as `releaseId` in health+json. *Default*: none.
    pub version: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            warnings_as_errors: true,
            timeout: Duration::from_secs(5),
            ttl: Duration::from_secs(1),
            reconnect: Duration::from_secs(30),
            budget: Duration::from_secs(4),
            probe_budget: Duration::from_millis(800),
            max_stale: Duration::from_secs(30),
            max_concurrency: 256,
            drain_delay: Duration::from_secs(5),
            unhealthy_status: 500,
            token: None,
            anonymous: Anonymous::Nothing,
            content_security_policy:
                "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                    .into(),
            instance: None,
            version: None,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty),+ $(,)?) => {
        impl Settings {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](field@Self::", stringify!($name), ").")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name.into();
                    self
                }
            )+
        }
    };
}

setters! {
    warnings_as_errors: bool,
    timeout: Duration,
    ttl: Duration,
    reconnect: Duration,
    budget: Duration,
    probe_budget: Duration,
    max_stale: Duration,
    max_concurrency: usize,
    drain_delay: Duration,
    unhealthy_status: u16,
    anonymous: Anonymous,
    content_security_policy: impl Into<String>,
}

impl Settings {
    /// Sets [`instance`](field@Self::instance).
    #[must_use]
    pub fn instance(self, instance: impl Into<String>) -> Self {
        Self { instance: Some(instance.into()), ..self }
    }

    /// Sets [`version`](field@Self::version).
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..self }
    }

    /// Sets [`token`](field@Self::token).
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }
}

/// What a reader without the token gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Anonymous {
    /// 404 where a token is set; everything where none is.
    #[default]
    Nothing,
    /// The bare verdict, without rows, in every format, for whoever does not show the token.
    Status,
}

/// A group's own settings; `[groups.NAME]` in a configuration file. What is absent is as in [`Settings`].
///
/// `live`, `ready` and `startup` are always there; any other group has to be declared, so that a typing error in a
/// check's groups is found when the service starts.
///
/// ```
/// use std::time::Duration;
/// use health_core::GroupSettings;
/// let batch = GroupSettings::default().budget(Duration::from_secs(2));
/// # let _ = batch;
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GroupSettings {
    /// The longest that a reader of this group waits.
    #[serde(with = "serde_duration::option")]
    pub budget: Option<Duration>,
    /// Whether a warning fails this group. *Default*: no for `live`, `ready` and `startup`, else as in [`Settings`].
    pub warnings_as_errors: Option<bool>,
    /// What a reader without the token gets of this group.
    pub anonymous: Option<Anonymous>,
    /// Lets this group fail while the service drains; for groups of your own. *Default*: yes.
    pub drains: Option<bool>,
    /// Checks that may be in `live` although a restart does not mend what they look at, by name.
    #[serde(alias = "waive")]
    pub allow_in_live: BTreeSet<String>,
}

impl GroupSettings {
    /// Sets [`budget`](field@Self::budget).
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets [`warnings_as_errors`](field@Self::warnings_as_errors).
    #[must_use]
    pub fn warnings_as_errors(mut self, warnings_as_errors: bool) -> Self {
        self.warnings_as_errors = Some(warnings_as_errors);
        self
    }

    /// Sets [`anonymous`](field@Self::anonymous).
    #[must_use]
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.anonymous = Some(anonymous);
        self
    }

    /// Sets [`drains`](field@Self::drains).
    #[must_use]
    pub fn drains(mut self, drains: bool) -> Self {
        self.drains = Some(drains);
        self
    }

    /// Lets this check into `live` whatever its scope. Think twice: when it fails, the process is restarted.
    #[must_use]
    pub fn allow_in_live(mut self, identifier: impl Into<String>) -> Self {
        self.allow_in_live.insert(identifier.into());
        self
    }
}
