use std::time::Instant;

use health_core::{Findings, Result, ServiceReturnedUnexpectedResult, Unit};
use redis::aio::ConnectionLike;

use super::describe;

/// Sends `PING` and expects `PONG`.
pub(crate) async fn ping(client: &mut impl ConnectionLike, findings: &Findings) -> Result {
    let began = Instant::now();
    let pong: String = redis::cmd("PING")
        .query_async(client)
        .await
        .map_err(describe)?;
    findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
    if pong == "PONG" {
        Ok(())
    } else {
        Err(ServiceReturnedUnexpectedResult::new("PING was not answered by PONG").into())
    }
}
