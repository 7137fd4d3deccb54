//! Redis: the address of a server, connections to it, and its errors.

#[cfg(feature = "redis")]
pub(crate) mod bb8;
mod describe;
mod server;
mod url;

use std::time::Instant;

use health_core::{Findings, Result, ServiceReturnedUnexpectedResult, Unit};
use redis::aio::ConnectionLike;

pub(crate) use describe::{describe, not_reached};
pub(crate) use server::{Connection, Server};

/// The message for a URL that is not that of Redis.
pub(crate) const EXPECTED: &str = "expected a URL such as redis://:password@host:6379/1";

/// Sends `PING` and expects `PONG`.
pub(crate) async fn ping(client: &mut impl ConnectionLike, findings: &Findings) -> Result {
    let began = Instant::now();
    let pong: String = redis::cmd("PING").query_async(client).await.map_err(describe)?;
    findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
    if pong == "PONG" {
        Ok(())
    } else {
        Err(ServiceReturnedUnexpectedResult::new("PING was not answered by PONG").into())
    }
}
