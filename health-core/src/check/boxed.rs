use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::{HealthCheck, Scope};
use crate::reported::Source;
use crate::{CheckInfo, Findings, Result, Secret};

/// A check with its type erased. It is cheap to clone, and is itself a [`HealthCheck`]. Catalogues
/// return it.
///
/// ```
/// use health_core::{BoxCheck, HealthCheck, check_fn};
///
/// let checks = vec![
///     BoxCheck::new(check_fn("one", || async { Ok(()) })),
///     BoxCheck::new(check_fn("two", || async { Ok(()) })),
/// ];
/// assert_eq!(checks[1].identifier(), "two");
/// ```
#[derive(Clone)]
pub struct BoxCheck {
    check: Arc<dyn DynCheck>,
    /// The secrets that no error of the check may show.
    secrets: Arc<[Secret]>,
}

impl BoxCheck {
    /// Erases the type of a check. One that is boxed already is returned as it is.
    pub fn new(check: impl HealthCheck) -> Self {
        match (&check as &dyn Any).downcast_ref::<Self>() {
            Some(boxed) => boxed.clone(),
            None => Self {
                check: Arc::new(check),
                secrets: [].into(),
            },
        }
    }

    /// Conceals these secrets in each run: see [`Findings::conceal`].
    #[must_use]
    pub fn concealing(self, secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            secrets: self.secrets.iter().cloned().chain(secrets).collect(),
            ..self
        }
    }

    /// Runs the check as [`check_status`](HealthCheck::check_status) does, without a future around
    /// that of the check.
    pub(crate) fn run<'a>(&'a self, findings: &'a Findings) -> BoxFuture<'a, Result> {
        for secret in &*self.secrets {
            findings.conceal(secret);
        }
        self.check.dyn_check_status(findings)
    }
}

impl HealthCheck for BoxCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.run(findings).await
    }

    fn identifier(&self) -> Cow<'_, str> {
        self.check.dyn_identifier()
    }

    fn critical_service(&self) -> bool {
        self.check.dyn_critical_service()
    }

    fn scope(&self) -> Scope {
        self.check.dyn_scope()
    }

    fn default_timeout(&self) -> Option<Duration> {
        self.check.dyn_default_timeout()
    }

    fn default_ttl(&self) -> Option<Duration> {
        self.check.dyn_default_ttl()
    }

    fn measures(&self) -> bool {
        self.check.dyn_measures()
    }

    fn runs_apart(&self) -> bool {
        self.check.dyn_runs_apart()
    }

    fn only_warns(&self) -> bool {
        self.check.dyn_only_warns()
    }

    fn refreshes(&self) -> bool {
        self.check.dyn_refreshes()
    }

    fn overhead(&self) -> Duration {
        self.check.dyn_overhead()
    }

    fn attach(&self, info: &CheckInfo) -> Result<(), String> {
        self.check.dyn_attach(info)
    }

    async fn stop(&self) {
        self.check.dyn_stop().await;
    }

    fn reported(&self) -> Option<&Arc<Source>> {
        self.check.dyn_reported()
    }
}

impl fmt::Debug for BoxCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoxCheck").field(&self.identifier()).finish()
    }
}

/// The object-safe twin of [`HealthCheck`]. Its methods have other names, because the blanket
/// implementation would make the same names ambiguous.
trait DynCheck: Send + Sync {
    fn dyn_check_status<'a>(&'a self, findings: &'a Findings) -> BoxFuture<'a, Result>;
    fn dyn_identifier(&self) -> Cow<'_, str>;
    fn dyn_critical_service(&self) -> bool;
    fn dyn_scope(&self) -> Scope;
    fn dyn_default_timeout(&self) -> Option<Duration>;
    fn dyn_default_ttl(&self) -> Option<Duration>;
    fn dyn_measures(&self) -> bool;
    fn dyn_runs_apart(&self) -> bool;
    fn dyn_only_warns(&self) -> bool;
    fn dyn_refreshes(&self) -> bool;
    fn dyn_overhead(&self) -> Duration;
    fn dyn_attach(&self, info: &CheckInfo) -> Result<(), String>;
    fn dyn_stop(&self) -> BoxFuture<'_, ()>;
    fn dyn_reported(&self) -> Option<&Arc<Source>>;
}

impl<C: HealthCheck> DynCheck for C {
    fn dyn_check_status<'a>(&'a self, findings: &'a Findings) -> BoxFuture<'a, Result> {
        Box::pin(self.check_status(findings))
    }

    fn dyn_identifier(&self) -> Cow<'_, str> {
        self.identifier()
    }

    fn dyn_critical_service(&self) -> bool {
        self.critical_service()
    }

    fn dyn_scope(&self) -> Scope {
        self.scope()
    }

    fn dyn_default_timeout(&self) -> Option<Duration> {
        self.default_timeout()
    }

    fn dyn_default_ttl(&self) -> Option<Duration> {
        self.default_ttl()
    }

    fn dyn_measures(&self) -> bool {
        self.measures()
    }

    fn dyn_runs_apart(&self) -> bool {
        self.runs_apart()
    }

    fn dyn_only_warns(&self) -> bool {
        self.only_warns()
    }

    fn dyn_refreshes(&self) -> bool {
        self.refreshes()
    }

    fn dyn_overhead(&self) -> Duration {
        self.overhead()
    }

    fn dyn_attach(&self, info: &CheckInfo) -> Result<(), String> {
        self.attach(info)
    }

    fn dyn_stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop())
    }

    fn dyn_reported(&self) -> Option<&Arc<Source>> {
        self.reported()
    }
}
