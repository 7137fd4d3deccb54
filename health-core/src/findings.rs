use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::named::named;
use crate::{HealthCheckException, Secret, Shown};

/// The maximum number of errors, and of observations, per row. A check in a loop must not fill the
/// memory.
const MOST: usize = 64;

/// The errors and observations that a check reports besides its result. A cheap handle: clone it
/// into the tasks that the check starts.
///
/// The row contains them even if the run ends with a timeout or a panic, or if a reader's budget
/// ends before. When the run ends, the findings are sealed. What is reported later is dropped.
///
/// ```
/// use health_core::{Findings, ServiceWarning, Unit, check_fn_with};
///
/// let check = check_fn_with("Shards", |findings: Findings| async move {
///     for (shard, lag) in [("a", 0.2), ("b", 31.0)] {
///         findings.observe(format!("lag_{shard}"), lag, Unit::Seconds);
///         if lag > 30.0 {
///             findings.add_error(ServiceWarning::new(format!("shard {shard} lags")));
///         }
///     }
///     Ok(())
/// });
/// # let _ = check;
/// ```
#[derive(Clone, Default)]
pub struct Findings(Arc<Mutex<Found>>);

#[derive(Default)]
struct Found {
    errors: Vec<HealthCheckException>,
    observations: Vec<Observation>,
    deadline: Option<Instant>,
    reconnect: Option<Duration>,
    secrets: Vec<Secret>,
    shown: Option<Shown>,
    sealed: bool,
}

/// The outcome of a run besides the result of the check.
pub(crate) struct Sealed {
    pub(crate) errors: Vec<HealthCheckException>,
    pub(crate) observations: Vec<Observation>,
    /// The secrets that the errors must not show.
    pub(crate) secrets: Vec<Secret>,
    /// A verdict in place of that of the run.
    pub(crate) shown: Option<Shown>,
}

impl Findings {
    /// Adds an error to the row. Any number of them may be reported; the first 64 are kept.
    pub fn add_error(&self, error: impl Into<HealthCheckException>) {
        let error = error.into(); // before the lock, because it may run foreign code
        let mut found = self.lock();
        if !found.sealed && found.errors.len() < MOST {
            found.errors.push(error);
        }
    }

    /// Reports a measured value. A later value of the same name replaces it. A value that is not
    /// finite is dropped.
    ///
    /// Names are `snake_case` and stable, because they become labels of metrics.
    pub fn observe(&self, name: impl Into<Cow<'static, str>>, value: impl Into<f64>, unit: Unit) {
        self.add(Observation::new(name, value.into(), unit));
    }

    /// Reports a measured value, and the limit at which the check warns or fails, if there is one.
    /// The page draws the value against it.
    ///
    /// ```
    /// use health_core::{Findings, Unit};
    ///
    /// Findings::default().observe_within("used", 54.4, Unit::Percent, Some(90.0));
    /// ```
    pub fn observe_within(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<f64>,
        unit: Unit,
        limit: Option<f64>,
    ) {
        let limit = limit.filter(|limit| limit.is_finite() && *limit > 0.0);
        self.add(Observation {
            limit,
            ..Observation::new(name, value.into(), unit)
        });
    }

    fn add(&self, observation: Observation) {
        let mut found = self.lock();
        if found.sealed || !observation.value.is_finite() {
            return;
        }
        if let Some(known) = found
            .observations
            .iter_mut()
            .find(|known| known.name == observation.name)
        {
            *known = observation;
        } else if found.observations.len() < MOST {
            found.observations.push(observation);
        }
    }

    /// Replaces a secret by `***` in all errors of this run, and in their causes, before they are
    /// shown or logged. A driver or a server may quote what it was sent: a check that logs in
    /// somewhere calls this with everything that it sends and nobody may read.
    ///
    /// The secret may be a URL. Then its password, its parameters such as `password` or `token`,
    /// and the URL as a whole are replaced. Its host and its user are not, unless the user looks
    /// like a token. A token that follows a word such as `Bearer` is replaced without that word,
    /// too. All are also replaced where they are percent-encoded, escaped, or in base64. A secret
    /// of one or two characters is not replaced, because the text around it would become
    /// unreadable.
    ///
    /// ```
    /// use health_core::{Findings, ResultExt, Secret, check_fn_with};
    ///
    /// let token = Secret::from("Bearer 7h3-t0k3n");
    /// let check = check_fn_with("search", move |findings: Findings| {
    ///     let token = token.clone();
    ///     async move {
    ///         findings.conceal(&token);
    ///         let answer = Err("unknown token: 7h3-t0k3n");
    ///         answer.or_unavailable("the search does not answer") // the log says: unknown token: ***
    ///     }
    /// });
    /// # let _ = check;
    /// ```
    pub fn conceal(&self, secret: &Secret) {
        let mut found = self.lock();
        if !found.sealed && !found.secrets.contains(secret) {
            found.secrets.push(secret.clone());
        }
    }

    /// Shows a whole verdict as the result of this run, for a check that wraps others or that knows
    /// the answer from elsewhere. The verdict has its own age, and the run counts for nothing
    /// itself: it is fresh until [`Shown::new`]'s `next`, in place of a `ttl`. A verdict with the
    /// time and the status of the last one is shown again, and is no run: it moves no threshold, no
    /// hold and no history.
    ///
    /// An error of the run, returned or [added](Self::add_error), takes precedence. A later call
    /// replaces an earlier one. [`run`](crate::run) has an example.
    pub fn show(&self, shown: Shown) {
        let mut found = self.lock();
        if !found.sealed {
            found.shown = Some(shown);
        }
    }

    /// Returns the time left until the run's timeout, for a check that gives up by itself and says
    /// why.
    ///
    /// Returns [`Duration::MAX`] outside of a run.
    pub fn time_left(&self) -> Duration {
        self.lock().deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }

    /// Returns the maximum age of a connection of the check's own, idle or not: see
    /// [`Settings::reconnect`](crate::Settings::reconnect). Returns 30 s outside of a run.
    pub fn reconnect(&self) -> Duration {
        self.lock().reconnect.unwrap_or(Duration::from_secs(30))
    }

    /// Begins a run with its limits.
    pub(crate) fn begin(&self, deadline: Option<Instant>, reconnect: Duration) {
        let mut found = self.lock();
        (found.deadline, found.reconnect) = (deadline, Some(reconnect));
        // Of an attempt whose runtime has ended.
        found.errors.clear();
        found.observations.clear();
        found.shown = None;
    }

    /// Ends the run: returns what was reported, and drops what is reported later.
    pub(crate) fn seal(&self) -> Sealed {
        let mut found = self.lock();
        found.sealed = true;
        Sealed {
            errors: std::mem::take(&mut found.errors),
            observations: std::mem::take(&mut found.observations),
            secrets: std::mem::take(&mut found.secrets),
            shown: found.shown.take(),
        }
    }

    /// Returns the observations so far, of a run that has not ended.
    pub(crate) fn observed(&self) -> Vec<Observation> {
        self.lock().observations.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // Nothing panics while the lock is held. If it were poisoned, the findings could still be
        // used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.lock();
        f.debug_struct("Findings")
            .field("errors", &found.errors)
            .field("observations", &found.observations)
            .finish()
    }
}

/// A value that a check measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Observation {
    /// The name of what was measured, in `snake_case`.
    pub name: Cow<'static, str>,
    /// The value, which is finite.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// The value at which the check warns or fails, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

impl Observation {
    /// Creates an observation without a limit, for tests and for reports that are built by hand.
    pub fn new(name: impl Into<Cow<'static, str>>, value: f64, unit: Unit) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            limit: None,
        }
    }
}

/// Shows the value with its unit, for people: `91.2 %`, `812.5 MiB`, `3.4 ms`.
impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let rounded = |value: f64| (value * 10.0).round() / 10.0;
        match self.unit {
            Unit::Percent => write!(f, "{} %", rounded(self.value)),
            Unit::Bytes => {
                let mut value = self.value;
                let mut power = 0;
                while value.abs() >= 1024.0 && power + 1 < BINARY.len() {
                    (value, power) = (value / 1024.0, power + 1);
                }
                write!(f, "{} {}", rounded(value), BINARY[power])
            }
            Unit::Seconds if self.value.abs() < 1.0 => {
                write!(f, "{} ms", rounded(self.value * 1e3))
            }
            Unit::Seconds => write!(f, "{} s", rounded(self.value)),
            Unit::Count => write!(f, "{}", rounded(self.value)),
        }
    }
}

/// The unit of an [`Observation`]. Units are base units, as Prometheus expects them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Percent, from 0 to 100.
    Percent,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A number of things.
    Count,
}

named!("unit", Unit { Percent => "percent", Bytes => "bytes", Seconds => "seconds", Count => "count" });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceWarning;

    #[test]
    fn sealed_findings_take_nothing_more() {
        let findings = Findings::default();
        findings.observe("used", 1.0, Unit::Percent);
        findings.add_error(ServiceWarning::new("one"));
        findings.conceal(&"hunter2".into());
        findings.conceal(&"hunter2".into());
        let sealed = findings.seal();
        assert_eq!(sealed.errors.len(), 1);
        assert_eq!(sealed.observations.len(), 1);
        assert_eq!(sealed.secrets.len(), 1);
        findings.observe("used", 2.0, Unit::Percent);
        findings.add_error(ServiceWarning::new("late"));
        let sealed = findings.seal();
        assert_eq!(sealed.errors.len(), 0);
        assert_eq!(sealed.observations.len(), 0);
    }

    #[test]
    fn an_observation_is_replaced_bounded_and_finite() {
        let findings = Findings::default();
        for value in 0..200_i32 {
            findings.observe("same", value, Unit::Count);
            findings.observe(format!("n{value}"), f64::NAN, Unit::Count);
            findings.add_error(ServiceWarning::new("again"));
        }
        assert_eq!(
            findings.observed(),
            [Observation::new("same", 199.0, Unit::Count)]
        );
        assert_eq!(findings.seal().errors.len(), MOST);
    }

    #[test]
    fn observations_read_well() {
        let shown = |value, unit| Observation::new("x", value, unit).to_string();
        assert_eq!(shown(91.24, Unit::Percent), "91.2 %");
        assert_eq!(shown(852_000_000.0, Unit::Bytes), "812.5 MiB");
        assert_eq!(shown(0.0034, Unit::Seconds), "3.4 ms");
        assert_eq!(shown(3.0, Unit::Count), "3");
    }
}
