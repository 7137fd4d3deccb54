use deadpool::managed::Manager as _;
use deadpool_postgres::Pool;
use health_core::{Findings, Result};

use super::deadpool::{get, usage};
use super::tokio_postgres::{describe, select_1};
use crate::support::connection::pool::{Ping, PoolUsage};

impl Ping for Pool {
    async fn ping(&self, _: &Findings) -> Result {
        let client = get(self, describe).await?;
        select_1(&client).await
    }

    fn usage(&self) -> Option<PoolUsage> {
        Some(usage(self))
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(match self.manager().create().await {
            Ok(client) => select_1(&client).await,
            Err(error) => Err(describe(error)),
        })
    }
}
