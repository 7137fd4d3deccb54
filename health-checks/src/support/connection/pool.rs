//! Whether a pool of the application has a connection to give, and the server behind it answers.
//!
//! [`Ping`] is what a pool has to be able to do. The pools of sqlx and of bb8-redis can; for any other it is a few lines:
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

/// A direct connection is opened no more often than this.
const BETWEEN_DIRECT: Duration = Duration::from_secs(30);

/// The pool has this share of the run's time before the server is asked beside it.
const SHARE_OF_POOL: f64 = 0.5;

/// A pool of connections that can be asked whether it works.
///
/// A run takes one connection out of the pool and sends one command on it. Where the pool has nothing to give, and half
/// of the run's time has passed, one direct connection says whether it is the pool that is used up or the server that is
/// away: at most one in 30 s, for servers count connections.
pub trait Ping: Send + Sync + 'static {
    /// Takes one connection out of the pool, sends one command on it, and gives it back.
    ///
    /// # Errors
    /// What is wrong, in words that anybody may read. The engine bounds the wait; a pool's own timeout may be shorter.
    fn ping(&self, findings: &Findings) -> impl Future<Output = Result> + Send;

    /// How full the pool is. *Default*: `None`, for a pool that can't tell.
    fn usage(&self) -> Option<PoolUsage> {
        None
    }

    /// Connects to the server beside the pool, sends the same command and closes the connection. `None` where that can't
    /// be done. *Default*: `None`.
    fn ping_direct(&self) -> impl Future<Output = Option<Result>> + Send {
        std::future::ready(None)
    }
}

/// How full a pool is, in connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementations of `Ping` make it")]
pub struct PoolUsage {
    /// Connections that are open, idle or in use.
    pub size: u32,
    /// Open connections that nobody uses.
    pub idle: u32,
    /// The most that may be open.
    pub max: u32,
}

impl PoolUsage {
    /// Connections that are in use.
    pub fn in_use(self) -> u32 {
        self.size.saturating_sub(self.idle)
    }

    fn is_used_up(self) -> bool {
        self.in_use() >= self.max
    }
}

/// Checks a pool of the application, whichever the pool. Give it a name: [`CheckExt::named`](health_core::CheckExt::named).
#[derive(Debug)]
pub struct PoolHealthCheck<P> {
    asker: Asker<P>,
}

impl<P: Ping> PoolHealthCheck<P> {
    /// The pool.
    pub fn new(pool: P) -> Self {
        Self { asker: Asker::new(pool) }
    }
}

impl<P: Ping> HealthCheck for PoolHealthCheck<P> {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.asker.ask(findings).await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "PoolHealthCheck".into()
    }
}

/// Asks a pool, and remembers what the last direct connection has learnt.
#[derive(Debug)]
pub(crate) struct Asker<P> {
    pool: Arc<P>,
    direct: Arc<Mutex<Option<Direct>>>,
}

/// The last direct connection.
#[derive(Debug)]
struct Direct {
    began: Instant,
    /// Why it failed, without the cause, which is logged by the run that waited for it.
    failure: Option<(String, FailureKind)>,
}

impl<P> Clone for Asker<P> {
    /// The same pool.
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), direct: Arc::clone(&self.direct) }
    }
}

impl<P: Ping> Asker<P> {
    pub(crate) fn new(pool: P) -> Self {
        Self { pool: Arc::new(pool), direct: Arc::default() }
    }

    /// Asks the pool for a sign of life.
    pub(crate) async fn ask(&self, findings: &Findings) -> Result {
        self.run(findings, self.pool.ping(findings)).await
    }

    /// Waits for work on a connection of the pool, or says why there is none.
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

    /// Ends when a direct connection has failed: with why. It waits for ever where the server is there, for then it is the
    /// pool that has nothing to give; likewise where a pool that is used up has taken all that the server gives.
    async fn refused_directly(&self, end: Instant, usage: Option<PoolUsage>) -> HealthCheckException {
        let is_used_up = usage.is_some_and(PoolUsage::is_used_up);
        let counts = |kind| !(is_used_up && kind == FailureKind::Saturated);
        if let Some(direct) = self.begin_direct() {
            // It goes on by itself when the time is up, and the next run sees what it has learnt.
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

    /// Opens a direct connection, unless there was one a moment ago. It is a task of its own, so that it is never dropped
    /// in the middle of its handshake.
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
