use std::time::Duration;

use health_core::{Findings, Result, ServiceUnavailable, Unit};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, Pool};

use super::describe;

/// A pool with an idle connection gives it before the server is asked directly.
const HEAD_START: Duration = Duration::from_millis(100);

/// Takes a connection out of the pool, or says why there is none, before the run's timeout.
///
/// To the pool, a server that is away and a pool that is used up look alike: both are a time-out. So the server is
/// asked by one connection of its own beside the wait; what that meets is the answer.
pub(crate) async fn acquire<DB: Database>(pool: &Pool<DB>, findings: &Findings) -> Result<PoolConnection<DB>> {
    let patience = findings.time_left().mul_f64(0.8);
    let both = async {
        let from_pool = pool.acquire();
        tokio::pin!(from_pool);
        let away = tokio::select! {
            biased;
            connection = &mut from_pool => return connection,
            away = server_is_away(pool) => away,
        };
        match away {
            Some(error) => Err(error),
            None => from_pool.await, // the server is there: it is the pool that has nothing to give
        }
    };
    let outcome = tokio::time::timeout(patience, both).await;
    observe(pool, findings);
    match outcome {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => Err(used_up(pool).into()),
        Ok(Err(error)) => Err(describe(error)),
    }
}

/// Opens a connection beside the pool, and closes it. `None` when the server is there.
async fn server_is_away<DB: Database>(pool: &Pool<DB>) -> Option<sqlx::Error> {
    if pool.size() > 0 {
        tokio::time::sleep(HEAD_START).await;
    }
    match DB::Connection::connect_with(&pool.connect_options()).await {
        Ok(connection) => {
            let _ = connection.close().await; // it has served its purpose
            None
        }
        Err(error) => Some(error),
    }
}

fn used_up<DB: Database>(pool: &Pool<DB>) -> ServiceUnavailable {
    let most = pool.options().get_max_connections();
    let in_use = in_use(pool);
    if in_use >= most {
        return ServiceUnavailable::new(format!("no free connection in the pool ({in_use} of {most} in use)"));
    }
    ServiceUnavailable::new("the server does not answer")
}

fn in_use<DB: Database>(pool: &Pool<DB>) -> u32 {
    pool.size().saturating_sub(u32::try_from(pool.num_idle()).unwrap_or(u32::MAX))
}

fn observe<DB: Database>(pool: &Pool<DB>, findings: &Findings) {
    findings.observe("pool_size", pool.size(), Unit::Count);
    findings.observe("pool_in_use", in_use(pool), Unit::Count);
}
