//! What more than one check needs.

#[cfg(any(feature = "rabbitmq", feature = "celery", feature = "celery_ping"))]
pub(crate) mod amqp;
#[cfg(any(feature = "celery", feature = "celery_ping"))]
pub(crate) mod celery;
#[cfg(feature = "memory")]
pub(crate) mod cgroup;
#[cfg(any(
    feature = "http",
    feature = "mail",
    feature = "s3",
    feature = "tcp",
    all(feature = "cache", feature = "memcached")
))]
pub(crate) mod io;
#[cfg(any(feature = "disk", feature = "memory"))]
pub(crate) mod limit;
#[cfg(any(feature = "database", feature = "migrations", feature = "redis"))]
pub(crate) mod pool;
#[cfg(any(feature = "redis", feature = "celery", feature = "celery_ping"))]
pub(crate) mod redis;
#[cfg(any(feature = "database", feature = "migrations"))]
pub(crate) mod sql;
#[cfg(any(feature = "s3", feature = "storage"))]
pub(crate) mod storage;
#[cfg(any(feature = "http", feature = "mail", feature = "redis", feature = "celery", feature = "celery_ping"))]
pub(crate) mod tls;
