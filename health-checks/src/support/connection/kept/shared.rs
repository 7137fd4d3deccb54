//! The connection that is idle between two runs, and the attempts to open one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use health_core::{HealthCheckException, Result, ServiceReturnedUnexpectedResult, cleanup};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Protocol, Run};
use crate::support::connection::OLDEST_ATTEMPT;

/// The longest that closing a connection may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The most attempts to connect that are under way at the same time. A handshake is never
/// interrupted: servers count interrupted handshakes, and lock out a host that has too many of
/// them.
const MOST_ATTEMPTS: usize = 4;

/// The shortest time for which a connection stays available to the next run if no run waits for it
/// any more.
const UNTAKEN: Duration = Duration::from_secs(1);

/// The state that the runs of a check share.
pub(super) struct Shared<P: Protocol> {
    state: Mutex<State<P>>,
    changed: Notify,
}

struct State<P: Protocol> {
    idle: Option<Open<P>>,
    attempts: Vec<Attempt>,
    /// The number and the error of the last attempt that failed.
    failed: Option<(u64, HealthCheckException)>,
    next: u64,
    /// The time that the last answer to a greeting has taken.
    last_answer: Duration,
}

/// An open connection, which is closed properly when it is dropped.
pub(super) struct Open<P: Protocol> {
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

impl<P: Protocol> Shared<P> {
    pub(super) fn new() -> Self {
        let state = State {
            idle: None,
            attempts: Vec::new(),
            failed: None,
            next: 0,
            last_answer: Duration::ZERO,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when an attempt has ended.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Takes the idle connection, unless it is too old.
    pub(super) fn take_idle(&self, reconnect: Duration) -> Option<Open<P>> {
        let open = self.lock().idle.take();
        open.filter(|open| open.since.elapsed() < reconnect)
    }

    pub(super) fn put_back(&self, open: Open<P>, reconnect: Duration) {
        if P::IS_KEPT && open.since.elapsed() < reconnect {
            let _other = self.lock().idle.replace(open); // the connection of a concurrent run
        }
    }

    pub(super) fn last_answer(&self) -> Duration {
        self.lock().last_answer
    }

    pub(super) fn has_answered(&self, after: Duration) {
        self.lock().last_answer = after;
    }

    /// Returns the connection that an attempt has opened, or the error of the run's own attempt.
    /// Otherwise, starts an attempt if another one has to begin, whose number becomes `own`.
    pub(super) fn opened(
        self: &Arc<Self>,
        protocol: &Arc<P>,
        run: Run<'_>,
        own: &mut Option<u64>,
    ) -> Option<Result<Open<P>>> {
        let mut state = self.lock();
        if let Some(open) = state.idle.take() {
            return Some(Ok(open));
        }
        // An attempt that began before this run and failed meanwhile says nothing about the present.
        if let Some((number, error)) = state.failed.take()
            && Some(number) == *own
        {
            return Some(Err(error));
        }
        if state.wants_attempt(run.time) {
            *own = Some(self.begin(&mut state, protocol, run.findings.reconnect()));
        }
        None
    }

    /// Starts an attempt, which outlives the run.
    fn begin(
        self: &Arc<Self>,
        state: &mut State<P>,
        protocol: &Arc<P>,
        reconnect: Duration,
    ) -> u64 {
        let number = state.next;
        state.next += 1;
        let ended = Ended {
            shared: Arc::downgrade(self),
            number,
        };
        let protocol = Arc::clone(protocol);
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

impl<P: Protocol> Open<P> {
    pub(super) fn get(&mut self) -> &mut P::Connection {
        self.connection
            .as_mut()
            .expect("only `drop` takes the connection")
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
