//! The services.

use super::service::Service;
use super::{brokers, celery, databases, dns, rabbitmq, s3, smtp};

/// Every service; in the order of `env` and `status`.
pub(super) const ALL: &[&dyn Service] = &[
    &databases::Postgres,
    &databases::MariaDb,
    &brokers::Redis,
    &rabbitmq::RabbitMq,
    &brokers::Memcached,
    &s3::S3,
    &smtp::Smtp,
    &dns::Dns,
    &celery::ON_RABBITMQ,
    &celery::ON_REDIS,
];

/// The service of that name.
pub(super) fn named(name: &str) -> Result<&'static dyn Service, String> {
    ALL.iter().copied().find(|service| service.name() == name).ok_or_else(|| format!("there is no service {name}"))
}
