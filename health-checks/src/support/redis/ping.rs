use std::time::Instant;

use health_core::{Findings, Result, ServiceReturnedUnexpectedResult, Unit};
use redis::aio::ConnectionLike;

use super::failed;
use crate::support::connection::error::{ProbeError, Probed};

/// Sends `PING` on a connection of the application, and expects `PONG`.
pub(crate) async fn ping(client: &mut impl ConnectionLike, findings: &Findings) -> Result {
    Ok(greet(client, findings).await?)
}

/// Sends `PING` on a connection of the check's own, and expects `PONG`.
pub(crate) async fn greet(client: &mut impl ConnectionLike, findings: &Findings) -> Probed {
    let began = Instant::now();
    let pong: String = redis::cmd("PING")
        .query_async(client)
        .await
        .map_err(failed)?;
    findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
    if pong == "PONG" {
        Ok(())
    } else {
        let error = ServiceReturnedUnexpectedResult::new("PING was not answered by PONG");
        Err(ProbeError::broken(error))
    }
}
