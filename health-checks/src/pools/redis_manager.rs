use health_core::{Findings, Result};
use redis::Client;
use redis::aio::ConnectionManager;

use crate::support::connection::pool::Ping;
use crate::support::redis::{describe, ping};

/// While a manager reconnects, it does not report why its server can't be reached. To get the
/// reason, also pass the client that it was made from.
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
