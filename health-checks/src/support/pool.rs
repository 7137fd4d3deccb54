//! How a check takes a connection out of a pool, whichever the pool.

use std::future::Future;
use std::time::Duration;

use health_core::{Findings, ServiceUnavailable, Unit};

/// A pool with connections gives one before the server is asked directly.
const HEAD_START: Duration = Duration::from_millis(100);

/// How full a pool is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) size: u32,
    pub(crate) idle: u32,
    pub(crate) most: u32,
}

impl Use {
    pub(crate) fn in_use(self) -> u32 {
        self.size.saturating_sub(self.idle)
    }

    pub(crate) fn observe(self, findings: &Findings) {
        findings.observe("pool_size", self.size, Unit::Count);
        findings.observe("pool_in_use", self.in_use(), Unit::Count);
    }
}

/// Why there is no connection.
pub(crate) enum Trouble<E> {
    /// The server, or the way to it.
    Server(E),
    /// The pool: all of it is in use.
    UsedUp(Use),
    /// Nothing was heard at all.
    Silence,
}

impl<E> Trouble<E> {
    /// Words for what is not the server's own error.
    pub(crate) fn or_describe(
        self,
        describe: impl FnOnce(E) -> health_core::HealthCheckException,
    ) -> health_core::HealthCheckException {
        match self {
            Self::Server(error) => describe(error),
            Self::UsedUp(pool) => {
                let text = format!("no free connection in the pool ({} of {} in use)", pool.in_use(), pool.most);
                ServiceUnavailable::new(text).into()
            }
            Self::Silence => ServiceUnavailable::new("the server does not answer").into(),
        }
    }
}

/// Waits for the pool's connection, or says why there is none, before the run's timeout.
///
/// To a pool, a server that is away and connections that are all in use look alike: both are a time-out. So the server
/// is asked by a connection of its own beside the wait, and what that meets is the answer. The pool's own error is
/// `None` for such a time-out; `direct` returns what is wrong with the server.
pub(crate) async fn acquire<C, E>(
    findings: &Findings,
    usage: impl Fn() -> Use,
    from_pool: impl Future<Output = Result<C, Option<E>>>,
    direct: impl Future<Output = Option<E>>,
) -> Result<C, Trouble<E>> {
    let patience = findings.time_left().mul_f64(0.8);
    let ask = async {
        if usage().size > 0 {
            tokio::time::sleep(HEAD_START).await;
        }
        direct.await
    };
    let both = async {
        tokio::pin!(from_pool);
        let away = tokio::select! {
            biased;
            connection = &mut from_pool => return connection,
            away = ask => away,
        };
        match away {
            Some(error) => Err(Some(error)),
            None => from_pool.await, // the server is there: it is the pool that has nothing to give
        }
    };
    let outcome = tokio::time::timeout(patience, both).await;
    let usage = usage();
    usage.observe(findings);
    match outcome {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(Some(error))) => Err(Trouble::Server(error)),
        Ok(Err(None)) | Err(_) if usage.in_use() >= usage.most => Err(Trouble::UsedUp(usage)),
        Ok(Err(None)) | Err(_) => Err(Trouble::Silence),
    }
}
