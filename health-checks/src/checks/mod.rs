//! The checks, one file and one feature each.

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "celery")]
pub mod celery;
#[cfg(feature = "celery_ping")]
pub mod celery_ping;
#[cfg(feature = "certificate")]
pub mod certificate;
#[cfg(feature = "cpu")]
pub mod cpu;
#[cfg(feature = "database")]
#[cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(
        unreachable_code,
        unused,
        reason = "without a driver there is nothing to run"
    )
)]
pub mod database;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "dns")]
pub mod dns;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "_grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "limits")]
pub mod limits;
#[cfg(feature = "mail")]
pub mod mail;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "migrations")]
#[cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(
        unreachable_code,
        unused,
        reason = "without a driver there is nothing to run"
    )
)]
pub mod migrations;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "status_page")]
pub mod status_page;
#[cfg(feature = "storage")]
pub mod storage;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(feature = "temperature")]
pub mod temperature;

#[cfg(feature = "cache")]
pub use cache::CacheBackend;
#[cfg(feature = "celery")]
pub use celery::CeleryHealthCheck;
#[cfg(feature = "celery_ping")]
pub use celery_ping::CeleryPingHealthCheck;
#[cfg(feature = "certificate")]
pub use certificate::Certificate;
#[cfg(feature = "cpu")]
pub use cpu::CpuUsage;
#[cfg(feature = "database")]
pub use database::{DatabaseBackend, RequireWritable};
#[cfg(feature = "disk")]
pub use disk::DiskUsage;
#[cfg(feature = "dns")]
pub use dns::DnsHealthCheck;
#[cfg(feature = "file")]
pub use file::FileAge;
#[cfg(feature = "_grpc")]
pub use grpc::GrpcHealthCheck;
#[cfg(feature = "http")]
pub use http::HttpHealthCheck;
#[cfg(feature = "kafka")]
pub use kafka::KafkaHealthCheck;
#[cfg(feature = "limits")]
pub use limits::ProcessLimits;
#[cfg(feature = "mail")]
pub use mail::MailHealthCheck;
#[cfg(feature = "memory")]
pub use memory::MemoryUsage;
#[cfg(feature = "migrations")]
pub use migrations::MigrationsHealthCheck;
#[cfg(feature = "nats")]
pub use nats::NatsHealthCheck;
#[cfg(feature = "rabbitmq")]
pub use rabbitmq::RabbitMQHealthCheck;
#[cfg(feature = "redis")]
pub use redis::RedisHealthCheck;
#[cfg(feature = "runtime")]
pub use runtime::RuntimeHealthCheck;
#[cfg(feature = "s3")]
pub use s3::S3StorageHealthCheck;
#[cfg(feature = "status_page")]
pub use status_page::StatusPage;
#[cfg(feature = "storage")]
pub use storage::DefaultFileStorageHealthCheck;
#[cfg(feature = "tcp")]
pub use tcp::TcpHealthCheck;
#[cfg(feature = "temperature")]
pub use temperature::Temperature;
