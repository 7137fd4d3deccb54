//! The trait of all checks, and functions that create a check from a closure.
//!
//! ```
//! use health_core::{Findings, HealthCheck, Result, ResultExt};
//!
//! struct Mailroom {
//!     spool: std::path::PathBuf,
//! }
//!
//! impl HealthCheck for Mailroom {
//!     async fn check_status(&self, _: &Findings) -> Result {
//!         tokio::fs::metadata(&self.spool)
//!             .await
//!             .or_unavailable("spool folder is missing")?;
//!         Ok(())
//!     }
//! }
//!
//! assert_eq!(
//!     Mailroom {
//!         spool: "/var/spool/app".into()
//!     }
//!     .identifier(),
//!     "Mailroom"
//! );
//! ```

mod blocking;
mod boxed;
mod function;
mod options;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use blocking::Blocking;
pub use boxed::BoxCheck;
pub use function::{check_blocking, check_fn, check_fn_with};
pub use options::{CheckExt, Configured};
pub(crate) use options::{Options, Schedule};

use crate::named::named;
use crate::reported::Source;
use crate::{CheckInfo, Findings, Result};

/// A check of one thing that a service needs.
///
/// Only [`check_status`](Self::check_status) has to be implemented. Everything else that a user may
/// want to set (a name, a timeout, groups) is an option of [`CheckExt`] and needs nothing from the
/// author.
///
/// The engine limits each run with a timeout and drops the future when the time is over, so
/// everything that a check creates must be undone by `Drop` or expire by itself. A future that
/// never yields can't be interrupted, and one that calls blocking code blocks its runtime: use
/// [`check_blocking`] or [`Blocking`] for those.
#[doc(alias = "BaseHealthCheckBackend")]
#[doc(alias = "HealthCheckPlugin")]
pub trait HealthCheck: Send + Sync + 'static {
    /// Runs the check. `Ok(())` means that the service works, unless errors were added to the
    /// findings.
    ///
    /// # Errors
    /// Returns an error that says what is wrong, in a message that anyone may read.
    #[doc(alias = "run_check")]
    fn check_status(&self, findings: &Findings) -> impl Future<Output = Result> + Send;

    /// Returns the name of the check's row, its key in JSON and its label in metrics. *Default*:
    /// the type's name.
    ///
    /// The name is unique within a service. The engine reads it once, when the service's health is
    /// built.
    fn identifier(&self) -> Cow<'_, str> {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        Cow::Borrowed(path.rsplit("::").next().unwrap_or(path))
    }

    /// Returns `true` if an error makes the whole service unhealthy. *Default*: `true`.
    fn critical_service(&self) -> bool {
        true
    }

    /// Returns the scope of what the check looks at. Liveness accepts only [`Scope::Process`],
    /// which a restart of the process could fix. *Default*: [`Scope::External`].
    fn scope(&self) -> Scope {
        Scope::External
    }

    /// Returns the timeout of a run, for a check that needs another time than most. The check's
    /// option takes precedence. *Default*: `None`, which means
    /// [`Settings::timeout`](crate::Settings::timeout).
    fn default_timeout(&self) -> Option<Duration> {
        None
    }

    /// Returns the minimum time for which a verdict is fresh, for a check that costs the other side
    /// something: a login, a billed request, lines in a log. A longer
    /// [`Settings::ttl`](crate::Settings::ttl) takes precedence, a shorter one does not. The
    /// check's option always takes precedence. *Default*: `None`.
    fn default_ttl(&self) -> Option<Duration> {
        None
    }

    /// Returns `true` if the check warns of a failure to come, such as a certificate that is about
    /// to expire. Such a check is only in the groups that its options name, because a replica must
    /// not lose its traffic over a measurement. *Default*: `false`.
    fn measures(&self) -> bool {
        false
    }

    /// Returns `true` if the check reports warnings and no errors. The build refuses it in a group
    /// that it names and that warnings do not fail, because such a probe could not fail. *Default*:
    /// `false`.
    fn only_warns(&self) -> bool {
        false
    }

    /// Returns `true` if its runs belong on a runtime of the engine's own, and not on that of the
    /// `Health` (see [`HealthBuilder::runtime`](crate::HealthBuilder::runtime)). A check that
    /// watches the runtime of the `Health` needs this, because it must run while that runtime is
    /// blocked. *Default*: `false`.
    fn runs_apart(&self) -> bool {
        false
    }

    /// Returns `true` if the engine runs the check in the background, read or not: at the interval
    /// that its options have as `ttl` or `every`, or at the time that [`Shown`](crate::Shown) says.
    /// *Default*: `false`.
    fn refreshes(&self) -> bool {
        false
    }

    /// Returns the time that a run takes beside what the check is about, which is added to the
    /// timeout: a check that asks a store for a verdict before it probes needs both. *Default*: 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use health_core::{Findings, HealthCheck, Result, Shown, run};
    ///
    /// /// Waits for up to 2 s before each probe, so that instances do not probe together.
    /// struct Spread<C>(C, Duration);
    ///
    /// impl<C: HealthCheck> HealthCheck for Spread<C> {
    ///     async fn check_status(&self, findings: &Findings) -> Result {
    ///         tokio::time::sleep(self.1.min(self.overhead())).await;
    ///         let verdict = run(&self.0, findings.time_left()).await;
    ///         let next = verdict.finished + Duration::from_secs(10);
    ///         findings.show(Shown::new(verdict, next));
    ///         Ok(())
    ///     }
    ///
    ///     fn overhead(&self) -> Duration {
    ///         Duration::from_secs(2)
    ///     }
    /// }
    /// ```
    fn overhead(&self) -> Duration {
        Duration::ZERO
    }

    /// Called when the service's health is built, with what was decided about the check. An error
    /// is a fault of the build: it says what is wrong and what to do. *Default*: accepts
    /// everything.
    ///
    /// ```
    /// use health_core::{CheckExt, CheckInfo, Findings, Health, HealthCheck, Result};
    ///
    /// struct Licence;
    ///
    /// impl HealthCheck for Licence {
    ///     async fn check_status(&self, _: &Findings) -> Result {
    ///         Ok(())
    ///     }
    ///
    ///     fn attach(&self, info: &CheckInfo) -> Result<(), String> {
    ///         if info.ttl.as_secs() < 60 {
    ///             return Err("the licence server counts questions: set a ttl of 60 s or more".into());
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let error = Health::builder().check(Licence).build().unwrap_err();
    /// assert!(error.to_string().contains("set a ttl"));
    /// ```
    ///
    /// # Errors
    /// Returns a message if the check can't work in this way.
    fn attach(&self, info: &CheckInfo) -> Result<(), String> {
        let _ = info;
        Ok(())
    }

    /// Ends what the check has elsewhere, such as a membership. [`Health::shutdown`] awaits it
    /// after the last run, within its limit. *Default*: does nothing.
    ///
    /// [`Health::shutdown`]: crate::Health::shutdown
    ///
    /// ```
    /// # use health_core::{Findings, HealthCheck, Result};
    /// # struct Session; impl Session { async fn log_out(&self) {} }
    /// struct Mailbox(Session);
    ///
    /// impl HealthCheck for Mailbox {
    ///     async fn check_status(&self, _: &Findings) -> Result {
    ///         Ok(())
    ///     }
    ///
    ///     async fn stop(&self) {
    ///         self.0.log_out().await;
    ///     }
    /// }
    /// ```
    fn stop(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Returns the source of the application's reports, for a check that is not probed. Only checks
    /// of this crate have one.
    #[doc(hidden)]
    fn reported(&self) -> Option<&Arc<Source>> {
        None
    }
}

impl<C: HealthCheck> HealthCheck for Arc<C> {
    fn check_status(&self, findings: &Findings) -> impl Future<Output = Result> + Send {
        (**self).check_status(findings)
    }

    fn identifier(&self) -> Cow<'_, str> {
        (**self).identifier()
    }

    fn critical_service(&self) -> bool {
        (**self).critical_service()
    }

    fn scope(&self) -> Scope {
        (**self).scope()
    }

    fn default_timeout(&self) -> Option<Duration> {
        (**self).default_timeout()
    }

    fn default_ttl(&self) -> Option<Duration> {
        (**self).default_ttl()
    }

    fn measures(&self) -> bool {
        (**self).measures()
    }

    fn runs_apart(&self) -> bool {
        (**self).runs_apart()
    }

    fn only_warns(&self) -> bool {
        (**self).only_warns()
    }

    fn refreshes(&self) -> bool {
        (**self).refreshes()
    }

    fn overhead(&self) -> Duration {
        (**self).overhead()
    }

    fn attach(&self, info: &CheckInfo) -> Result<(), String> {
        (**self).attach(info)
    }

    fn stop(&self) -> impl Future<Output = ()> + Send {
        (**self).stop()
    }

    fn reported(&self) -> Option<&Arc<Source>> {
        (**self).reported()
    }
}

/// The distance from the process to what a check looks at.
///
/// A process that fails liveness is restarted, so liveness may only look at what a restart fixes. A
/// slow database or a full disk in liveness restarts a whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Scope {
    /// The process itself: a deadlock, a blocked runtime.
    Process,
    /// The machine or container it runs in: disk, memory.
    Instance,
    /// Anything reached over a network or shared with others.
    #[default]
    External,
}

named!("scope", Scope { Process => "process", Instance => "instance", External => "external" });
