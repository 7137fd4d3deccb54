use std::future::pending;

use futures::stream::Pending;
use health_bench::Outcome;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{ADDRESS, Content, listens_at};

pub(super) async fn serve(content: Content) -> Outcome {
    let listener = TcpListener::bind(ADDRESS).await?;
    listens_at(listener.local_addr()?);
    let incoming = TcpIncoming::from(listener);
    let mut server = Server::builder();
    match content {
        Content::Bare(_) => {
            server
                .add_service(HealthServer::new(Bare))
                .serve_with_incoming(incoming)
                .await?;
        }
        Content::Health(health) => {
            server
                .add_service(health_tonic::service(health))
                .serve_with_incoming(incoming)
                .await?;
        }
    }
    pending().await
}

/// A handler that always answers the same.
struct Bare;

#[tonic::async_trait]
impl Health for Bare {
    type WatchStream = Pending<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(futures::stream::pending()))
    }
}
