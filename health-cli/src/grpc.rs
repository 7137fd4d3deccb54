//! The health protocol of gRPC, beside the HTTP endpoint.

use std::error::Error;
use std::net::SocketAddr;

use health_core::Health;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::sockets;

/// A socket for gRPC.
pub(crate) struct Grpc {
    address: SocketAddr,
    listener: TcpListener,
}

impl Grpc {
    /// Listens at the address of `--grpc`.
    pub(crate) async fn bind(address: &str) -> Result<Self, Box<dyn Error>> {
        let (host, port) = sockets::host_and_port(address)
            .ok_or_else(|| format!("--grpc {address:?}: expected HOST:PORT, PORT, :PORT or [::1]:PORT"))?;
        let failed = |error| format!("--grpc: can't listen at {address}: {error}");
        let listener = if matches!(host, "" | "*") {
            match TcpListener::bind(("::", port)).await {
                Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
                bound => bound,
            }
        } else {
            TcpListener::bind((host, port)).await
        };
        let listener = listener.map_err(failed)?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Returns the URL of the socket.
    pub(crate) fn url(&self) -> String {
        format!("grpc://{}\n", self.address)
    }

    /// Serves until `stop` completes and the open requests have been answered.
    pub(crate) async fn serve(self, health: Health, stop: impl Future<Output = ()>) -> Result<(), Box<dyn Error>> {
        let server = Server::builder().add_service(health_tonic::service(health));
        Ok(server.serve_with_incoming_shutdown(TcpIncoming::from(self.listener), stop).await?)
    }
}
