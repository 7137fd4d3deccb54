//! A greeter on tonic: gRPC health and HTTP probes from one health.
//!
//! ```text
//! cargo run -p example-tonic
//! grpc_health_probe -addr 127.0.0.1:50051
//! curl http://127.0.0.1:9000/readyz?format=text
//! ```
//!
//! Two arguments replace the addresses.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

mod greeter;

use std::error::Error;
use std::time::Duration;

use greeter::Greeter;
use health_checks::{DiskUsage, MemoryUsage};
use health_core::{Endpoint, Endpoints, Health};
use health_tonic::HealthService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::builder()
        .check(DiskUsage::default())
        .check(MemoryUsage::default())
        .build()?;
    // Clients that watch the greeter see the verdict of `ready`.
    let service = HealthService::builder(health.clone())
        .name(Greeter::NAME, "ready")
        .build()?;
    let endpoints: Endpoints = Endpoint::probes(&health)
        .into_iter()
        .chain([Endpoint::new("/ht/", health.clone())])
        .collect();
    let address = |position, default: &str| {
        std::env::args()
            .nth(position)
            .unwrap_or_else(|| default.to_owned())
    };
    let incoming = TcpIncoming::bind(address(1, "127.0.0.1:50051").parse()?)?;
    let management = health_listen::listen_endpoints(address(2, "127.0.0.1:9000"), endpoints)?;
    println!(
        "grpc://{} and http://{}/ht/",
        incoming.local_addr()?,
        management.address()
    );
    // After SIGTERM, `ready` is NOT_SERVING while requests are still answered. Then the server
    // stops, and calls in progress have 20 seconds.
    let drained = health.drain_on_sigterm();
    let server = Server::builder().add_service(service).add_service(Greeter);
    let server = server.serve_with_incoming_shutdown(incoming, drained.clone());
    drained
        .limit(Duration::from_secs(20), server)
        .await
        .transpose()?;
    Ok(())
}
