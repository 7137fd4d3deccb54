use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use health_core::{Health, UnknownName};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower_service::Service;

use crate::generated::health_server::HealthServer;
use crate::statuses::Statuses;

/// Returns the service `grpc.health.v1.Health` of a health, for the router of a tonic server.
pub fn service(health: Health) -> HealthService {
    HealthService::new(Statuses { names: BTreeMap::new(), health })
}

/// The service `grpc.health.v1.Health`: see [`service`].
#[derive(Clone)]
pub struct HealthService(HealthServer<Arc<Statuses>>);

impl HealthService {
    fn new(statuses: Statuses) -> Self {
        Self(HealthServer::new(Arc::new(statuses)))
    }

    /// Returns a builder, to give groups further names.
    pub fn builder(health: Health) -> HealthServiceBuilder {
        HealthServiceBuilder { names: BTreeMap::new(), health }
    }
}

/// Adds names of the application's own services; see [`HealthService::builder`].
#[derive(Debug)]
#[must_use = "call build() at the end"]
pub struct HealthServiceBuilder {
    names: BTreeMap<String, String>,
    health: Health,
}

impl HealthServiceBuilder {
    /// Answers requests for this service with the verdict of a group: `orders.v1.Orders` with that of `ready`.
    pub fn name(mut self, service: impl Into<String>, group: impl Into<String>) -> Self {
        self.names.insert(service.into(), group.into());
        self
    }

    /// Builds the service.
    ///
    /// # Errors
    /// Fails for an unknown group.
    pub fn build(self) -> Result<HealthService, UnknownName> {
        for group in self.names.values() {
            if !self.health.groups().any(|known| known == group) {
                self.health.subscribe(group)?; // which fails, and says which groups there are
            }
        }
        Ok(HealthService::new(Statuses { names: self.names, health: self.health }))
    }
}

impl NamedService for HealthService {
    const NAME: &'static str = <HealthServer<Arc<Statuses>> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for HealthService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

impl fmt::Debug for HealthService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthService").finish_non_exhaustive()
    }
}
