//! Connections that belong to a check.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use health_core::{
    FailureKind, Findings, HealthCheck, HealthCheckException, Result,
    ServiceReturnedUnexpectedResult, ServiceUnavailable, cleanup,
};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::{OLDEST_ATTEMPT, SHARE_OF_RUN, share_of_time};

/// The longest that closing a connection may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The most attempts to connect that are under way at the same time. A handshake is never
/// interrupted: servers count interrupted handshakes, and lock out a host that has too many of
/// them.
const MOST_ATTEMPTS: usize = 4;

/// The shortest time for which a connection stays available to the next run if no run waits for it
/// any more.
const UNTAKEN: Duration = Duration::from_secs(1);

/// The share of a run's time that a kept connection may take, so that a new one has the rest.
const SHARE_OF_KEPT: f64 = 0.5;

/// The protocol of a server, as a check uses it.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// A connection that is logged in.
    type Connection: Send + 'static;

    /// The message of a run in which the server did not answer in time.
    const SILENCE: &'static str = "the server does not answer";

    /// `true` if a connection is kept for the next run. *Default*: `true`.
    const IS_KEPT: bool = true;

    /// Connects and logs in.
    fn open(&self) -> impl Future<Output = Result<Self::Connection>> + Send;

    /// Probes the server. If this fails on a kept connection, it is called again on a new one.
    fn probe(
        &self,
        connection: &mut Self::Connection,
        findings: &Findings,
    ) -> impl Future<Output = Result> + Send;

    /// Closes the connection properly, so that the server does not count a lost client. *Default*:
    /// drops the connection.
    fn close(connection: Self::Connection) -> impl Future<Output = ()> + Send {
        drop(connection);
        std::future::ready(())
    }
}

/// A connection that is opened by the run that needs it, and kept for at most `reconnect`, idle or
/// not. If it fails, it is replaced once within the run, and the result on the new connection
/// counts.
pub(crate) struct Kept<P: Protocol> {
    protocol: Arc<P>,
    shared: Arc<Shared<P>>,
}

struct Shared<P: Protocol> {
    state: Mutex<State<P>>,
    changed: Notify,
}

struct State<P: Protocol> {
    idle: Option<Open<P>>,
    attempts: Vec<Attempt>,
    /// The number and the error of the last attempt that failed.
    failed: Option<(u64, HealthCheckException)>,
    next: u64,
}

/// An open connection, which is closed properly when it is dropped.
struct Open<P: Protocol> {
    /// `None` once the connection is dropped.
    connection: Option<P::Connection>,
    since: Instant,
    /// Drops the connection when it is idle and too old.
    reaper: AbortHandle,
}

/// An attempt to open a connection.
struct Attempt {
    number: u64,
    began: Instant,
    task: AbortHandle,
}

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
        let state = State {
            idle: None,
            attempts: Vec::new(),
            failed: None,
            next: 0,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
        };
        Self {
            protocol: Arc::new(protocol),
            shared: Arc::new(shared),
        }
    }

    /// Probes the server.
    pub(crate) async fn check(&self, findings: &Findings) -> Result {
        if let Some(kept) = self.shared.take_idle(findings.reconnect()) {
            let limit = share_of_time(findings, SHARE_OF_KEPT);
            if self.probe(kept, limit, findings).await.is_ok() {
                return Ok(());
            }
        }
        let new = self.open(findings).await?;
        self.probe(new, share_of_time(findings, SHARE_OF_RUN), findings)
            .await
    }

    /// Probes one connection, and keeps it if the probe succeeds.
    async fn probe(&self, mut open: Open<P>, limit: Duration, findings: &Findings) -> Result {
        let Some(connection) = &mut open.connection else {
            return Err(silence::<P>());
        };
        let outcome = timeout(limit, self.protocol.probe(connection, findings)).await;
        outcome.unwrap_or_else(|_| Err(silence::<P>()))?;
        self.shared.put_back(open, findings.reconnect());
        Ok(())
    }

    /// Returns a new connection, from the attempt under way if there is one, and from a new attempt
    /// otherwise.
    async fn open(&self, findings: &Findings) -> Result<Open<P>> {
        let limit = share_of_time(findings, SHARE_OF_RUN);
        let reconnect = findings.reconnect();
        let deadline = Instant::now() + limit;
        let mut own = None;
        loop {
            let changed = self.shared.changed.notified(); // before the state is read, so that no change is missed
            {
                let mut state = self.shared.lock();
                if let Some(open) = state.idle.take() {
                    return Ok(open);
                }
                if let Some((number, error)) = state.failed.take()
                    && Some(number) == own
                {
                    return Err(error);
                }
                // An attempt that began before this run and failed meanwhile says nothing about the
                // present.
                if state.wants_attempt(limit) {
                    own = Some(self.begin(&mut state, reconnect));
                }
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Err(silence::<P>());
            }
        }
    }

    /// Starts an attempt, which outlives the run.
    fn begin(&self, state: &mut State<P>, reconnect: Duration) -> u64 {
        let number = state.next;
        state.next += 1;
        let ended = Ended {
            shared: Arc::downgrade(&self.shared),
            number,
        };
        let protocol = Arc::clone(&self.protocol);
        let task = tokio::spawn(async move {
            let outcome = protocol.open().await;
            ended.with(outcome, reconnect);
        });
        state.attempts.push(Attempt {
            number,
            began: Instant::now(),
            task: task.abort_handle(),
        });
        number
    }
}

fn silence<P: Protocol>() -> HealthCheckException {
    ServiceUnavailable::new(P::SILENCE)
        .with_kind(FailureKind::TimedOut)
        .into()
}

impl<P: Protocol> State<P> {
    /// Returns `true` if another attempt has to begin: none is under way, or the youngest has had
    /// the time of a whole run and there are not too many.
    fn wants_attempt(&mut self, run: Duration) -> bool {
        self.attempts.retain(|attempt| {
            let is_too_old = attempt.began.elapsed() > OLDEST_ATTEMPT;
            if is_too_old {
                attempt.task.abort();
            }
            !is_too_old
        });
        let youngest = self.attempts.iter().map(|attempt| attempt.began).max();
        youngest.is_none_or(|began| began.elapsed() >= run && self.attempts.len() < MOST_ATTEMPTS)
    }
}

impl<P: Protocol> Drop for Open<P> {
    fn drop(&mut self) {
        self.reaper.abort();
        if let Some(connection) = self.connection.take() {
            cleanup(async move {
                let _ = timeout(GOODBYE, P::close(connection)).await; // an error does not matter
            });
        }
    }
}

impl<P: Protocol> Shared<P> {
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the idle connection, unless it is too old.
    fn take_idle(&self, reconnect: Duration) -> Option<Open<P>> {
        let open = self.lock().idle.take();
        open.filter(|open| open.since.elapsed() < reconnect)
    }

    fn put_back(&self, open: Open<P>, reconnect: Duration) {
        if P::IS_KEPT && open.since.elapsed() < reconnect {
            let _other = self.lock().idle.replace(open); // the connection of a concurrent run
        }
    }
}

/// Aborts the attempts under way when the last clone is dropped. The idle connection is dropped as
/// well.
impl<P: Protocol> Drop for Shared<P> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state
            .attempts
            .drain(..)
            .for_each(|attempt| attempt.task.abort());
    }
}

/// Removes an attempt from the list when it ends, even if its task is dropped with its runtime.
struct Ended<P: Protocol> {
    shared: Weak<Shared<P>>,
    number: u64,
}

impl<P: Protocol> Ended<P> {
    fn with(self, outcome: Result<P::Connection>, reconnect: Duration) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        match outcome {
            Ok(connection) => {
                let since = Instant::now();
                let reaper =
                    tokio::spawn(reap(Weak::clone(&self.shared), since, reconnect)).abort_handle();
                // The run that waits gets the connection, however short `reconnect` is.
                let open = Open {
                    connection: Some(connection),
                    since,
                    reaper,
                };
                let _other = shared.lock().idle.replace(open);
            }
            Err(error) => shared.lock().failed = Some((self.number, error)),
        }
    }
}

impl<P: Protocol> Drop for Ended<P> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            state
                .attempts
                .retain(|attempt| attempt.number != self.number);
            if std::thread::panicking() {
                // Otherwise the run would try again at once, and again, until its time is up.
                let error = ServiceReturnedUnexpectedResult::new(
                    "the driver can't read the answer of the server",
                );
                let error = error.with_source(
                    "the driver panicked: its message went to the process's panic hook",
                );
                state.failed = Some((self.number, error.into()));
            }
            drop(state);
            shared.changed.notify_waiters();
        }
    }
}

/// Closes the connection that was opened at `since`, once it is too old and not in use.
async fn reap<P: Protocol>(shared: Weak<Shared<P>>, since: Instant, reconnect: Duration) {
    let Some(end) = since.checked_add(reconnect.max(UNTAKEN)) else {
        return;
    };
    sleep_until(end).await;
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let _too_old = shared.lock().idle.take_if(|open| open.since == since);
}

/// Runs the probe of any protocol as a check.
impl<P: Protocol> HealthCheck for Kept<P> {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.check(findings).await
    }
}
