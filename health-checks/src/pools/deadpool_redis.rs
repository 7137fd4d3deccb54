use deadpool::managed::Manager as _;
use deadpool_redis::Manager;
use health_core::{Findings, Result};

use super::deadpool::{get, usage};
use crate::support::connection::pool::{Ping, PoolUsage};
use crate::support::redis::{describe, ping};

impl Ping for deadpool::managed::Pool<Manager, deadpool_redis::Connection> {
    async fn ping(&self, findings: &Findings) -> Result {
        ping(&mut get(self, describe).await?, findings).await
    }

    fn usage(&self) -> Option<PoolUsage> {
        Some(usage(self))
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(match self.manager().create().await {
            Ok(mut connection) => ping(&mut connection, &Findings::default()).await,
            Err(error) => Err(describe(error)),
        })
    }
}
