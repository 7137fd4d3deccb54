use std::future::{Future, pending};
use std::io;

use tokio::runtime::Handle;

use crate::Health;

impl Health {
    /// Ends when the process should stop serving: for a framework's graceful shutdown.
    ///
    /// SIGTERM drains first: `ready` fails from then on while the service goes on serving for
    /// [`Settings::drain_delay`](crate::Settings::drain_delay), so that balancers see it and stop sending before the
    /// listener closes (Kubernetes sends SIGTERM and takes the pod out of its endpoints at the same time, in no order).
    /// SIGINT, and a second SIGTERM, end the delay at once. What the framework then does with open connections is its
    /// own: axum and warp wait for them without limit. Elsewhere than on Unix, Ctrl-C stops at once.
    ///
    /// Called within a runtime it listens for signals at once, otherwise from when it is first polled.
    ///
    /// # Panics
    /// In a runtime whose IO driver is not enabled.
    pub fn drain_on_sigterm(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let health = self.clone();
        let listening = Handle::try_current().is_ok().then(Signals::listen);
        async move {
            match listening.unwrap_or_else(Signals::listen) {
                Ok(signals) => signals.drain(&health).await,
                Err(error) => {
                    tracing::error!(%error, "signals can't be listened for: the service will not drain");
                    pending::<()>().await;
                }
            }
        }
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn drain(mut self, health: &Health) {
        tokio::select! {
            _ = self.interrupt.recv() => return,
            _ = self.terminate.recv() => health.drain(),
        }
        let delay = health.settings().drain_delay;
        tracing::info!(delay_seconds = delay.as_secs_f64(), "draining: ready fails, requests are still served");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "it may fail elsewhere")]
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn drain(self, _: &Health) {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    }
}
