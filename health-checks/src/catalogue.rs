//! The kinds of checks that this build has, by name, for configuration files and for listings.
//!
//! The settings of a check are a serde struct, which [`CheckSettings`] turns into checks. An
//! application may add its own kinds to the built-in ones: see [`Kind::of`].

#[cfg(feature = "config")]
#[allow(unused_imports, reason = "a build may have no check")]
use crate::checks;
pub use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
#[cfg(feature = "config")]
pub use crate::kind::{Key, Kind, Login};

/// All kinds that this build has.
#[cfg(feature = "config")]
pub const CATALOGUE: &[Kind] = &[
    #[cfg(feature = "cache")]
    Kind::of::<checks::cache::CacheSettings>(),
    #[cfg(feature = "database")]
    Kind::of::<checks::database::DatabaseSettings>(),
    #[cfg(feature = "disk")]
    Kind::of::<checks::disk::DiskSettings>(),
    #[cfg(feature = "certificate")]
    Kind::of::<checks::certificate::CertificateSettings>(),
    #[cfg(feature = "cpu")]
    Kind::of::<checks::cpu::CpuSettings>(),
    #[cfg(feature = "file")]
    Kind::of::<checks::file::FileSettings>(),
    #[cfg(feature = "limits")]
    Kind::of::<checks::limits::LimitsSettings>(),
    #[cfg(feature = "temperature")]
    Kind::of::<checks::temperature::TemperatureSettings>(),
    #[cfg(feature = "memory")]
    Kind::of::<checks::memory::MemorySettings>(),
    #[cfg(feature = "migrations")]
    Kind::of::<checks::migrations::MigrationsSettings>(),
    #[cfg(feature = "runtime")]
    Kind::of::<checks::runtime::RuntimeSettings>(),
    #[cfg(feature = "storage")]
    Kind::of::<checks::storage::StorageSettings>(),
    #[cfg(feature = "dns")]
    Kind::of::<checks::dns::DnsSettings>(),
    #[cfg(feature = "grpc")]
    Kind::of::<checks::grpc::GrpcSettings>(),
    #[cfg(feature = "http")]
    Kind::of::<checks::http::HttpSettings>(),
    #[cfg(feature = "mail")]
    Kind::of::<checks::mail::MailSettings>(),
    #[cfg(feature = "kafka")]
    Kind::of::<checks::kafka::KafkaSettings>(),
    #[cfg(feature = "nats")]
    Kind::of::<checks::nats::NatsSettings>(),
    #[cfg(feature = "rabbitmq")]
    Kind::of::<checks::rabbitmq::RabbitMQSettings>(),
    #[cfg(feature = "redis")]
    Kind::of::<checks::redis::RedisSettings>(),
    #[cfg(feature = "status_page")]
    Kind::of::<checks::status_page::StatusPageSettings>(),
    #[cfg(feature = "tcp")]
    Kind::of::<checks::tcp::TcpSettings>(),
    #[cfg(feature = "s3")]
    Kind::of::<checks::s3::S3Settings>(),
    #[cfg(feature = "celery")]
    Kind::of::<checks::celery::CelerySettings>(),
    #[cfg(feature = "celery_ping")]
    Kind::of::<checks::celery_ping::CeleryPingSettings>(),
];
