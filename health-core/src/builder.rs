use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::check::CheckExt;
use crate::clock::SystemClock;
use crate::engine::home::Home;
use crate::interceptor::Interceptors;
use crate::registry::{BuildError, Registry};
use crate::render::{Renderer, Renderers};
use crate::runner::{Listeners, Runner, build_plans};
use crate::{
    Clock, GroupSettings, Health, Interceptor, Runtime, Settings, StatusListener, settings,
};

/// Builds a [`Health`] from checks, settings, groups and formats.
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
    interceptors: Vec<Box<dyn Interceptor>>,
}

impl HealthBuilder {
    /// Adds a check, with or without options.
    #[doc(alias = "register")]
    pub fn check(mut self, check: impl CheckExt) -> Self {
        self.registry.register(check);
        self
    }

    /// Adds several checks. Checks of different types are boxed first:
    ///
    /// ```
    /// use health_core::{CheckExt, Health, check_fn};
    ///
    /// let checks = [
    ///     check_fn("cache", || async { Ok(()) }).boxed(),
    ///     check_fn("queue", || async { Ok(()) })
    ///         .non_critical()
    ///         .boxed(),
    /// ];
    /// let health = Health::builder().checks(checks).build()?;
    /// # Ok::<(), health_core::BuildError>(())
    /// ```
    pub fn checks<C: CheckExt>(mut self, checks: impl IntoIterator<Item = C>) -> Self {
        checks
            .into_iter()
            .for_each(|check| self.registry.register(check));
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

    /// Removes a format, such as `html`. An unknown name is ignored.
    pub fn without_format(mut self, format: &str) -> Self {
        self.renderers.remove(format);
        self
    }

    /// Sets a notice that every reader of the page sees.
    pub fn notice(mut self, notice: impl Into<String>) -> Self {
        self.notice = Some(notice.into());
        self
    }

    /// Sets the runtime of runs and background tasks; its time driver has to be enabled. *Default*:
    /// the runtime in which [`build`](Self::build) is called. Without one, or when it has shut
    /// down, they live on a runtime of the engine's own with two threads.
    pub fn runtime(mut self, runtime: impl Into<Runtime>) -> Self {
        self.runtime = Some(runtime.into().0);
        self
    }

    /// Adds an interceptor, which wraps every run of every check. The first one is the outermost.
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(Box::new(interceptor));
        self
    }

    /// Sets the clock. *Default*: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the health. Runs no check, and may be called outside of a runtime.
    ///
    /// # Errors
    /// Fails for two checks with the same identifier, for unknown groups and checks, and for
    /// invalid options and settings. The error lists all of them.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_mut, reason = "metrics are a listener")
    )]
    pub fn build(mut self) -> Result<Health, BuildError> {
        let mut faults = settings::faults(
            &self.settings,
            &self.renderers,
            self.groups.keys().map(String::as_str),
        );
        let (cells, plans) = build_plans(self.registry, &self.groups, &self.settings, &mut faults);
        let home = Home::new(self.runtime.or_else(|| Handle::try_current().ok()));
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let mut interceptors = Interceptors::default();
        interceptors.0.extend(self.interceptors);
        #[cfg(feature = "metrics")]
        self.listeners.push(Box::new(crate::metrics::Metrics));
        let listeners = Listeners(self.listeners);
        let runner = Runner::new(
            cells,
            plans,
            &self.settings,
            home,
            clock,
            listeners,
            interceptors,
        );
        faults.extend(runner.attach());
        BuildError::check(faults)?;
        Ok(Health::new(
            runner,
            self.settings,
            self.renderers,
            self.notice,
        ))
    }
}

impl fmt::Debug for HealthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthBuilder")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
