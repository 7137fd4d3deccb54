//! Messages to the service manager:
//! [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use health_core::{Health, Status, StatusListener, Transition};

/// Returns a listener that sends the state of the checks on each change.
pub(crate) fn listener() -> impl StatusListener {
    let seen = Mutex::new(BTreeMap::new());
    move |transition: &Transition| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(transition.check.clone(), transition.to);
        notify::status(&sum(&seen));
    }
}

/// Reports that the sockets are listening. If the watchdog is enabled, also notifies it regularly
/// while `live` is healthy.
pub(crate) fn is_ready(health: &Health) {
    notify::ready();
    if let Some(period) = notify::watchdog() {
        let health = health.clone();
        tokio::spawn(async move {
            let mut turns = tokio::time::interval(period / 2);
            let live = health_core::Selection::default().group("live");
            loop {
                turns.tick().await;
                if health.read(&live).await.is_ok_and(|report| report.healthy) {
                    notify::alive();
                }
            }
        });
    }
}

pub(crate) fn stops() {
    notify::stopping();
}

fn sum(seen: &BTreeMap<String, Status>) -> String {
    let wrong = seen
        .iter()
        .filter(|(_, status)| **status != Status::Working);
    let wrong: Vec<_> = wrong
        .map(|(name, status)| format!("{name} {}", status.as_str()))
        .collect();
    let working = format!(
        "{} of {} checks working",
        seen.len() - wrong.len(),
        seen.len()
    );
    // The message is a single line, whatever the names of the checks contain.
    let sum = if wrong.is_empty() {
        working
    } else {
        format!("{working}: {}", wrong.join(", "))
    };
    sum.replace(['\n', '\r'], " ")
}

#[cfg(unix)]
mod notify {
    use std::time::Duration;

    use sd_notify::{NotifyState, notify};

    /// Sends a message. Errors are ignored, because the server works without a service manager.
    fn say(state: NotifyState<'_>) {
        let _ = notify(&[state]);
    }

    pub(super) fn ready() {
        say(NotifyState::Ready);
    }

    pub(super) fn status(text: &str) {
        say(NotifyState::Status(text));
    }

    pub(super) fn alive() {
        say(NotifyState::Watchdog);
    }

    pub(super) fn stopping() {
        say(NotifyState::Stopping);
    }

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled().filter(|period| !period.is_zero())
    }
}

#[cfg(not(unix))]
mod notify {
    use std::time::Duration;

    pub(super) fn ready() {}

    pub(super) fn status(_: &str) {}

    pub(super) fn alive() {}

    pub(super) fn stopping() {}

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }
}
