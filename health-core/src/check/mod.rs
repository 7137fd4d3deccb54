//! The backend trait, and what makes a check out of a closure.
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
//!         tokio::fs::metadata(&self.spool).await.or_unavailable("spool folder is missing")?;
//!         Ok(())
//!     }
//! }
//!
//! assert_eq!(Mailroom { spool: "/var/spool/app".into() }.identifier(), "Mailroom");
//! ```

mod blocking;
mod boxed;
mod function;
mod options;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use blocking::Blocking;
pub use boxed::BoxCheck;
pub use function::{check_blocking, check_fn, check_fn_with};
pub use options::{CheckExt, Configured};
pub(crate) use options::{Options, Refresh};

use crate::{Findings, Result};

/// One thing that a service needs, and how to see that it works.
///
/// Only [`check_status`](Self::check_status) has to be written. Everything else that a user may want to set (a
/// name, a timeout, groups) is an option of [`CheckExt`] and needs nothing from the author.
///
/// The engine bounds each run by a timeout and drops the future when it is over, so whatever a check creates must be
/// undone by `Drop` or expire by itself. A future that never yields can't be interrupted, and one that calls blocking
/// code holds up its runtime: use [`check_blocking`] or [`Blocking`] for those.
#[doc(alias = "BaseHealthCheckBackend")]
#[doc(alias = "HealthCheckPlugin")]
pub trait HealthCheck: Send + Sync + 'static {
    /// Sees whether it works. `Ok(())` is working, unless errors were added to the findings.
    ///
    /// # Errors
    /// What is wrong, in words that anybody may read.
    #[doc(alias = "run_check")]
    fn check_status(&self, findings: &Findings) -> impl Future<Output = Result> + Send;

    /// The name of its row, its key in JSON and its label in metrics. *Default*: the type's name.
    ///
    /// Unique within a service; asked once, when the service's health is built.
    fn identifier(&self) -> Cow<'_, str> {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        Cow::Borrowed(path.rsplit("::").next().unwrap_or(path))
    }

    /// Returns `true` if an error makes the whole service unhealthy. *Default*: `true`.
    fn critical_service(&self) -> bool {
        true
    }

    /// Returns the scope of the check: liveness takes only [`Scope::Process`]. *Default*:
    /// [`Scope::External`].
    fn scope(&self) -> Scope {
        Scope::External
    }

    /// The longest that one run may take, for a check that needs another time than most; an option goes before it.
    /// *Default*: none, which is [`Settings::timeout`](crate::Settings::timeout).
    fn default_timeout(&self) -> Option<Duration> {
        None
    }

    /// How long a verdict is good at least where nobody says otherwise, for a check that costs the other side something: a
    /// login, a request that is billed, lines in a log. A longer [`Settings::ttl`](crate::Settings::ttl) goes before it, a
    /// shorter one does not; the check's own option always does. *Default*: none.
    fn default_ttl(&self) -> Option<Duration> {
        None
    }

    /// Returns `true` if its runs belong on the runtime of the caller that starts them, and not on the runtime of the `Health` (see
    /// [`HealthBuilder::runtime`](crate::HealthBuilder::runtime)). A check that watches this very runtime needs that: it must run
    /// while the runtime is blocked. *Default*: `false`.
    fn runs_on_caller(&self) -> bool {
        false
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

    fn runs_on_caller(&self) -> bool {
        (**self).runs_on_caller()
    }
}

/// How far away the thing is that a check looks at.
///
/// Liveness restarts what fails it, so it may only look at what a restart mends: a slow database or a full disk in
/// liveness restarts a whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// The process itself: a deadlock, a runtime that stands still.
    Process,
    /// The machine or container it runs in: disk, memory.
    Instance,
    /// Anything reached over a network or shared with others.
    External,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Process => "process",
            Self::Instance => "instance",
            Self::External => "external",
        })
    }
}
