#![doc = include_str!("../README.md")]

pub mod catalogue;
mod checks;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "fleet")]
mod fleet;
mod kind;
mod pools;
mod support;

#[allow(unused_imports, unreachable_pub, reason = "a build may have no check")]
pub use checks::*;
#[cfg(feature = "fleet")]
pub use fleet::{FleetHealthCheck, RedisFleet, SharedCheck};
/// Checks of any pool of the application.
pub use support::connection::pool;
#[cfg(feature = "_limit")]
pub use support::limit::Limit;
#[cfg(any(feature = "database", feature = "migrations"))]
pub use support::sql::DatabasePool;
#[cfg(feature = "_tls")]
#[doc(hidden)]
pub use support::tls::words as tls_words;

/// The examples of docs/pools.md, which are compiled as tests.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../../docs/pools.md")]
struct Pools;
