//! Pools and clients of the application that this crate can ping, one file and one feature each.
//! Those of sqlx and bb8-redis come with the features `database`, `migrations` and `redis`.

#[cfg(feature = "_deadpool")]
mod deadpool;
#[cfg(feature = "deadpool-postgres")]
mod deadpool_postgres;
#[cfg(feature = "deadpool-redis")]
mod deadpool_redis;
#[cfg(feature = "diesel-async")]
mod diesel_async;
#[cfg(feature = "fred")]
mod fred;
#[cfg(feature = "redis-cluster-async")]
mod redis_cluster;
#[cfg(feature = "redis-connection-manager")]
mod redis_manager;
#[cfg(feature = "sea-orm")]
#[cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(unused, reason = "without a driver, sea-orm itself pings")
)]
mod sea_orm;
#[cfg(feature = "tokio-postgres")]
mod tokio_postgres;
