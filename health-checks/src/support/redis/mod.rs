//! Redis: the address of a server, connections to it, and its errors.

#[cfg(feature = "redis")]
pub(crate) mod bb8;
#[cfg(feature = "_redis")]
mod describe;
#[cfg(feature = "_redis")]
mod ping;
#[cfg(feature = "_redis_server")]
mod server;
#[cfg(feature = "_redis_server")]
mod url;
pub(crate) mod words;

#[cfg(feature = "_redis")]
pub(crate) use describe::{describe, failed, is_answer, not_reached};
#[cfg(feature = "_redis")]
pub(crate) use ping::{greet, ping};
#[cfg(feature = "_redis_server")]
pub(crate) use server::{Connection, Server};

/// The message for a URL that is not that of Redis.
pub(crate) const EXPECTED: &str = "expected a URL such as redis://:password@host:6379/1";
