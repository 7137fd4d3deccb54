//! Code that more than one check needs.

#[cfg(any(feature = "certificate", feature = "kafka", feature = "tcp"))]
pub(crate) mod address;
#[cfg(feature = "_amqp")]
#[cfg_attr(
    not(all(feature = "rabbitmq", feature = "celery")),
    allow(dead_code, unused, reason = "each of the checks needs a part of it")
)]
pub(crate) mod amqp;
#[cfg(feature = "s3")]
pub(crate) mod aws;
#[cfg(any(feature = "celery", feature = "celery_ping"))]
#[cfg_attr(
    not(all(feature = "celery", feature = "celery_ping")),
    allow(
        dead_code,
        unused,
        reason = "each of the two checks needs a half of it"
    )
)]
pub(crate) mod celery;
#[cfg(any(feature = "cpu", feature = "limits", feature = "memory"))]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "each check needs a part of it")
)]
pub(crate) mod cgroup;
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, unused, reason = "each check needs a part of it")
)]
pub(crate) mod connection;
#[cfg(feature = "_database_words")]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "each driver needs a part of it")
)]
pub(crate) mod database_words;
#[cfg(all(
    feature = "config",
    any(
        feature = "celery",
        feature = "celery_ping",
        feature = "_http",
        feature = "file",
        feature = "runtime"
    )
))]
pub(crate) mod duration;
#[cfg(any(feature = "config", feature = "fleet", feature = "nats"))]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "each of them needs a part of it")
)]
pub(crate) mod file;
#[cfg(feature = "_grpc")]
pub(crate) mod grpc;
#[cfg(feature = "_http")]
pub(crate) mod http;
#[allow(dead_code, reason = "each check needs a part of it")]
pub(crate) mod io;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "_limit")]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "each check needs a part of it")
)]
pub(crate) mod limit;
#[cfg(feature = "nats")]
pub(crate) mod nats;
#[cfg(feature = "_url")]
pub(crate) mod nearest;
#[cfg(any(feature = "_redis", feature = "fred"))]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, unused, reason = "each check needs a part of it")
)]
pub(crate) mod redis;
#[cfg(any(feature = "database", feature = "migrations", feature = "sea-orm"))]
#[cfg_attr(
    not(all(feature = "database", feature = "migrations", feature = "sqlite")),
    allow(
        clippy::needless_pass_by_value,
        dead_code,
        unreachable_code,
        unused,
        reason = "each of the two checks needs a half of it, and without a driver there is nothing to run"
    )
)]
pub(crate) mod sql;
#[cfg(any(feature = "s3", feature = "storage"))]
#[cfg_attr(
    not(feature = "storage"),
    allow(unreachable_pub, reason = "its trait is public in `storage` only")
)]
pub(crate) mod storage;
#[cfg(feature = "_tls")]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "each check needs a part of it")
)]
pub(crate) mod tls;
#[cfg(feature = "_url")]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, unused_imports, reason = "each check needs a part of it")
)]
pub(crate) mod url;

/// Returns the scheme of a text that may be a URL, in lower case, or an empty text if it has none.
#[cfg(any(feature = "cache", feature = "_url"))]
pub(crate) fn scheme(text: &health_core::Secret) -> String {
    text.expose()
        .split_once(':')
        .map_or("", |(scheme, _)| scheme)
        .to_ascii_lowercase()
}

/// Returns `true` for a scheme of Redis, in any of the dialects.
#[cfg(any(feature = "cache", feature = "celery", feature = "celery_ping"))]
pub(crate) fn is_redis(scheme: &str) -> bool {
    scheme.contains("redis") || scheme.contains("valkey") || ["unix", "sentinel"].contains(&scheme)
}
