use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{BoxCheck, HealthCheck, Scope};

/// The options that any check takes.
///
/// ```
/// use std::time::Duration;
/// use health_core::{check_fn, CheckExt};
///
/// let orders = check_fn("OrdersApi", || async { Ok(()) })
///     .named("orders")
///     .groups(["ready", "shop"])
///     .timeout(Duration::from_millis(500))
///     .every(Duration::from_secs(10))
///     .thresholds(2, 3)
///     .depends_on(["dns"]);
/// # let _ = orders;
/// ```
pub trait CheckExt: Sized {
    /// The check below the options.
    type Check: HealthCheck;

    /// The check with its options, none of them set yet.
    fn into_check(self) -> Configured<Self::Check>;

    /// Its identifier, in place of the check's own.
    fn named(self, name: impl Into<Cow<'static, str>>) -> Configured<Self::Check> {
        self.set(|options| options.name = Some(name.into()))
    }

    /// Its errors are shown and leave the service healthy.
    fn non_critical(self) -> Configured<Self::Check> {
        self.critical(false)
    }

    /// Whether its errors make the service unhealthy. *Default*: what the check says, mostly `true`.
    #[doc(alias = "critical_service")]
    fn critical(self, critical: bool) -> Configured<Self::Check> {
        self.set(|options| options.critical = Some(critical))
    }

    /// The groups it belongs to, beside the whole. *Default*: none, which means `ready` and `startup` for a critical
    /// check. Naming groups replaces that.
    #[doc(alias = "SUBSETS")]
    fn groups<G: Into<Cow<'static, str>>>(self, groups: impl IntoIterator<Item = G>) -> Configured<Self::Check> {
        self.set(|options| options.groups.extend(groups.into_iter().map(Into::into)))
    }

    /// The longest that one run may take; more than zero. *Default*: [`Settings::timeout`](crate::Settings::timeout).
    fn timeout(self, timeout: Duration) -> Configured<Self::Check> {
        self.set(|options| options.timeout = Some(timeout))
    }

    /// How long a verdict is good, from the end of its run: the check sees at most one run per `ttl`, whatever the
    /// load. Zero: each read joins the run under way or starts one. *Default*: [`Settings::ttl`](crate::Settings::ttl), or
    /// the check's own [`default_ttl`](HealthCheck::default_ttl) where that is longer.
    fn ttl(self, ttl: Duration) -> Configured<Self::Check> {
        self.set(|options| options.refresh = Some(Refresh::Ttl(ttl)))
    }

    /// The longest that a check keeps a connection of its own, idle or not; zero opens a new one in each run. A rotated
    /// password, a name that moved and a certificate that expired are seen after this time. It does nothing to checks on the
    /// application's own pools. *Default*: [`Settings::reconnect`](crate::Settings::reconnect).
    fn reconnect(self, reconnect: Duration) -> Configured<Self::Check> {
        self.set(|options| options.reconnect = Some(reconnect))
    }

    /// Runs it in the background on this interval, with a tenth of jitter; reads only read. In place of a `ttl`.
    ///
    /// A verdict expires after three intervals (or one, its jitter and the timeout, if that is more): a dead scheduler
    /// can't stay green.
    fn every(self, interval: Duration) -> Configured<Self::Check> {
        self.set(|options| options.refresh = Some(Refresh::Every(interval)))
    }

    /// How many runs in a row of the other verdict it takes to become better (`rise`) and worse (`fall`), as HAProxy
    /// counts them; at least 1. *Default*: 1 and 1. The first verdict takes effect at once.
    fn thresholds(self, rise: u32, fall: u32) -> Configured<Self::Check> {
        self.set(|options| options.thresholds = (rise, fall))
    }

    /// Names the checks that this one can't work without. While one of them is unavailable, an error here reads
    /// `unavailable: blocked by ...`.
    fn depends_on<I: Into<Cow<'static, str>>>(
        self,
        identifiers: impl IntoIterator<Item = I>,
    ) -> Configured<Self::Check> {
        self.set(|options| options.depends_on.extend(identifiers.into_iter().map(Into::into)))
    }

    /// What it looks at, in place of what the check says.
    fn scoped(self, scope: Scope) -> Configured<Self::Check> {
        self.set(|options| options.scope = Some(scope))
    }

    /// Labels, names and values, for renderers and metrics.
    fn labels<N: Into<Cow<'static, str>>, V: Into<Cow<'static, str>>>(
        self,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Configured<Self::Check> {
        self.set(|options| {
            options.labels.extend(labels.into_iter().map(|(name, value)| (name.into(), value.into())));
        })
    }

    /// Erases the type of the check and keeps its options, so that different checks fit into one collection.
    fn boxed(self) -> Configured<BoxCheck> {
        let Configured { check, options } = self.into_check();
        Configured { check: BoxCheck::new(check), options }
    }

    #[doc(hidden)]
    fn set(self, change: impl FnOnce(&mut Options)) -> Configured<Self::Check> {
        let mut configured = self.into_check();
        change(&mut configured.options);
        configured
    }
}

impl<C: HealthCheck> CheckExt for C {
    type Check = C;

    fn into_check(self) -> Configured<C> {
        Configured { check: self, options: Options::default() }
    }
}

impl<C: HealthCheck> CheckExt for Configured<C> {
    type Check = C;

    fn into_check(self) -> Self {
        self
    }
}

/// A check with its options: what [`CheckExt`] returns and [`HealthBuilder::check`](crate::HealthBuilder::check) takes.
///
/// Not a [`HealthCheck`] itself, so that no option can get lost on the way.
#[derive(Debug, Clone)]
#[must_use = "a check does nothing until it is handed to a builder"]
pub struct Configured<C> {
    pub(crate) check: C,
    pub(crate) options: Options,
}

/// What was set on a check; what was not is decided when the service's health is built.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) critical: Option<bool>,
    pub(crate) groups: BTreeSet<Cow<'static, str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) refresh: Option<Refresh>,
    pub(crate) reconnect: Option<Duration>,
    pub(crate) thresholds: (u32, u32),
    pub(crate) depends_on: BTreeSet<Cow<'static, str>>,
    pub(crate) scope: Option<Scope>,
    pub(crate) labels: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: None,
            critical: None,
            groups: BTreeSet::new(),
            timeout: None,
            refresh: None,
            reconnect: None,
            thresholds: (1, 1),
            depends_on: BTreeSet::new(),
            scope: None,
            labels: BTreeMap::new(),
        }
    }
}

/// When a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// When it is read and its verdict is older than this.
    Ttl(Duration),
    /// By itself, on this interval.
    Every(Duration),
}
