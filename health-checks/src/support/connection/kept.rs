//! Connections that belong to a check.
//!
//! A run has two parts. The *greeting* is cheap, and may be sent twice; the *probe* is what the
//! check is about, and is sent once in a run, on a connection that has just answered the greeting:
//!
//! ```text
//! no connection ──open──> greeting ──────────> probe ──> kept
//! kept ─────────────────> greeting ──────────> probe ──> kept
//!        lost: at once ──open──> greeting ───> probe ──> kept
//!        silent: after the head start, open and greeting beside it; the first answer counts
//! ```

mod shared;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use health_core::{
    FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret, ServiceUnavailable,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{ProbeError, Probed};
use super::{SHARE_OF_RUN, share_of_time};
use shared::{Open, Shared};

/// The longest that a kept connection may be silent before a new one is opened beside it, unless
/// the server has been slower than that before.
const HEAD_START: Duration = Duration::from_secs(1);

/// The share of a run's time for the same, if the run has less than a few seconds.
const SHARE_OF_HEAD_START: f64 = 0.25;

/// The protocol of a server, as a check uses it.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// A connection that is logged in.
    type Connection: Send + 'static;

    /// The result of the greeting.
    type Greeting: Send;

    /// The message of a run in which the server did not answer in time.
    const SILENCE: &'static str = "the server does not answer";

    /// `true` if a connection is kept for the next run. *Default*: `true`.
    const IS_KEPT: bool = true;

    /// Returns the secrets of the login, which no error of a run may show. A URL is one of them.
    fn secrets(&self) -> Vec<Secret>;

    /// Connects and logs in.
    fn open(&self) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Asks for a first answer. It has to be cheap and without effect, because it is sent again on
    /// a new connection if a kept one is lost or silent.
    fn greet(
        &self,
        connection: &mut Self::Connection,
        findings: &Findings,
    ) -> impl Future<Output = Probed<Self::Greeting>> + Send;

    /// Probes the server, which has just answered the greeting on this connection. It is called
    /// once in a run at most, so that no server works at the same request twice.
    fn probe(
        &self,
        connection: &mut Self::Connection,
        greeting: Self::Greeting,
        findings: &Findings,
    ) -> impl Future<Output = Probed> + Send;

    /// Closes the connection properly, so that the server does not count a lost client. *Default*:
    /// drops the connection.
    fn close(connection: Self::Connection) -> impl Future<Output = ()> + Send {
        drop(connection);
        std::future::ready(())
    }
}

/// A connection that is opened by the run that needs it, and kept for at most `reconnect`, idle or
/// not. An error that the server sends does not end it.
pub(crate) struct Kept<P: Protocol> {
    protocol: Arc<P>,
    shared: Arc<Shared<P>>,
}

/// The time of a run.
#[derive(Clone, Copy)]
struct Run<'f> {
    findings: &'f Findings,
    time: Duration,
    deadline: Instant,
}

/// A connection on which the server has answered the greeting.
type Greeted<P> = (Open<P>, <P as Protocol>::Greeting);

impl<P: Protocol> Clone for Kept<P> {
    /// Returns a handle to the same connection.
    fn clone(&self) -> Self {
        Self {
            protocol: Arc::clone(&self.protocol),
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Leaves out the protocol, which holds secrets.
impl<P: Protocol> std::fmt::Debug for Kept<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl<P: Protocol> Kept<P> {
    pub(crate) fn new(protocol: P) -> Self {
        Self {
            protocol: Arc::new(protocol),
            shared: Arc::new(Shared::new()),
        }
    }

    /// Probes the server.
    pub(crate) async fn check(&self, findings: &Findings) -> Result {
        for secret in self.protocol.secrets() {
            findings.conceal(&secret);
        }
        let time = share_of_time(findings, SHARE_OF_RUN);
        let run = Run {
            findings,
            time,
            deadline: Instant::now() + time,
        };
        let (mut open, greeting) = match self.shared.take_idle(findings.reconnect()) {
            Some(kept) => self.greet_kept(kept, run).await,
            None => self.greet_new(run).await,
        }?;
        let probe = self.protocol.probe(open.get(), greeting, findings);
        let outcome = in_time::<P, _>(run, probe).await;
        if !matches!(outcome, Err(ProbeError::Broken(_))) {
            self.shared.put_back(open, findings.reconnect());
        }
        Ok(outcome?)
    }

    /// Greets the server on a kept connection. If that is lost, or if it is silent for the head
    /// start, does so on a new one. While both are silent, the first answer counts, because a
    /// server that is slow is no reason to ask it again.
    async fn greet_kept(&self, kept: Open<P>, run: Run<'_>) -> Probed<Greeted<P>> {
        let head_start = self.head_start(run.findings);
        let mut kept = pin!(self.greet(kept, run));
        match timeout(head_start, &mut kept).await {
            Ok(Err(ProbeError::Broken(_))) if Instant::now() < run.deadline => {
                return self.greet_new(run).await;
            }
            Ok(answered) => return answered,
            Err(_) => {}
        }
        let mut new = pin!(self.greet_new(run));
        tokio::select! {
            biased;
            answered = &mut kept => match answered {
                Err(ProbeError::Broken(_)) => new.await,
                answered => answered,
            },
            answered = &mut new => match answered {
                // The error of the new connection says more than the silence of the kept one.
                Err(ProbeError::Broken(error)) => match kept.await {
                    Err(ProbeError::Broken(_)) => Err(ProbeError::Broken(error)),
                    answered => answered,
                },
                answered => answered,
            },
        }
    }

    async fn greet_new(&self, run: Run<'_>) -> Probed<Greeted<P>> {
        let opened = self.open(run).await.map_err(ProbeError::Broken)?;
        self.greet(opened, run).await
    }

    /// Greets the server on one connection, and keeps the connection if the answer is an error.
    async fn greet(&self, mut open: Open<P>, run: Run<'_>) -> Probed<Greeted<P>> {
        let began = Instant::now();
        let greeting = in_time::<P, _>(run, self.protocol.greet(open.get(), run.findings)).await;
        if matches!(greeting, Err(ProbeError::Broken(_))) {
            return greeting.map(|greeting| (open, greeting));
        }
        self.shared.has_answered(began.elapsed());
        match greeting {
            Ok(greeting) => Ok((open, greeting)),
            Err(error) => {
                self.shared.put_back(open, run.findings.reconnect());
                Err(error)
            }
        }
    }

    /// Returns the time for which a kept connection may be silent: twice what the last answer
    /// took, if that is more, so that a server that is always slow gets one connection.
    fn head_start(&self, findings: &Findings) -> Duration {
        let head_start = share_of_time(findings, SHARE_OF_HEAD_START).min(HEAD_START);
        head_start.max(self.shared.last_answer().saturating_mul(2))
    }

    /// Returns a new connection, from the attempt under way if there is one, and from a new attempt
    /// otherwise.
    async fn open(&self, run: Run<'_>) -> Result<Open<P>> {
        let mut own = None;
        loop {
            let changed = self.shared.changed(); // before the state is read, so that no change is missed
            if let Some(opened) = self.shared.opened(&self.protocol, run, &mut own) {
                return opened;
            }
            if timeout_at(run.deadline, changed).await.is_err() {
                return Err(silence::<P>());
            }
        }
    }
}

/// Bounds a part of a run by the time of the run.
async fn in_time<P: Protocol, T>(run: Run<'_>, part: impl Future<Output = Probed<T>>) -> Probed<T> {
    let outcome = timeout_at(run.deadline, part).await;
    outcome.unwrap_or_else(|_| Err(ProbeError::Broken(silence::<P>())))
}

fn silence<P: Protocol>() -> HealthCheckException {
    ServiceUnavailable::new(P::SILENCE)
        .with_kind(FailureKind::TimedOut)
        .into()
}

/// Runs the probe of any protocol as a check.
impl<P: Protocol> HealthCheck for Kept<P> {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.check(findings).await
    }
}
