use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::future::join_all;
use futures::stream::BoxStream;
use health_core::Health;
use tonic::{Request, Response, Status};

use crate::generated::health_check_response::ServingStatus;
use crate::generated::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse, health_server,
};
use crate::watch;

/// The group of the service without a name, which is the kubelet's default.
const WHOLE: &str = "ready";

/// The serving statuses of the groups.
#[derive(Debug)]
pub(crate) struct Statuses {
    /// All services, each with its group.
    pub(crate) services: BTreeMap<String, String>,
    pub(crate) health: Health,
}

impl Statuses {
    /// Creates the statuses of all groups, and of the services in `names`. A service with the name
    /// of a group replaces it.
    pub(crate) fn new(names: BTreeMap<String, String>, health: Health) -> Self {
        let groups = health
            .groups()
            .map(|group| (group.to_owned(), group.to_owned()));
        let mut services: BTreeMap<_, _> =
            groups.chain([(String::new(), WHOLE.to_owned())]).collect();
        services.extend(names);
        Self { services, health }
    }

    async fn status(&self, service: &str) -> Result<ServingStatus, Status> {
        let unknown = || Status::not_found("unknown service");
        let group = self.services.get(service).ok_or_else(unknown)?;
        let report = self.health.group_report(group).await;
        report
            .map(|report| serving(report.healthy))
            .map_err(|_| unknown())
    }
}

pub(crate) fn serving(healthy: bool) -> ServingStatus {
    if healthy {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

pub(crate) fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for Arc<Statuses> {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(response(
            self.status(&request.get_ref().service).await?,
        )))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let statuses = self.services.keys().map(|service| async move {
            Ok((service.clone(), response(self.status(service).await?)))
        });
        let statuses: Result<HashMap<_, _>, Status> =
            join_all(statuses).await.into_iter().collect();
        Ok(Response::new(HealthListResponse {
            statuses: statuses?,
        }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let group = self.services.get(&request.get_ref().service);
        let subscription = group.and_then(|group| self.health.subscribe(group).ok());
        Ok(Response::new(watch::stream(&self.health, subscription)))
    }
}
