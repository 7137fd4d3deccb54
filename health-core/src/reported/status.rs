use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::source::Report;
use super::{ReportedCheck, Source};

/// A status that the application reports when it learns it: from the answers of a partner, from a job that runs at night.
///
/// Before the first report the row is Unknown.
///
/// ```
/// use std::time::Duration;
/// use health_core::{Health, Reported};
///
/// let billing = Reported::new("billing").expires_after(Duration::from_secs(300));
/// let health = Health::builder().check(billing.check()).build()?;
/// billing.warning("the provider answers slowly");
/// billing.working();
/// # Ok::<(), health_core::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reported {
    name: Cow<'static, str>,
    source: Arc<Source>,
}

impl Reported {
    /// Creates a status with this identifier.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), source: Arc::new(Source::new("report", None)) }
    }

    /// Makes a report that is older than this `unavailable: last report 310 s ago`. *Default*: a report does not become old. To be set
    /// before the handle is cloned or its check is handed out: what was handed out before is another status.
    #[must_use]
    pub fn expires_after(self, age: Duration) -> Self {
        Self { name: self.name, source: Arc::new(Source::new("report", Some(age))) }
    }

    /// Returns the check for the builder.
    pub fn check(&self) -> ReportedCheck {
        ReportedCheck::new(self.name.clone(), &self.source)
    }

    /// Reports that it works.
    pub fn working(&self) {
        self.source.report(Report::working());
    }

    /// Reports a warning. The message is public.
    pub fn warning(&self, message: impl Into<String>) {
        self.source.report(Report::warning(message));
    }

    /// Reports that it can't be used. The message is public.
    pub fn failed(&self, message: impl Into<String>) {
        self.source.report(Report::failed(message));
    }
}
