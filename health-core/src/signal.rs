use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::Health;
use crate::health::Inner;

impl Health {
    /// Returns a future that ends when the process should stop serving, for the graceful shutdown
    /// of a framework.
    ///
    /// SIGTERM drains first: `ready` fails, while the service continues to serve for
    /// [`Settings::drain_delay`](crate::Settings::drain_delay). In this time balancers notice it,
    /// and stop sending requests before the listener closes. (Kubernetes sends SIGTERM and removes
    /// the pod from its endpoints at the same time, in no particular order.) SIGINT also fails
    /// `ready`, and ends the future at once. So does a second SIGTERM during the delay.
    ///
    /// A later signal ends the process. The framework decides what happens to open connections, and
    /// axum and warp wait for them without limit, unless [`Drained::limit`] sets one. On other
    /// systems than Unix, Ctrl-C ends the future at once.
    ///
    /// A signal that was ignored when the process started, as by `nohup`, stays ignored.
    ///
    /// Within a runtime, this method listens for signals at once, in a task of its own, so the
    /// service drains even if nothing polls the future. Outside of one, the future does so when it
    /// is first polled.
    ///
    /// # Panics
    /// Panics in a runtime whose IO driver is not enabled.
    pub fn drain_on_sigterm(&self) -> Drained {
        let health = Arc::downgrade(&self.0);
        let begin = move || {
            let (drained, waits) = oneshot::channel();
            match Signals::listen() {
                Ok(signals) => drop(tokio::spawn(listen(signals, health, drained))),
                Err(error) => {
                    tracing::error!(%error, "signals can't be received: the service will not drain");
                }
            }
            waits
        };
        let listening = if Handle::try_current().is_ok() {
            Ok(begin())
        } else {
            Err(begin)
        };
        let drained = async move {
            if listening.unwrap_or_else(|begin| begin()).await.is_err() {
                pending::<()>().await; // no signal can be received any more
            }
        };
        Drained(drained.boxed().shared())
    }
}

/// Drains at the first signal, and ends the process at a later one.
async fn listen(signals: Signals, health: Weak<Inner>, drained: oneshot::Sender<()>) {
    let signals = signals.drain(&health).await;
    if let Some(health) = health.upgrade().map(Health) {
        health.stop();
    }
    let _ = drained.send(()); // fails if nothing waits for it
    signals.end().await;
}

/// A future that ends when the process should stop serving; see [`Health::drain_on_sigterm`]. All
/// clones end at the same time.
#[derive(Clone)]
#[must_use = "the service drains, and does not stop: pass it to the graceful shutdown of the server"]
pub struct Drained(Shared<BoxFuture<'static, ()>>);

impl Drained {
    /// Runs a server until it has ended. Returns `None` if it is still running, for instance
    /// because of open connections, this long after it should have stopped.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(health: health_core::Health) {
    /// # fn serve(_: impl Future<Output = ()>) -> impl Future<Output = ()> { std::future::ready(()) }
    /// let drained = health.drain_on_sigterm();
    /// let server = serve(drained.clone()); // its graceful shutdown
    /// drained.limit(Duration::from_secs(20), server).await;
    /// # }
    /// ```
    pub async fn limit<T>(self, time: Duration, server: impl Future<Output = T>) -> Option<T> {
        let late = async {
            self.await;
            tokio::time::sleep(time).await;
        };
        tokio::select! {
            ended = server => Some(ended),
            () = late => None,
        }
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_unpin(context)
    }
}

impl fmt::Debug for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained").finish_non_exhaustive()
    }
}

/// Returns `true` if this signal was ignored when the process started, as `nohup` and shells
/// without job control do it. It should stay ignored. Only Linux tells.
#[doc(hidden)]
pub fn is_ignored(signal: i32) -> bool {
    /// The signals that were ignored before this program installed a handler.
    static IGNORED: LazyLock<u64> = LazyLock::new(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    });
    let bit = u32::try_from(signal - 1).ok();
    bit.and_then(|bit| IGNORED.checked_shr(bit))
        .is_some_and(|rest| rest & 1 == 1)
}

#[cfg(unix)]
struct Signals {
    terminate: Received,
    interrupt: Received,
}

/// A signal; `None` if the process ignores it.
#[cfg(unix)]
struct Received(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Received {
    fn listen(kind: tokio::signal::unix::SignalKind) -> io::Result<Self> {
        if is_ignored(kind.as_raw_value()) {
            return Ok(Self(None));
        }
        Ok(Self(Some(tokio::signal::unix::signal(kind)?)))
    }

    async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => pending().await,
        }
    }
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::SignalKind;
        Ok(Self {
            terminate: Received::listen(SignalKind::terminate())?,
            interrupt: Received::listen(SignalKind::interrupt())?,
        })
    }

    async fn drain(mut self, health: &Weak<Inner>) -> Self {
        let is_interrupt = tokio::select! {
            () = self.interrupt.recv() => true,
            () = self.terminate.recv() => false,
        };
        let Some(health) = health.upgrade().map(Health) else {
            return self;
        };
        health.terminate();
        if is_interrupt {
            tracing::info!("interrupted: ready fails, and the service stops");
            return self;
        }
        let delay = health.settings().drain_delay;
        drop(health);
        tracing::info!(
            delay_seconds = delay.as_secs_f64(),
            "draining: ready fails, requests are still served"
        );
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.interrupt.recv() => {}
            () = self.terminate.recv() => {}
        }
        self
    }

    /// Ends the process at the next signal, with the exit code that a shell reports for that
    /// signal.
    async fn end(mut self) {
        let code = tokio::select! {
            () = self.interrupt.recv() => 130,
            () = self.terminate.recv() => 143,
        };
        tracing::warn!("a second signal: open connections are lost");
        std::process::exit(code);
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

    async fn drain(self, _: &Weak<Inner>) -> Self {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
        self
    }

    async fn end(self) {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    }
}
