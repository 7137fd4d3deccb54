#![doc = include_str!("../README.md")]

#[cfg(feature = "cache")]
pub mod cache;
pub mod catalogue;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "database")]
pub mod database;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "migrations")]
pub mod migrations;
#[cfg(feature = "storage")]
pub mod storage;
mod support;

#[cfg(feature = "cache")]
pub use cache::CacheBackend;
#[cfg(feature = "database")]
pub use database::DatabaseBackend;
#[cfg(feature = "disk")]
pub use disk::DiskUsage;
#[cfg(feature = "memory")]
pub use memory::MemoryUsage;
#[cfg(feature = "migrations")]
pub use migrations::MigrationsHealthCheck;
#[cfg(feature = "storage")]
pub use storage::DefaultFileStorageHealthCheck;
#[cfg(any(feature = "disk", feature = "memory"))]
pub use support::limit::Limit;
#[cfg(any(feature = "database", feature = "migrations"))]
pub use support::sql::DatabasePool;
