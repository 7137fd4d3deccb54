//! What asks the process to end.

#[cfg(unix)]
use rustix::process::Signal;

/// Those that a server has its own answers to.
#[cfg(unix)]
const ASKED: [Signal; 3] = [Signal::HUP, Signal::INT, Signal::TERM];

/// The others that would end the process and can be caught.
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

/// Ends when the process is asked to end: by any signal that would end it otherwise and can be caught. The signals are caught
/// as soon as this is called.
#[cfg(unix)]
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    any_of(ASKED.into_iter().chain(OTHERS))
}

/// The same by the signals that no server has an answer to.
#[cfg(unix)]
pub(crate) fn killed() -> impl Future<Output = ()> {
    any_of(OTHERS)
}

#[cfg(unix)]
fn any_of<S: IntoIterator<Item = Signal>>(signals: S) -> impl Future<Output = ()> + use<S> {
    use futures::stream::{FuturesUnordered, StreamExt as _};
    use tokio::signal::unix::{SignalKind, signal};
    let caught = signals.into_iter().filter_map(|kind| signal(SignalKind::from_raw(kind.as_raw())).ok());
    let caught: Vec<_> = caught.collect();
    async move {
        let mut all: FuturesUnordered<_> = caught.into_iter().map(|mut one| async move { one.recv().await }).collect();
        if all.next().await.is_none() {
            std::future::pending::<()>().await; // none can be caught
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

/// From now on SIGHUP does what SIGTERM does: a server whose terminal is closed drains as well.
pub(crate) fn hang_up_is_terminate() {
    #[cfg(unix)]
    {
        use rustix::process::{getpid, kill_process};
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
        tokio::spawn(async move {
            while hang_up.recv().await.is_some() {
                let _ = kill_process(getpid(), Signal::TERM); // it is us: nobody else could refuse it
            }
        });
    }
}
