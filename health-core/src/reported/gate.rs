use std::borrow::Cow;
use std::sync::Arc;

use super::source::Report;
use super::{ReportedCheck, Source};

/// A condition that must be met before the process gets traffic, such as a warm-up, a model that is
/// loaded, or a migration.
///
/// The check of a closed gate is `unavailable`, with the reason as its message.
/// [`build`](crate::HealthBuilder::build) refuses a gate in `live`, because it would restart a
/// process that is still starting.
///
/// ```
/// use health_core::{Gate, Health};
///
/// let gate = Gate::closed("warm-up", "loading the model");
/// let health = Health::builder().check(gate.check()).build()?;
/// gate.open();
/// gate.close("loading another model");
/// # Ok::<(), health_core::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gate {
    name: Cow<'static, str>,
    source: Arc<Source>,
}

impl Gate {
    /// Creates a closed gate with this identifier and this reason. The reason is public.
    pub fn closed(name: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        let gate = Self {
            name: name.into(),
            source: Arc::new(Source::gate()),
        };
        gate.close(reason);
        gate
    }

    /// Returns the check for the builder.
    pub fn check(&self) -> ReportedCheck {
        ReportedCheck::new(self.name.clone(), &self.source)
    }

    /// Opens the gate. Has no effect if it is open.
    pub fn open(&self) {
        self.source.report(Report::working());
    }

    /// Closes the gate, or replaces the reason if it is closed. The reason is public.
    pub fn close(&self, reason: impl Into<String>) {
        self.source.report(Report::failed(reason));
    }
}
