use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::source::Report;
use super::{ReportedCheck, Source};

/// A status that the application reports when it learns it, such as from the responses of a
/// partner, or from a nightly job.
///
/// Before the first report the check is unknown. This never fails `live`. It fails other groups at
/// once, or, with [`expires_after`](Self::expires_after), once that time has passed since the
/// health was built.
///
/// ```
/// use health_core::{Health, Reported};
/// use std::time::Duration;
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
        Self {
            name: name.into(),
            source: Arc::new(Source::new("report", None)),
        }
    }

    /// Sets the age at which a report expires. The check is then
    /// `unavailable: last report 310 s ago`. Must be called before the handle is cloned and before
    /// [`check`](Self::check), because it begins a new status. *Default*: reports do not expire.
    #[must_use]
    pub fn expires_after(self, age: Duration) -> Self {
        Self {
            name: self.name,
            source: Arc::new(Source::new("report", Some(age))),
        }
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

    /// Reports a failure. The message is public.
    pub fn failed(&self, message: impl Into<String>) {
        self.source.report(Report::failed(message));
    }
}
