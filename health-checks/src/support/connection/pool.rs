//! Checks that a pool of the application has a free connection, and that the server behind it
//! answers.
//!
//! [`Ping`] is the interface of a pool. The pools of sqlx and of bb8-redis implement it. For any
//! other pool, it takes a few lines:
//!
//! ```
//! use health_checks::pool::{Ping, PoolHealthCheck, PoolUsage};
//! use health_core::{CheckExt, FailureKind, Findings, Health, Result, ServiceUnavailable};
//!
//! # struct Connection;
//! # impl Connection { async fn noop(&mut self) -> std::io::Result<()> { Ok(()) } }
//! # #[derive(Clone)] struct LdapPool;
//! # impl LdapPool {
//! #     async fn get(&self) -> std::io::Result<Connection> { Ok(Connection) }
//! #     fn state(&self) -> (u32, u32) { (1, 1) }
//! # }
//! struct Directory(LdapPool);
//!
//! impl Ping for Directory {
//!     async fn ping(&self, _: &Findings) -> Result {
//!         let lost =
//!             |_| ServiceUnavailable::new("connection lost").with_kind(FailureKind::Lost);
//!         let mut connection = self.0.get().await.map_err(lost)?;
//!         Ok(connection.noop().await.map_err(lost)?)
//!     }
//!
//!     fn usage(&self) -> Option<PoolUsage> {
//!         let (size, idle) = self.0.state();
//!         Some(PoolUsage {
//!             size,
//!             idle,
//!             max: 10,
//!         })
//!     }
//! }
//!
//! let health = Health::builder()
//!     .check(PoolHealthCheck::new(Directory(LdapPool)).named("directory"))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use health_core::{
    FailureKind, Findings, HealthCheck, HealthCheckException, Result, ServiceUnavailable, Unit,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{OLDEST_ATTEMPT, SHARE_OF_RUN, share_of_time};

/// The shortest time between two direct connections.
const BETWEEN_DIRECT: Duration = Duration::from_secs(30);

/// The share of the run's time that the pool has before the server is contacted directly.
const SHARE_OF_POOL: f64 = 0.5;

/// A pool of connections that a check can probe.
///
/// A run takes one connection out of the pool and sends one command on it. If the pool has no
/// connection to give, the check opens one direct connection after half of the run's time, to find
/// out whether the pool is used up or the server is gone. It opens at most one in 30 s, and no
/// second one beside it, because servers count connections.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no pool or client that health-checks can ping",
    note = "each pool has a cargo feature of health-checks: see docs/pools.md, which also shows how to implement `Ping`"
)]
pub trait Ping: Send + Sync + 'static {
    /// Takes one connection out of the pool, sends one command on it, and gives it back.
    ///
    /// # Errors
    /// Returns an error that says what is wrong, in words that are safe to show to anyone. The
    /// engine bounds the wait; a pool's own timeout may be shorter.
    fn ping(&self, findings: &Findings) -> impl Future<Output = Result> + Send;

    /// Returns how full the pool is. *Default*: `None`, for a pool that does not know.
    fn usage(&self) -> Option<PoolUsage> {
        None
    }

    /// Connects to the server without the pool, sends the same command and closes the connection.
    /// Returns `None` if that is not possible. *Default*: `None`.
    fn ping_direct(&self) -> impl Future<Output = Option<Result>> + Send {
        std::future::ready(None)
    }
}

/// The usage of a pool, in connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "implementations of `Ping` make it"
)]
pub struct PoolUsage {
    /// Connections that are open, idle or in use.
    pub size: u32,
    /// Open connections that are not in use.
    pub idle: u32,
    /// The most connections that may be open.
    pub max: u32,
}

impl PoolUsage {
    /// Returns the number of connections that are in use.
    pub fn in_use(self) -> u32 {
        self.size.saturating_sub(self.idle)
    }

    fn is_used_up(self) -> bool {
        self.in_use() >= self.max
    }
}

/// Checks any pool of the application. Give the check a name:
/// [`CheckExt::named`](health_core::CheckExt::named).
#[derive(Debug)]
pub struct PoolHealthCheck<P> {
    probe: PoolProbe<P>,
}

impl<P: Ping> PoolHealthCheck<P> {
    /// Creates a check of this pool.
    pub fn new(pool: P) -> Self {
        Self {
            probe: PoolProbe::new(pool),
        }
    }
}

impl<P: Ping> HealthCheck for PoolHealthCheck<P> {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.probe.ask(findings).await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "PoolHealthCheck".into()
    }
}

/// The cause of an error of a pool that has discarded its connections. The probe finds out why.
#[cfg_attr(
    not(feature = "_bb8"),
    allow(dead_code, reason = "only pools of bb8 discard connections")
)]
#[derive(Debug)]
pub(super) struct Discarded;

impl fmt::Display for Discarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool has discarded its connections")
    }
}

impl Error for Discarded {}

fn is_discarded(error: &HealthCheckException) -> bool {
    error.source().is_some_and(<dyn Error>::is::<Discarded>)
}

/// Probes a pool, and remembers the result of the last direct connection.
#[derive(Debug)]
pub(crate) struct PoolProbe<P> {
    pool: Arc<P>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    direct: Mutex<Option<Direct>>,
    changed: Notify,
}

/// The last direct connection.
#[derive(Debug)]
struct Direct {
    began: Instant,
    /// `None` while it is under way.
    result: Option<Learnt>,
}

/// The result of a direct connection.
#[derive(Debug)]
enum Learnt {
    /// The pool knows no way to open one, or the attempt was lost.
    Impossible,
    Answers {
        /// `true` once a run has found the pool to be the one that does not connect.
        blames_pool: bool,
    },
    Fails {
        message: String,
        kind: FailureKind,
        /// The cause, for the log, and for the reference that each row shows.
        cause: Option<String>,
    },
}

impl<P> Clone for PoolProbe<P> {
    /// Returns a handle to the same pool.
    fn clone(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<P: Ping> PoolProbe<P> {
    pub(crate) fn new(pool: P) -> Self {
        Self {
            pool: Arc::new(pool),
            shared: Arc::default(),
        }
    }

    /// Sends a ping on a connection of the pool.
    pub(crate) async fn ask(&self, findings: &Findings) -> Result {
        self.run(findings, self.pool.ping(findings)).await
    }

    /// Waits for work on a connection of the pool, or returns an error that says why there is no
    /// connection.
    pub(crate) async fn run<T>(
        &self,
        findings: &Findings,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let began = Instant::now();
        let at = |share| began + share_of_time(findings, share);
        let half = at(SHARE_OF_POOL);
        let end = at(SHARE_OF_RUN);
        let mut work = pin!(work);
        let mut outcome = tokio::select! {
            biased;
            outcome = timeout_at(end, work.as_mut()) => outcome.ok(),
            refused = self.refused_without_idle(half) => Some(Err(refused)),
        };
        if let Some(Err(error)) = &outcome
            && is_discarded(error)
        {
            let why = match self.shared.learnt_lately() {
                Some(known) => Some(known),
                None => timeout_at(end, self.refused(half)).await.ok(),
            };
            outcome = why.map(Err).or(outcome);
        }
        let usage = self.pool.usage(); // while `work` still has its connection
        if let Some(usage) = usage {
            findings.observe("pool_size", usage.size, Unit::Count);
            findings.observe("pool_in_use", usage.in_use(), Unit::Count);
        }
        if matches!(outcome, Some(Ok(_))) {
            self.shared.works();
        }
        outcome.unwrap_or_else(|| Err(self.shared.nothing_to_give(usage, began)))
    }

    /// Completes as [`refused`](Self::refused) does. It never completes while the pool has idle
    /// connections.
    async fn refused_without_idle(&self, from: Instant) -> HealthCheckException {
        sleep_until(from).await;
        if self.pool.usage().is_some_and(|usage| usage.idle > 0) {
            return std::future::pending().await;
        }
        self.refused(from).await
    }

    /// Opens a direct connection from this time on, and completes when it has failed, with the
    /// reason. It never completes if the server answers, because the pool is then what has no
    /// connection to give. The same holds if a pool that is used up has taken all connections that
    /// the server allows.
    async fn refused(&self, from: Instant) -> HealthCheckException {
        sleep_until(from).await;
        self.begin_direct();
        let is_used_up = self.pool.usage().is_some_and(PoolUsage::is_used_up);
        loop {
            let changed = self.shared.changed.notified(); // before the look, so that nothing is missed
            if let Some(error) = self
                .shared
                .learnt()
                .filter(|error| !is_used_up || error.kind() != FailureKind::Saturated)
            {
                return error;
            }
            changed.await;
        }
    }

    /// Opens a direct connection, unless one was opened recently or is under way. A task of its own
    /// opens it, so that it is never dropped in the middle of its handshake.
    fn begin_direct(&self) {
        let mut last = self.shared.lock();
        if last.as_ref().is_some_and(|direct| {
            direct.result.is_none() || direct.began.elapsed() < BETWEEN_DIRECT
        }) {
            return;
        }
        *last = Some(Direct {
            began: Instant::now(),
            result: None,
        });
        let pool = Arc::clone(&self.pool);
        let under_way = UnderWay(Arc::clone(&self.shared));
        tokio::spawn(async move {
            let outcome = timeout(OLDEST_ATTEMPT, pool.ping_direct()).await;
            let learnt = match outcome.unwrap_or_else(|_| Some(Err(silence()))) {
                None => Learnt::Impossible,
                Some(Ok(())) => Learnt::Answers { blames_pool: false },
                Some(Err(error)) => Learnt::Fails {
                    message: error.message().to_owned(),
                    kind: error.kind(),
                    cause: error.cause(),
                },
            };
            if let Some(direct) = &mut *under_way.0.lock() {
                direct.result = Some(learnt);
            }
        });
    }
}

/// Ends the state in which a direct connection is under way, even if its task panics or its runtime
/// shuts down.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(direct) = &mut *self.0.lock() {
            direct.result.get_or_insert(Learnt::Impossible);
        }
        self.0.changed.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Direct>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the failure of the last direct connection.
    fn learnt(&self) -> Option<HealthCheckException> {
        match self.lock().as_ref()?.result.as_ref()? {
            Learnt::Fails {
                message,
                kind,
                cause,
            } => {
                let error = ServiceUnavailable::new(message.clone()).with_kind(*kind);
                Some(match cause {
                    Some(cause) => error.with_source(cause.clone()).into(),
                    None => error.into(),
                })
            }
            _ => None,
        }
    }

    /// Returns the failure of the last direct connection if it was opened recently.
    fn learnt_lately(&self) -> Option<HealthCheckException> {
        let is_recent = self
            .lock()
            .as_ref()
            .is_some_and(|direct| direct.began.elapsed() < BETWEEN_DIRECT);
        is_recent.then(|| self.learnt()).flatten()
    }

    /// Notes that the pool works again.
    fn works(&self) {
        if let Some(Direct {
            result: Some(Learnt::Answers { blames_pool }),
            ..
        }) = &mut *self.lock()
        {
            *blames_pool = false;
        }
    }

    /// Returns the error of a run that has got no connection, and that began at this time. A pool
    /// that is used up while its server is frozen is not blamed: it is the server that keeps the
    /// connections.
    fn nothing_to_give(&self, usage: Option<PoolUsage>, run: Instant) -> HealthCheckException {
        let mut last = self.lock();
        let is_under_way = last.as_ref().is_some_and(|direct| direct.result.is_none());
        let answers = match &mut *last {
            Some(Direct {
                began,
                result: Some(Learnt::Answers { blames_pool }),
            }) => {
                // A server that answered before this run may be frozen now.
                *blames_pool |= *began >= run;
                *blames_pool
            }
            _ => false,
        };
        match usage {
            Some(usage) if usage.is_used_up() && !is_under_way => {
                let text = format!(
                    "no free connection in the pool ({} of {} in use)",
                    usage.in_use(),
                    usage.max
                );
                ServiceUnavailable::new(text)
                    .with_kind(FailureKind::Saturated)
                    .into()
            }
            Some(usage) if answers && usage.idle == 0 => {
                lost("the pool has no working connection, but the server answers")
            }
            None if answers => lost("the client is not connected, but the server answers"),
            _ => silence(),
        }
    }
}

fn lost(text: &'static str) -> HealthCheckException {
    ServiceUnavailable::new(text)
        .with_kind(FailureKind::Lost)
        .into()
}

fn silence() -> HealthCheckException {
    ServiceUnavailable::new("the server does not answer")
        .with_kind(FailureKind::TimedOut)
        .into()
}
