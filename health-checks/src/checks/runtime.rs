//! Checks that the Tokio runtime runs its tasks, and that nothing blocks it.
//!
//! A thread of the operating system sends a task to the runtime every 100 ms and measures how long
//! the task waits to run. A blocked runtime is therefore seen even when it cannot respond: in the
//! log, and on a management port, which has a runtime of its own (`listen` of every adapter).
//! Liveness may depend on this check, because a restart unblocks the runtime.
//!
//! ```
//! use health_checks::RuntimeHealthCheck;
//! use health_core::{CheckExt, Health};
//!
//! let health = Health::builder()
//!     .check(RuntimeHealthCheck::default().groups(["live", "ready"]))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use health_core::{
    BoxCheck, Findings, HealthCheck, Result, ResultExt as _, Scope, ServiceUnavailable, Unit,
};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::kind::{CheckSettings, Misconfigured};

/// The interval at which tasks are sent.
const INTERVAL: Duration = Duration::from_millis(100);

/// Measures how long a task waits to run. That is next to nothing unless a worker thread is
/// blocked.
#[derive(Debug)]
pub struct RuntimeHealthCheck {
    runtime: Option<Handle>,
    lag_max: Duration,
    seen: Arc<Mutex<Seen>>,
}

/// The keys of kind `runtime`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RuntimeSettings {
    /// The longest that a task may wait to run.
    #[serde(default = "one_second", with = "health_core::serde_duration")]
    #[cfg_attr(
        feature = "config",
        schemars(with = "crate::support::duration::DurationSchema", extend("default" = "1s"))
    )]
    pub lag_max: Duration,
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

/// The measurements of the watching thread.
#[derive(Debug, Default)]
struct Seen {
    is_watched: bool,
    /// The time at which the task was sent that has not run yet.
    sent: Option<Instant>,
    /// The wait of the last task.
    last: Option<Duration>,
    /// The longest wait of any task since the check last ran.
    longest: Duration,
    /// `true` once the runtime has ended.
    is_gone: bool,
}

impl CheckSettings for RuntimeSettings {
    const KIND: &'static str = "runtime";
    const SUMMARY: &'static str = "the lag of the tasks of the Tokio runtime";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.lag_max.is_zero() {
            return Err(Misconfigured::new("lag_max", "must be longer than zero"));
        }
        Ok(vec![BoxCheck::new(
            RuntimeHealthCheck::default().lag_max(self.lag_max),
        )])
    }
}

impl Default for RuntimeHealthCheck {
    /// Watches the current runtime. Outside of a runtime, watches the one in which the check first
    /// runs.
    fn default() -> Self {
        Self {
            runtime: Handle::try_current().ok(),
            lag_max: one_second(),
            seen: Arc::default(),
        }
    }
}

impl RuntimeHealthCheck {
    /// Creates a check of another runtime than the current one.
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime: Some(runtime),
            ..Self::default()
        }
    }

    /// Sets the longest that a task may wait to run. *Default*: 1 s, which is as long as a prober
    /// waits for its response.
    #[must_use]
    pub fn lag_max(self, lag_max: Duration) -> Self {
        Self { lag_max, ..self }
    }

    fn watch(&self) -> Result {
        let mut seen = lock(&self.seen);
        if seen.is_watched {
            return Ok(());
        }
        let runtime = self.runtime.clone().unwrap_or_else(Handle::current);
        let told = Arc::downgrade(&self.seen);
        let limit = self.lag_max;
        let thread = thread::Builder::new().name("health-runtime".into());
        thread
            .spawn(move || watch(&runtime, &told, limit))
            .or_unavailable("no thread left to watch the runtime with")?;
        seen.is_watched = true;
        Ok(())
    }

    /// Returns the wait of the pending task if it exceeds the limit, and otherwise that of the last
    /// task. Returns `None` until the first task has run.
    fn lag(&self) -> Result<Option<Duration>> {
        let seen = lock(&self.seen);
        if seen.is_gone {
            return Err(ServiceUnavailable::new("the runtime has ended").into());
        }
        let waiting = seen
            .sent
            .map(|sent| sent.elapsed())
            .filter(|waiting| *waiting > self.lag_max);
        Ok(waiting.or(seen.last))
    }
}

impl HealthCheck for RuntimeHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.watch()?;
        let lag = loop {
            match self.lag()? {
                Some(lag) => break lag,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let longest = std::mem::take(&mut lock(&self.seen).longest);
        findings.observe_within(
            "lag",
            lag.as_secs_f64(),
            Unit::Seconds,
            Some(self.lag_max.as_secs_f64()),
        );
        findings.observe("longest lag", longest.max(lag).as_secs_f64(), Unit::Seconds);
        if lag > self.lag_max {
            let lag = lag.as_secs_f64();
            let limit = self.lag_max.as_secs_f64();
            let message = format!(
                "the runtime is blocked: a task waits for {lag:.1} s, the limit is {limit} s"
            );
            return Err(ServiceUnavailable::new(message).into());
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Runtime".into()
    }

    fn scope(&self) -> Scope {
        Scope::Process
    }

    fn runs_apart(&self) -> bool {
        true
    }
}

/// Sends tasks until the check is dropped or the runtime ends.
fn watch(runtime: &Handle, seen: &Weak<Mutex<Seen>>, limit: Duration) {
    while let Some(sent) = note(seen, |seen| *seen.sent.insert(Instant::now())) {
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move { tell.send(Instant::now()) });
        let mut is_late = false;
        let ran = loop {
            match told.recv_timeout(INTERVAL) {
                Ok(ran) => break ran,
                Err(RecvTimeoutError::Disconnected) => {
                    note(seen, |seen| seen.is_gone = true);
                    return;
                }
                Err(RecvTimeoutError::Timeout) if seen.strong_count() == 0 => return,
                Err(RecvTimeoutError::Timeout) => {
                    if !is_late && sent.elapsed() > limit {
                        is_late = true;
                        tracing::warn!(target: "health_check", limit_seconds = limit.as_secs_f64(), "the Tokio runtime is blocked");
                    }
                }
            }
        };
        let lag = ran.saturating_duration_since(sent);
        note(seen, |seen| {
            (seen.sent, seen.last, seen.longest) = (None, Some(lag), seen.longest.max(lag));
        });
        if is_late {
            tracing::info!(target: "health_check", lag_seconds = lag.as_secs_f64(), "the Tokio runtime runs again");
        }
        thread::park_timeout(INTERVAL);
    }
}

/// Updates the measurements. Returns `None` once the check is dropped.
fn note<T>(seen: &Weak<Mutex<Seen>>, write: impl FnOnce(&mut Seen) -> T) -> Option<T> {
    seen.upgrade().map(|seen| write(&mut lock(&seen)))
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
