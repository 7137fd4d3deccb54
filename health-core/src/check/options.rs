use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{BoxCheck, HealthCheck, Scope};
use crate::Hold;

/// The options of every check.
///
/// ```
/// use health_core::{CheckExt, check_fn};
/// use std::time::Duration;
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
pub trait CheckExt: sealed::Sealed + Sized {
    /// The type of the check itself.
    type Check: HealthCheck;

    /// Returns the check with its options.
    fn into_check(self) -> Configured<Self::Check>;

    /// Sets the identifier, instead of the check's own.
    fn named(self, name: impl Into<Cow<'static, str>>) -> Configured<Self::Check> {
        self.set(|options| options.name = Some(name.into()))
    }

    /// Makes the check non-critical: its errors are shown, and leave the service healthy.
    fn non_critical(self) -> Configured<Self::Check> {
        self.critical(false)
    }

    /// Sets whether errors make the service unhealthy. *Default*: the check's own value, mostly
    /// `true`.
    #[doc(alias = "critical_service")]
    fn critical(self, critical: bool) -> Configured<Self::Check> {
        self.set(|options| options.critical = Some(critical))
    }

    /// Adds the check to groups, in addition to the report of all checks. *Default*: `ready` for a
    /// critical check, none for any other. Naming groups replaces the default. Every critical check
    /// is also in `startup`. A check that [measures](crate::HealthCheck::measures) is only in the
    /// groups named here.
    #[doc(alias = "SUBSETS")]
    fn groups<G: Into<Cow<'static, str>>>(
        self,
        groups: impl IntoIterator<Item = G>,
    ) -> Configured<Self::Check> {
        self.set(|options| options.groups.extend(groups.into_iter().map(Into::into)))
    }

    /// Sets the timeout of a run, which must be more than zero. *Default*:
    /// [`Settings::timeout`](crate::Settings::timeout).
    fn timeout(self, timeout: Duration) -> Configured<Self::Check> {
        self.set(|options| options.timeout = Some(timeout))
    }

    /// Sets how long a verdict is fresh, from the end of its run. The check runs at most once per
    /// `ttl`, whatever the load. With zero, each read joins the current run or starts one.
    /// *Default*: [`Settings::ttl`](crate::Settings::ttl), or the check's own
    /// [`default_ttl`](HealthCheck::default_ttl) if that is longer.
    fn ttl(self, ttl: Duration) -> Configured<Self::Check> {
        self.set(|options| options.schedule = Some(Schedule::Ttl(ttl)))
    }

    /// Sets the maximum age of a connection of the check's own, idle or not. With zero, each run
    /// opens a new one. The check notices a rotated password, a moved name or an expired
    /// certificate after this time. The option does not affect checks on the application's own
    /// pools. *Default*: [`Settings::reconnect`](crate::Settings::reconnect).
    fn reconnect(self, reconnect: Duration) -> Configured<Self::Check> {
        self.set(|options| options.reconnect = Some(reconnect))
    }

    /// Runs the check in the background at this interval, with a tenth of jitter, in place of a
    /// `ttl`. A read only starts a run as long as there is no verdict.
    ///
    /// A verdict expires after three intervals (or after one, its jitter and the timeout, if that
    /// is longer), so that a check does not stay healthy if its background task is gone.
    fn every(self, interval: Duration) -> Configured<Self::Check> {
        self.set(|options| options.schedule = Some(Schedule::Every(interval)))
    }

    /// Sets how many consecutive runs with another verdict it takes to become better (`rise`) and
    /// worse (`fall`), as in HAProxy; at least 1. *Default*: 1 and 1. The first verdict takes
    /// effect immediately.
    fn thresholds(self, rise: u32, fall: u32) -> Configured<Self::Check> {
        self.set(|options| options.thresholds = (rise, fall))
    }

    /// Names the checks that this one can't work without. While one of them is unavailable, an
    /// error of this one reads `unavailable: blocked by ...`.
    fn depends_on<I: Into<Cow<'static, str>>>(
        self,
        identifiers: impl IntoIterator<Item = I>,
    ) -> Configured<Self::Check> {
        self.set(|options| {
            options
                .depends_on
                .extend(identifiers.into_iter().map(Into::into));
        })
    }

    /// Sets the scope, instead of the check's own.
    fn scoped(self, scope: Scope) -> Configured<Self::Check> {
        self.set(|options| options.scope = Some(scope))
    }

    /// Adds labels, as names and values, for renderers and metrics.
    fn labels<N: Into<Cow<'static, str>>, V: Into<Cow<'static, str>>>(
        self,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Configured<Self::Check> {
        self.set(|options| {
            options.labels.extend(
                labels
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into())),
            );
        })
    }

    /// Sets the length of the check's hold. It applies in groups that have a hold, and has no
    /// effect in others; see [`Hold`]. *Default*: the length that the group has.
    fn hold(self, hold: impl Into<Hold>) -> Configured<Self::Check> {
        self.set(|options| options.hold = Some(hold.into()))
    }

    /// Erases the type of the check and keeps its options, so that different checks fit into one
    /// collection.
    fn boxed(self) -> Configured<BoxCheck> {
        self.into_check().map(BoxCheck::new)
    }

    #[doc(hidden)]
    fn set(self, change: impl FnOnce(&mut Options)) -> Configured<Self::Check> {
        let mut configured = self.into_check();
        change(&mut configured.options);
        configured
    }
}

mod sealed {
    /// Prevents implementations of `CheckExt` outside of this crate, so that methods can be added
    /// to it.
    pub trait Sealed {}

    impl<C: crate::HealthCheck> Sealed for C {}
    impl<C: crate::HealthCheck> Sealed for super::Configured<C> {}
}

impl<C: HealthCheck> CheckExt for C {
    type Check = C;

    fn into_check(self) -> Configured<C> {
        Configured {
            check: self,
            options: Options::default(),
        }
    }
}

impl<C: HealthCheck> CheckExt for Configured<C> {
    type Check = C;

    fn into_check(self) -> Self {
        self
    }
}

/// A check with its options, which [`CheckExt`] returns and
/// [`HealthBuilder::check`](crate::HealthBuilder::check) takes.
///
/// It is not a [`HealthCheck`] itself, so that no option can get lost.
#[derive(Debug, Clone)]
#[must_use = "a check does nothing until it is handed to a builder"]
pub struct Configured<C> {
    pub(crate) check: C,
    pub(crate) options: Options,
}

impl<C> Configured<C> {
    /// Replaces the check, such as by one that wraps it, and keeps the options.
    ///
    /// ```
    /// use health_core::{BoxCheck, CheckExt, check_fn};
    ///
    /// let orders = check_fn("orders", || async { Ok(()) }).non_critical();
    /// let boxed = orders.map(BoxCheck::new);
    /// # let _ = boxed;
    /// ```
    pub fn map<D: HealthCheck>(self, wrap: impl FnOnce(C) -> D) -> Configured<D> {
        Configured {
            check: wrap(self.check),
            options: self.options,
        }
    }
}

/// The options that were set on a check. The others are decided when the service's health is built.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) critical: Option<bool>,
    pub(crate) groups: BTreeSet<Cow<'static, str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) reconnect: Option<Duration>,
    pub(crate) hold: Option<Hold>,
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
            schedule: None,
            reconnect: None,
            hold: None,
            thresholds: (1, 1),
            depends_on: BTreeSet::new(),
            scope: None,
            labels: BTreeMap::new(),
        }
    }
}

/// The rule for when a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// The check runs when it is read and its verdict is older than this.
    Ttl(Duration),
    /// The check runs in the background, at this interval.
    Every(Duration),
}
