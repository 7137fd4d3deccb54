//! Checks that the application reports, instead of the engine probing them.
//!
//! A report is visible in the next read. The handles are cheap to clone, and `check()` returns the
//! check for the builder:
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use std::time::Duration;
//! use health_core::{Gate, Health, Heartbeat};
//!
//! let mailer = Heartbeat::new("mailer", Duration::from_secs(30));
//! let model = Gate::closed("model", "loading the model");
//! let health = Health::builder().check(mailer.check()).check(model.check()).build()?;
//!
//! mailer.beat(); // in the loop of the mailer
//! assert!(!health.report().await.healthy);
//! model.open();
//! assert!(health.report().await.healthy);
//! # Ok::<(), health_core::BuildError>(())
//! # }).unwrap();
//! ```

mod gate;
mod heartbeat;
mod source;
mod status;
mod task;

use std::borrow::Cow;
use std::sync::Arc;

pub use gate::Gate;
pub use heartbeat::{Heartbeat, HeartbeatGuard};
pub use source::Source;
pub(crate) use source::{Report, Sink};
pub use status::Reported;
pub use task::{WatchedTask, watch_task};

use crate::{Findings, HealthCheck, Result, Scope};

/// The check of a [`Heartbeat`], a [`Reported`], a [`Gate`] or a [watched task](watch_task).
#[derive(Debug, Clone)]
pub struct ReportedCheck {
    name: Cow<'static, str>,
    source: Arc<Source>,
}

impl ReportedCheck {
    fn new(name: Cow<'static, str>, source: &Arc<Source>) -> Self {
        Self {
            name,
            source: Arc::clone(source),
        }
    }
}

impl HealthCheck for ReportedCheck {
    /// Returns the last report.
    async fn check_status(&self, _: &Findings) -> Result {
        self.source.result()
    }

    fn identifier(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn scope(&self) -> Scope {
        Scope::Process
    }

    fn reported(&self) -> Option<&Arc<Source>> {
        Some(&self.source)
    }
}
