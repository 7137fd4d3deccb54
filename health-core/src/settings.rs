//! Every setting of the engine and the endpoint, with its default, in one place.
//!
//! ```
//! use health_core::Settings;
//! use std::time::Duration;
//!
//! let settings = Settings::default()
//!     .warnings_as_errors(false)
//!     .timeout(Duration::from_secs(2));
//! assert!(!settings.warnings_as_errors);
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::registry::BuildFault;
use crate::render::Renderers;
use crate::{Hold, Secret, serde_duration};

/// The settings of a service's health: `[settings]` in a configuration file.
///
/// Those from `path` to `anonymous` are the defaults of each [`Endpoint`](crate::Endpoint).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[doc(alias = "HEALTH_CHECK")]
pub struct Settings {
    /// Makes a warning count as an error, so that the service is unhealthy. *Default*: `true`.
    #[doc(alias = "WARNINGS_AS_ERRORS")]
    pub warnings_as_errors: bool,
    /// The longest that one run of a check may take; more than zero. *Default*: 5 s.
    #[serde(with = "serde_duration")]
    pub timeout: Duration,
    /// The time for which a verdict is fresh, from the end of its run. With zero, each read joins
    /// the current run or starts one. A kind of check that is expensive for the other side has a
    /// longer time of its own, which this does not shorten. *Default*: 1 s.
    #[serde(with = "serde_duration")]
    pub ttl: Duration,
    /// The longest that a check keeps a connection of its own, idle or not; zero opens a new one in
    /// each run. *Default*: 30 s.
    #[serde(with = "serde_duration")]
    pub reconnect: Duration,
    /// The longest that a reader waits for runs. After this time it gets a report of the verdicts
    /// that are known. *Default*: 4 s.
    #[serde(with = "serde_duration")]
    pub budget: Duration,
    /// The budget of `live`, `ready` and `startup`, below the kubelet's default timeout of 1 s.
    /// *Default*: 800 ms.
    #[serde(with = "serde_duration")]
    pub probe_budget: Duration,
    /// The age up to which a verdict is shown, marked as stale, in place of a run that is not over.
    /// *Default*: 30 s.
    #[serde(with = "serde_duration")]
    pub max_stale: Duration,
    /// The number of checks that run at the same time; at least 1. A check that waits for a permit
    /// is not running yet, so its timeout has not begun. Members of `live` need no permit.
    /// *Default*: 256.
    pub max_concurrency: usize,
    /// The time for which a service continues to serve after SIGTERM, while `ready` already fails.
    /// *Default*: 5 s.
    #[serde(with = "serde_duration")]
    pub drain_delay: Duration,
    /// The time in a drain after which `ready`, the report of all checks and the declared groups
    /// fail; less than `drain_delay`. A balancer that notices a drain slowly needs it where the last
    /// pod of a node gets traffic only while it is ready: the Kubernetes manual describes that under
    /// `externalTrafficPolicy: Local`. *Default*: 0.
    #[serde(with = "serde_duration")]
    pub drain_ready_after: Duration,
    /// The path of an endpoint. *Default*: `/ht/`.
    pub path: String,
    /// The only group that an endpoint shows. *Default*: none, which shows all checks and each
    /// group below the path.
    pub group: Option<String>,
    /// The status code of an unhealthy answer: 400 to 599, and not 429. Many balancers' manuals
    /// show 503. *Default*: 500.
    pub unhealthy_status: u16,
    /// The status code of a healthy answer in which some row warns or fails: 200 to 299, and not
    /// 204 or 205, which have no body. *Default*: 200.
    pub degraded_status: u16,
    /// The names of the formats that an endpoint offers; the first one answers a request without
    /// preference. *Default*: all formats, `html` first.
    pub formats: Option<Vec<String>>,
    /// The token that a request must present: `/ht/<token>/` or `Authorization: Bearer <token>`.
    /// *Default*: none.
    pub token: Option<Secret>,
    /// The answer to a request without the token. *Default*: none, which is 404.
    pub anonymous: Anonymous,
    /// The `Content-Security-Policy` of pages. *Default*: styles of the page itself and nothing
    /// from elsewhere.
    pub content_security_policy: String,
    /// The name of this process among those of the service, such as the name of its pod. The page
    /// shows it, and health+json has it as `serviceId`. *Default*: none.
    pub instance: Option<String>,
    /// The release that the process runs. The page shows it, and health+json has it as `releaseId`.
    /// *Default*: none.
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
            drain_ready_after: Duration::ZERO,
            path: "/ht/".into(),
            group: None,
            unhealthy_status: 500,
            degraded_status: 200,
            formats: None,
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
    drain_ready_after: Duration,
    path: impl Into<String>,
    unhealthy_status: u16,
    degraded_status: u16,
    anonymous: Anonymous,
    content_security_policy: impl Into<String>,
}

impl Settings {
    /// Sets [`instance`](field@Self::instance).
    #[must_use]
    pub fn instance(self, instance: impl Into<String>) -> Self {
        Self {
            instance: Some(instance.into()),
            ..self
        }
    }

    /// Sets [`version`](field@Self::version).
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        Self {
            version: Some(version.into()),
            ..self
        }
    }

    /// Sets [`group`](field@Self::group).
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        Self {
            group: Some(group.into()),
            ..self
        }
    }

    /// Sets [`formats`](field@Self::formats).
    #[must_use]
    pub fn formats<I: Into<String>>(self, formats: impl IntoIterator<Item = I>) -> Self {
        Self {
            formats: Some(formats.into_iter().map(Into::into).collect()),
            ..self
        }
    }

    /// Sets [`token`](field@Self::token).
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }
}

/// Returns the faults of these settings that can be found without an endpoint.
pub(crate) fn faults<'a>(
    settings: &Settings,
    renderers: &Renderers,
    groups: impl IntoIterator<Item = &'a str>,
) -> Vec<BuildFault> {
    let groups: Vec<&str> = PROBE_GROUPS.into_iter().chain(groups).collect();
    let mut faults = Vec::new();
    let mut require = |is_valid: bool, setting, message: &'static str| {
        if !is_valid {
            faults.push(BuildFault::setting(setting, message));
        }
    };
    require(
        !settings.timeout.is_zero(),
        "timeout",
        "must be longer than zero",
    );
    require(
        settings.max_concurrency > 0,
        "max_concurrency",
        "must be at least 1",
    );
    require(
        settings.drain_ready_after.is_zero() || settings.drain_ready_after < settings.drain_delay,
        "drain_ready_after",
        "must be less than drain_delay, or ready would not fail before the service stops",
    );
    require(
        is_unhealthy_status(settings.unhealthy_status),
        "unhealthy_status",
        UNHEALTHY,
    );
    require(
        is_degraded_status(settings.degraded_status),
        "degraded_status",
        DEGRADED,
    );
    let policy = http::HeaderValue::from_str(&settings.content_security_policy);
    require(
        policy.is_ok(),
        "content_security_policy",
        "must be one line of visible ASCII",
    );
    if let Some(group) = settings
        .group
        .as_deref()
        .filter(|group| !groups.contains(group))
    {
        let message = format!(
            "the settings name it as the group of an endpoint, but the groups are {}",
            groups.join(", ")
        );
        faults.push(BuildFault::group(group, message));
    }
    let token = settings
        .token
        .as_ref()
        .and_then(|token| token_fault(token, groups.iter().copied()));
    faults.extend(token.map(|message| BuildFault::setting("token", message)));
    faults.extend(path_fault(&settings.path));
    faults.extend(
        settings
            .formats
            .as_ref()
            .and_then(|names| formats_fault(names, renderers)),
    );
    faults
}

const PROBE_GROUPS: [&str; 3] = ["live", "ready", "startup"];

pub(crate) const UNHEALTHY: &str = "must be a status code from 400 to 599, and not 429";
pub(crate) const DEGRADED: &str =
    "must be a status code from 200 to 299, and not 204 or 205, which have no body";

/// Returns `true` if an unhealthy answer may have this status code. 429 is excluded, because
/// clients and balancers react to it by waiting.
pub(crate) fn is_unhealthy_status(code: u16) -> bool {
    (400..=599).contains(&code) && code != 429
}

pub(crate) fn is_degraded_status(code: u16) -> bool {
    (200..=299).contains(&code) && ![204, 205].contains(&code)
}

pub(crate) fn token_fault<'a>(
    token: &Secret,
    mut groups: impl Iterator<Item = &'a str>,
) -> Option<&'static str> {
    let token = token.expose();
    if token.is_empty() || token.contains('/') {
        return Some("must not be empty and must not contain a slash");
    }
    groups
        .any(|group| group == token)
        .then_some("must not be the name of a group")
}

pub(crate) fn path_fault(path: &str) -> Option<BuildFault> {
    path.contains("://")
        .then(|| BuildFault::setting("path", "must be a path such as /ht/, and not a URL"))
}

pub(crate) fn formats_fault(names: &[String], renderers: &Renderers) -> Option<BuildFault> {
    let message = if names.is_empty() {
        "must name at least one format".to_owned()
    } else {
        let unknown = names
            .iter()
            .find(|name| renderers.position(name).is_none())?;
        format!(
            "\"{unknown}\" is no format; the formats are {}",
            renderers.formats().collect::<Vec<_>>().join(", ")
        )
    };
    Some(BuildFault::setting("formats", message))
}

/// The answer to a request without the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Anonymous {
    /// 404 if a token is set, and the whole report if there is no token.
    #[default]
    Nothing,
    /// Only the verdict, without rows, in every format. An endpoint without a token then shows only
    /// the verdict to everyone.
    Status,
}

/// The settings of a group: `[groups.NAME]` in a configuration file. The default of each is the
/// value in [`Settings`], unless it says otherwise.
///
/// The groups `live`, `ready` and `startup` always exist. Any other group has to be declared, so
/// that a typing error in the groups of a check is found when the service starts.
///
/// ```
/// use health_core::GroupSettings;
/// use std::time::Duration;
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
    /// Makes a warning fail this group. *Default*: `false` for `live`, `ready` and `startup`, else
    /// as in [`Settings`].
    pub warnings_as_errors: Option<bool>,
    /// The answer to a request for this group without the token. *Default*: as in [`Settings`].
    pub anonymous: Option<Anonymous>,
    /// Lets a group of your own fail while the service drains. *Default*: `true`.
    pub drains: Option<bool>,
    /// The time for which a failing external check that has worked before does not fail this group;
    /// see [`Hold`]. `live` and `startup` have no hold. *Default*: 120 s for `ready`, none for
    /// other groups.
    pub hold: Option<Hold>,
    /// The names of the checks that are allowed in `live` although a restart does not repair what
    /// they look at.
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

    /// Sets [`hold`](field@Self::hold).
    #[must_use]
    pub fn hold(mut self, hold: impl Into<Hold>) -> Self {
        self.hold = Some(hold.into());
        self
    }

    /// Allows this check in `live` whatever its scope. A failure of the check then restarts the
    /// process.
    #[must_use]
    pub fn allow_in_live(mut self, identifier: impl Into<String>) -> Self {
        self.allow_in_live.insert(identifier.into());
        self
    }
}
