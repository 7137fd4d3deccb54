use health_core::{Findings, Result};
use redis::Client;
use redis::aio::ConnectionManager;

use crate::support::connection::pool::Ping;
use crate::support::redis::{describe, ping};

/// A manager does not tell why its server can't be reached while it tries to connect again: pass the client that it was
/// made from beside it.
impl Ping for ConnectionManager {
    async fn ping(&self, findings: &Findings) -> Result {
        ping(&mut self.clone(), findings).await
    }
}

impl Ping for (ConnectionManager, Client) {
    async fn ping(&self, findings: &Findings) -> Result {
        ping(&mut self.0.clone(), findings).await
    }

    async fn ping_direct(&self) -> Option<Result> {
        Some(match self.1.get_multiplexed_async_connection().await {
            Ok(mut connection) => ping(&mut connection, &Findings::default()).await,
            Err(error) => Err(describe(error)),
        })
    }
}
