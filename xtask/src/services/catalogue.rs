//! The list of services.

use super::service::Service;
use super::{
    brokers, celery, cluster, databases, dns, grpc, kafka, nats, pgbouncer, rabbitmq, s3, sentinel,
    smtp,
};

/// Every service, in the order of `env` and `status`.
pub(super) const ALL: &[&dyn Service] = &[
    &databases::Postgres,
    &pgbouncer::PgBouncer,
    &databases::MariaDb,
    &brokers::Redis,
    &sentinel::Sentinel,
    &cluster::FIRST,
    &cluster::SECOND,
    &rabbitmq::RabbitMq,
    &brokers::Memcached,
    &s3::S3,
    &smtp::Smtp,
    &dns::Dns,
    &grpc::Grpc,
    &kafka::Kafka,
    &nats::Nats,
    &celery::ON_RABBITMQ,
    &celery::ON_REDIS,
];

/// Returns the service with this name.
pub(super) fn named(name: &str) -> Result<&'static dyn Service, String> {
    ALL.iter()
        .copied()
        .find(|service| service.name() == name)
        .ok_or_else(|| format!("there is no service {name}"))
}
