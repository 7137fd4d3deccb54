use std::future::Future;

use crate::Health;

impl Health {
    /// Ends when the process should stop serving: for a framework's graceful shutdown.
    ///
    /// SIGTERM drains first: `ready` fails from then on while the service goes on serving for
    /// [`Settings::drain_delay`](crate::Settings::drain_delay), so that balancers see it and stop sending before the
    /// listener closes (Kubernetes sends SIGTERM and takes the pod out of its endpoints at the same time, in no order).
    /// SIGINT, and a second SIGTERM, stop at once. Elsewhere than on Unix, Ctrl-C stops at once.
    ///
    /// Nothing listens for signals before this is called and polled.
    ///
    /// # Panics
    /// Where it is polled outside of a runtime with its IO driver enabled.
    pub fn drain_on_sigterm(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let health = self.clone();
        async move {
            if let Err(error) = health.wait_for_signals().await {
                tracing::error!(%error, "signals can't be listened for: the service will not drain");
                std::future::pending::<()>().await;
            }
        }
    }

    #[cfg(unix)]
    async fn wait_for_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => self.drain(),
        }
        let delay = self.settings().drain_delay;
        tracing::info!(delay_seconds = delay.as_secs_f64(), "draining: ready fails, requests are still served");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    #[cfg(not(unix))]
    async fn wait_for_signals(&self) -> std::io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
