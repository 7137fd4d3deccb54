//! Calls `Check` of a gRPC server as fast as it answers.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use health_bench::Outcome;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The number of connections, as many as wrk has.
const CONNECTIONS: usize = 16;

/// Calls for this time, and prints the number of answers as wrk does.
pub(crate) async fn run(address: String, seconds: u64) -> Outcome {
    let end = Instant::now() + Duration::from_secs(seconds);
    let calls = (0..CONNECTIONS).map(|_| tokio::spawn(call(address.clone(), end)));
    let mut answers = 0;
    for answered in try_join_all(calls).await? {
        answers += answered?;
    }
    println!("  {answers} requests in {seconds}s");
    Ok(())
}

async fn call(address: String, end: Instant) -> Outcome<u64> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut client = HealthClient::new(channel);
    let mut answers = 0;
    while Instant::now() < end {
        let answer = client
            .check(HealthCheckRequest {
                service: "ready".into(),
            })
            .await?;
        if answer.into_inner().status() != ServingStatus::Serving {
            return Err("a server that is not serving".into());
        }
        answers += 1;
    }
    Ok(answers)
}
