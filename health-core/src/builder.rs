use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::check::CheckExt;
use crate::clock::SystemClock;
use crate::registry::{BuildError, Registry};
use crate::render::{Renderer, Renderers};
use crate::runner::{Listeners, Runner};
use crate::{Clock, GroupSettings, Health, Settings, StatusListener};

/// Puts a service's health together: checks, settings, groups, formats.
#[derive(Default)]
#[must_use = "call build() at the end"]
pub struct HealthBuilder {
    registry: Registry,
    settings: Settings,
    groups: BTreeMap<String, GroupSettings>,
    renderers: Renderers,
    notice: Option<String>,
    runtime: Option<Handle>,
    clock: Option<Arc<dyn Clock>>,
    pub(crate) listeners: Vec<Box<dyn StatusListener>>,
}

impl HealthBuilder {
    /// Adds a check, with or without options.
    #[doc(alias = "register")]
    pub fn check(mut self, check: impl CheckExt) -> Self {
        self.registry.register(check);
        self
    }

    /// Adds all checks of a registry.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry.extend(registry);
        self
    }

    /// Replaces the settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Declares a group of your own, or sets how `live`, `ready` or `startup` are read.
    #[doc(alias = "SUBSETS")]
    pub fn group(mut self, name: impl Into<String>, settings: GroupSettings) -> Self {
        self.groups.insert(name.into(), settings);
        self
    }

    /// Adds a format, or replaces the one of the same name.
    #[doc(alias = "MainView")]
    pub fn renderer(mut self, renderer: impl Renderer) -> Self {
        self.renderers.register(renderer);
        self
    }

    /// Something that every reader of the page should know.
    pub fn notice(mut self, notice: impl Into<String>) -> Self {
        self.notice = Some(notice.into());
        self
    }

    /// Where runs and background tasks live. *Default*: the runtime that [`build`](Self::build) is called in; without
    /// one, or when that has ended, runs go to the runtime of whoever asks. Its time driver has to be enabled.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Where it reads the time. *Default*: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds it. Runs nothing and works outside of a runtime.
    ///
    /// # Errors
    /// Two checks of one identifier, names of groups or checks that there are not, options and settings that can't be.
    pub fn build(self) -> Result<Health, BuildError> {
        self.validate()?;
        let own_runtime = self.runtime.or_else(|| Handle::try_current().ok());
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let runner =
            Runner::new(self.registry, &self.groups, &self.settings, own_runtime, clock, Listeners(self.listeners))?;
        Ok(Health::new(runner, self.settings, self.renderers, self.notice))
    }

    fn validate(&self) -> Result<(), BuildError> {
        let refuse = |setting, message| Err(BuildError::Setting { setting, message });
        let settings = &self.settings;
        if settings.timeout.is_zero() {
            return refuse("timeout", "must be longer than zero");
        }
        if settings.max_concurrency == 0 {
            return refuse("max_concurrency", "must be at least 1");
        }
        if !(400..=599).contains(&settings.unhealthy_status) {
            return refuse("unhealthy_status", "must be a status code from 400 to 599");
        }
        if http::HeaderValue::from_str(&settings.content_security_policy).is_err() {
            return refuse("content_security_policy", "must be one line of visible ASCII");
        }
        if let Some(token) = &settings.token {
            let is_group = |name: &str| name == token.expose();
            if token.expose().is_empty() || token.expose().contains('/') {
                return refuse("token", "must not be empty and must not contain a slash");
            }
            if self.groups.keys().any(|group| is_group(group)) || ["live", "ready", "startup"].into_iter().any(is_group)
            {
                return refuse("token", "must not be the name of a group");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for HealthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthBuilder").field("registry", &self.registry).finish_non_exhaustive()
    }
}
