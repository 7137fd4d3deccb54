use std::collections::BTreeSet;
use std::time::Instant;

use health_core::{
    FailureKind, Findings, Result, ServiceReturnedUnexpectedResult, ServiceUnavailable, Unit,
};
use redis::Value;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};

use crate::support::connection::pool::Ping;
use crate::support::redis::describe;

/// Every master of the cluster has to answer. The client sends a command for all masters only to
/// those that it is connected to, so the answers are compared with the slots of the cluster.
impl Ping for ClusterConnection {
    async fn ping(&self, findings: &Findings) -> Result {
        let mut client = self.clone();
        let masters = masters(&mut client).await?;
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let began = Instant::now();
        let answers = client
            .route_command(redis::cmd("PING"), all)
            .await
            .map_err(describe)?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        let Value::Map(answers) = answers else {
            return Err(unexpected());
        };
        let reached = answers.len();
        for (_, answer) in answers {
            match answer {
                Value::SimpleString(pong) if pong == "PONG" => {}
                Value::ServerError(error) => return Err(describe(error.into())),
                _ => return Err(unexpected()),
            }
        }
        if reached < masters {
            let lost = masters - reached;
            let message = format!("{lost} of {masters} masters of the cluster can't be reached");
            return Err(ServiceUnavailable::new(message)
                .with_kind(FailureKind::Lost)
                .into());
        }
        Ok(())
    }
}

/// Returns the number of masters that have slots.
async fn masters(client: &mut ClusterConnection) -> Result<usize> {
    let slots: Vec<Vec<Value>> = redis::cmd("CLUSTER")
        .arg("SLOTS")
        .query_async(client)
        .await
        .map_err(describe)?;
    // Each range has its first and its last slot, then its master and the replicas, each with its
    // address.
    let master = |range: &Vec<Value>| match range.get(2) {
        Some(Value::Array(node)) => node.get(..2).map(|address| format!("{address:?}")),
        _ => None,
    };
    let masters: Option<BTreeSet<_>> = slots.iter().map(master).collect();
    masters.map(|masters| masters.len()).ok_or_else(unexpected)
}

fn unexpected() -> health_core::HealthCheckException {
    ServiceReturnedUnexpectedResult::new("PING was not answered by PONG").into()
}
