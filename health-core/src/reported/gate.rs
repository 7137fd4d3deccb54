use std::borrow::Cow;
use std::sync::Arc;

use super::source::Report;
use super::{ReportedCheck, Source};

/// A condition without which the process gets no traffic: a warm-up, a model that loads, a migration that runs.
///
/// A closed gate is `unavailable` with its reason. A gate in `live` would restart a process that is busy starting, so it is an error at
/// build.
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
    /// Creates a gate with this identifier, which is closed for this reason. The reason is public.
    pub fn closed(name: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        let gate = Self { name: name.into(), source: Arc::new(Source::gate()) };
        gate.close(reason);
        gate
    }

    /// Returns the check for the builder.
    pub fn check(&self) -> ReportedCheck {
        ReportedCheck::new(self.name.clone(), &self.source)
    }

    /// Opens the gate, any number of times.
    pub fn open(&self) {
        self.source.report(Report::working());
    }

    /// Closes the gate, any number of times. The reason is public.
    pub fn close(&self, reason: impl Into<String>) {
        self.source.report(Report::failed(reason));
    }
}
