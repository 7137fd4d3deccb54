use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use health_core::Health;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, CompressionEncoding, StdError};
use tonic::server::NamedService;
use tower_service::Service;

use crate::generated::health_server::HealthServer;
use crate::statuses::Statuses;

/// Returns the service `grpc.health.v1.Health` of a health, for the router of a tonic server.
pub fn service(health: Health) -> HealthService {
    HealthService::new(BTreeMap::new(), health)
}

/// The service `grpc.health.v1.Health`: see [`service`].
#[derive(Clone)]
pub struct HealthService {
    server: HealthServer<Arc<Statuses>>,
    statuses: Arc<Statuses>,
}

impl HealthService {
    fn new(names: BTreeMap<String, String>, health: Health) -> Self {
        let statuses = Arc::new(Statuses::new(names, health));
        statuses.health.add_grpc_services(statuses.services.clone());
        Self {
            server: HealthServer::new(Arc::clone(&statuses)),
            statuses,
        }
    }

    /// Returns a builder, which adds services with names of your own.
    pub fn builder(health: Health) -> HealthServiceBuilder {
        HealthServiceBuilder {
            names: Vec::new(),
            health,
        }
    }

    /// Returns the services that it answers for, each with its group.
    pub fn services(&self) -> &BTreeMap<String, String> {
        &self.statuses.services
    }

    /// Accepts requests with this compression. *Default*: none; compressed requests are answered
    /// with `UNIMPLEMENTED`.
    #[must_use]
    pub fn accept_compressed(self, encoding: CompressionEncoding) -> Self {
        Self {
            server: self.server.accept_compressed(encoding),
            ..self
        }
    }

    /// Compresses responses to clients that accept it. *Default*: no compression, because a
    /// response has two bytes.
    #[must_use]
    pub fn send_compressed(self, encoding: CompressionEncoding) -> Self {
        Self {
            server: self.server.send_compressed(encoding),
            ..self
        }
    }
}

/// Adds names of the application's own services; see [`HealthService::builder`].
#[derive(Debug)]
#[must_use = "call build() at the end"]
pub struct HealthServiceBuilder {
    names: Vec<(String, String)>,
    health: Health,
}

impl HealthServiceBuilder {
    /// Answers requests for this service with the verdict of a group: `orders.v1.Orders` with that
    /// of `ready`. The name `""` has the verdict of `ready`, unless this replaces it.
    pub fn name(mut self, service: impl Into<String>, group: impl Into<String>) -> Self {
        self.names.push((service.into(), group.into()));
        self
    }

    /// Builds the service.
    ///
    /// # Errors
    /// Fails for an unknown group, for a service that has the name of a group or two groups, and
    /// for a name that no service has. The error lists all of them.
    pub fn build(self) -> Result<HealthService, NameError> {
        let mut names = BTreeMap::new();
        let mut faults = Vec::new();
        let groups: Vec<&str> = self.health.groups().collect();
        for (service, group) in self.names {
            let mut refuse = |why: String| faults.push(format!("service {service:?}: {why}"));
            if !groups.contains(&group.as_str()) {
                refuse(format!(
                    "no group is named {group:?}; there are: {}",
                    groups.join(", ")
                ));
            }
            if groups.contains(&service.as_str()) {
                refuse("a group has this name, and is a service already".into());
            }
            if service.contains(|c: char| c == '/' || c.is_whitespace()) {
                refuse("expected the name of a service, such as orders.v1.Orders".into());
            }
            if names.insert(service.clone(), group).is_some() {
                faults.push(format!("service {service:?}: it has two groups"));
            }
        }
        if faults.is_empty() {
            Ok(HealthService::new(names, self.health))
        } else {
            Err(NameError(faults.join("\n")))
        }
    }
}

/// The error of [`HealthServiceBuilder::build`]. It has a line for each fault.
#[derive(Clone, PartialEq, Eq)]
pub struct NameError(String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes the message, for a `main` that returns the error.
impl fmt::Debug for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

impl NamedService for HealthService {
    const NAME: &'static str = <HealthServer<Arc<Statuses>> as NamedService>::NAME;
}

/// Other servers can use it with their own type of body: a router of axum serves it at
/// `/grpc.health.v1.Health/{method}`.
impl<B> Service<http::Request<B>> for HealthService
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.server.call(request)
    }
}

impl fmt::Debug for HealthService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthService").finish_non_exhaustive()
    }
}
