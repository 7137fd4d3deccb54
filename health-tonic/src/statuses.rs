use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::future::join_all;
use futures::stream::BoxStream;
use health_core::Health;
use tonic::{Request, Response, Status};

use crate::generated::health_check_response::ServingStatus;
use crate::generated::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse, health_server};
use crate::watch;

/// The group of the service without a name, which the kubelet asks by default.
const WHOLE: &str = "ready";

/// The serving statuses of the groups.
#[derive(Debug)]
pub(crate) struct Statuses {
    /// Further names of groups.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) health: Health,
}

impl Statuses {
    /// Returns the group of a service, whether there is such a group or not.
    fn group<'a>(&'a self, service: &'a str) -> &'a str {
        match self.names.get(service) {
            Some(group) => group,
            None if service.is_empty() => WHOLE,
            None => service,
        }
    }

    /// Returns all services, each with its group.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, &str)> {
        let groups = self.health.groups().map(|group| (group, group)).chain([("", WHOLE)]);
        // A name that was given to a group may be that of another group, which it replaces.
        let groups = groups.filter(|(service, _)| !self.names.contains_key(*service));
        groups.chain(self.names.iter().map(|(service, group)| (service.as_str(), group.as_str())))
    }

    async fn status(&self, service: &str) -> Result<ServingStatus, Status> {
        let report = self.health.group_report(self.group(service)).await;
        report.map(|report| serving(report.healthy)).map_err(|_| Status::not_found("unknown service"))
    }
}

pub(crate) fn serving(healthy: bool) -> ServingStatus {
    if healthy { ServingStatus::Serving } else { ServingStatus::NotServing }
}

pub(crate) fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Arc<Statuses> {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(response(self.status(&request.get_ref().service).await?)))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let statuses = self
            .services()
            .map(|(service, _)| async move { Ok((service.to_owned(), response(self.status(service).await?))) });
        let statuses: Result<HashMap<_, _>, Status> = join_all(statuses).await.into_iter().collect();
        Ok(Response::new(HealthListResponse { statuses: statuses? }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let subscription = self.health.subscribe(self.group(&request.get_ref().service)).ok();
        Ok(Response::new(watch::stream(&self.health, subscription)))
    }
}
