//! Checks that a pool of the application has a free connection, and that the server behind it answers.
//!
//! [`Ping`] is the interface of a pool. The pools of sqlx and of bb8-redis implement it. For any other pool, it takes a
//! few lines:
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
//!         let lost = |_| ServiceUnavailable::new("connection lost").with_kind(FailureKind::Lost);
//!         let mut connection = self.0.get().await.map_err(lost)?;
//!         Ok(connection.noop().await.map_err(lost)?)
//!     }
//!
//!     fn usage(&self) -> Option<PoolUsage> {
//!         let (size, idle) = self.0.state();
//!         Some(PoolUsage { size, idle, max: 10 })
//!     }
//! }
//!
//! let health = Health::builder().check(PoolHealthCheck::new(Directory(LdapPool)).named("directory")).build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use health_core::{FailureKind, Findings, HealthCheck, HealthCheckException, Result, ServiceUnavailable, Unit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{SHARE_OF_RUN, share_of_time};

/// The shortest time between two direct connections.
const BETWEEN_DIRECT: Duration = Duration::from_secs(30);

/// The share of the run's time that the pool has before the server is contacted directly.
const SHARE_OF_POOL: f64 = 0.5;

/// A pool of connections that a check can probe.
///
/// A run takes one connection out of the pool and sends one command on it. If the pool has no connection to give, the
/// check opens one direct connection after half of the run's time, to find out whether the pool is used up or the
/// server is gone. It opens at most one in 30 s, because servers count connections.
pub trait Ping: Send + Sync + 'static {
    /// Takes one connection out of the pool, sends one command on it, and gives it back.
    ///
    /// # Errors
    /// Returns an error that says what is wrong, in words that are safe to show to anyone. The engine bounds the wait;
    /// a pool's own timeout may be shorter.
    fn ping(&self, findings: &Findings) -> impl Future<Output = Result> + Send;

    /// Returns how full the pool is. *Default*: `None`, for a pool that does not know.
    fn usage(&self) -> Option<PoolUsage> {
        None
    }

    /// Connects to the server without the pool, sends the same command and closes the connection. Returns `None` if
    /// that is not possible. *Default*: `None`.
    fn ping_direct(&self) -> impl Future<Output = Option<Result>> + Send {
        std::future::ready(None)
    }
}

/// The usage of a pool, in connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementations of `Ping` make it")]
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

/// Checks any pool of the application. Give the check a name: [`CheckExt::named`](health_core::CheckExt::named).
#[derive(Debug)]
pub struct PoolHealthCheck<P> {
    probe: PoolProbe<P>,
}

impl<P: Ping> PoolHealthCheck<P> {
    /// Creates a check of this pool.
    pub fn new(pool: P) -> Self {
        Self { probe: PoolProbe::new(pool) }
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

/// Probes a pool, and remembers the result of the last direct connection.
#[derive(Debug)]
pub(crate) struct PoolProbe<P> {
    pool: Arc<P>,
    direct: Arc<Mutex<Option<Direct>>>,
}

/// The last direct connection.
#[derive(Debug)]
struct Direct {
    began: Instant,
    /// The reason why it failed. The cause is left out, because the run that waited for it logs it.
    failure: Option<(String, FailureKind)>,
}

impl<P> Clone for PoolProbe<P> {
    /// Returns a handle to the same pool.
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), direct: Arc::clone(&self.direct) }
    }
}

impl<P: Ping> PoolProbe<P> {
    pub(crate) fn new(pool: P) -> Self {
        Self { pool: Arc::new(pool), direct: Arc::default() }
    }

    /// Sends a ping on a connection of the pool.
    pub(crate) async fn ask(&self, findings: &Findings) -> Result {
        self.run(findings, self.pool.ping(findings)).await
    }

    /// Waits for work on a connection of the pool, or returns an error that says why there is no connection.
    pub(crate) async fn run<T>(&self, findings: &Findings, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let at = |share| Instant::now() + share_of_time(findings, share);
        let (half, end) = (at(SHARE_OF_POOL), at(SHARE_OF_RUN));
        let mut work = pin!(work);
        let mut outcome = timeout_at(half, work.as_mut()).await.ok();
        let usage = self.pool.usage();
        if outcome.is_none() && usage.is_none_or(|usage| usage.idle == 0) {
            outcome = tokio::select! {
                biased;
                outcome = timeout_at(end, work) => outcome.ok(),
                refused = self.refused_directly(end, usage) => Some(Err(refused)),
            };
        } else if outcome.is_none() {
            outcome = timeout_at(end, work).await.ok();
        }
        if let Some(usage) = self.pool.usage() {
            findings.observe("pool_size", usage.size, Unit::Count);
            findings.observe("pool_in_use", usage.in_use(), Unit::Count);
        }
        outcome.unwrap_or_else(|| Err(nothing_to_give(usage)))
    }

    /// Completes when a direct connection has failed, with the reason. It never completes if the server answers,
    /// because the pool is then what has no connection to give. The same holds if a pool that is used up has taken all
    /// connections that the server allows.
    async fn refused_directly(&self, end: Instant, usage: Option<PoolUsage>) -> HealthCheckException {
        let is_used_up = usage.is_some_and(PoolUsage::is_used_up);
        let counts = |kind| !(is_used_up && kind == FailureKind::Saturated);
        if let Some(direct) = self.begin_direct() {
            // The attempt continues when the time is up, and the next run sees its result.
            if let Ok(Ok(Some(Err(error)))) = timeout_at(end, direct).await
                && counts(error.kind())
            {
                return error;
            }
        }
        let learnt = self.lock().as_ref().and_then(|direct| direct.failure.clone());
        match learnt {
            Some((message, kind)) if counts(kind) => ServiceUnavailable::new(message).with_kind(kind).into(),
            _ => std::future::pending().await,
        }
    }

    /// Opens a direct connection, unless one was opened recently. A task of its own opens it, so that it is never
    /// dropped in the middle of its handshake.
    fn begin_direct(&self) -> Option<JoinHandle<Option<Result>>> {
        let mut last = self.lock();
        if last.as_ref().is_some_and(|direct| direct.began.elapsed() < BETWEEN_DIRECT) {
            return None;
        }
        *last = Some(Direct { began: Instant::now(), failure: None });
        let (pool, direct) = (Arc::clone(&self.pool), Arc::clone(&self.direct));
        Some(tokio::spawn(async move {
            let outcome = pool.ping_direct().await;
            if let (Some(Err(error)), Some(direct)) =
                (&outcome, &mut *direct.lock().unwrap_or_else(PoisonError::into_inner))
            {
                direct.failure = Some((error.message().to_owned(), error.kind()));
            }
            outcome
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Direct>> {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nothing_to_give(usage: Option<PoolUsage>) -> HealthCheckException {
    let error = match usage {
        Some(usage) if usage.is_used_up() => {
            let text = format!("no free connection in the pool ({} of {} in use)", usage.in_use(), usage.max);
            ServiceUnavailable::new(text).with_kind(FailureKind::Saturated)
        }
        _ => ServiceUnavailable::new("the server does not answer").with_kind(FailureKind::TimedOut),
    };
    error.into()
}
