use health_core::{Findings, Result};
use redis::cluster_async::ClusterConnection;

use crate::support::connection::pool::Ping;
use crate::support::redis::ping;

/// Every master of the cluster has to answer.
impl Ping for ClusterConnection {
    async fn ping(&self, findings: &Findings) -> Result {
        ping(&mut self.clone(), findings).await
    }
}
