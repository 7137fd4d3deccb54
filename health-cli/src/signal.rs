//! Signals that end the process.

#[cfg(unix)]
use rustix::process::Signal;

/// The signals that a server handles itself.
#[cfg(unix)]
const ASKED: [Signal; 3] = [Signal::HUP, Signal::INT, Signal::TERM];

/// The other signals that would end the process and can be caught.
#[cfg(unix)]
const OTHERS: [Signal; 10] = [
    Signal::QUIT,
    Signal::ABORT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::XCPU,
    Signal::XFSZ,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
];

/// Completes when the process receives a signal that would otherwise end it and can be caught. The
/// signals are caught as soon as this function is called.
#[cfg(unix)]
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    any_of(ASKED.into_iter().chain(OTHERS))
}

/// Like `interrupted`, but only for the signals that a server does not handle itself.
#[cfg(unix)]
pub(crate) fn killed() -> impl Future<Output = ()> {
    any_of(OTHERS)
}

#[cfg(unix)]
fn any_of<S: IntoIterator<Item = Signal>>(signals: S) -> impl Future<Output = ()> + use<S> {
    use futures::stream::{FuturesUnordered, StreamExt as _};
    use tokio::signal::unix::{SignalKind, signal};
    let caught = signals
        .into_iter()
        .filter(|kind| !health_core::is_ignored(kind.as_raw()))
        .filter_map(|kind| signal(SignalKind::from_raw(kind.as_raw())).ok());
    let caught: Vec<_> = caught.collect();
    async move {
        let mut all: FuturesUnordered<_> = caught
            .into_iter()
            .map(|mut one| async move { one.recv().await })
            .collect();
        if all.next().await.is_none() {
            std::future::pending::<()>().await; // no signal can be caught
        }
    }
}

#[cfg(not(unix))]
pub(crate) async fn killed() {
    std::future::pending().await
}

#[cfg(not(unix))]
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Handles SIGHUP like SIGTERM from now on, so that a server also drains when its terminal is
/// closed.
pub(crate) fn handle_hang_up_as_terminate() {
    #[cfg(unix)]
    {
        use rustix::process::{getpid, kill_process};
        use tokio::signal::unix::{SignalKind, signal};
        if health_core::is_ignored(Signal::HUP.as_raw()) {
            return; // as nohup wants it
        }
        let Ok(mut hang_up) = signal(SignalKind::hangup()) else {
            return;
        };
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                crate::output::note(format_args!("SIGHUP: draining, as after SIGTERM"));
                let _ = kill_process(getpid(), Signal::TERM); // a process may always signal itself
            }
        });
    }
}
