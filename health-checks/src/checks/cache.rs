//! Checks that a cache keeps what is put into it.
//!
//! The in-process store is [moka](https://docs.rs/moka). Any type with these three methods can be a
//! store:
//!
//! ```
//! use health_checks::cache::{CacheBackend, CacheStore};
//! use health_core::{Health, Result};
//! use std::time::Duration;
//!
//! struct Sessions;
//!
//! impl CacheStore for Sessions {
//!     async fn set(&self, key: &str, value: &str, expires_in: Duration) -> Result {
//!         Ok(())
//!     }
//!     async fn get(&self, key: &str) -> Result<Option<String>> {
//!         Ok(None)
//!     }
//!     async fn delete(&self, key: &str) -> Result {
//!         Ok(())
//!     }
//! }
//!
//! let health = Health::builder()
//!     .check(CacheBackend::new(Sessions))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::future::Future;
use std::time::{Duration, Instant};

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, Scope, Secret, ServiceUnavailable,
};
use moka::Expiry;
use serde::Deserialize;
use uuid::Uuid;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::{is_redis, scheme};

#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub use redis::RedisStore;

/// The time after which a key expires. It removes what an interrupted run leaves behind.
const EXPIRES_IN: Duration = Duration::from_secs(5);

/// A cache: three operations on strings.
pub trait CacheStore: Send + Sync + 'static {
    /// Stores a value, which expires after `expires_in`.
    fn set(
        &self,
        key: &str,
        value: &str,
        expires_in: Duration,
    ) -> impl Future<Output = Result> + Send;

    /// Returns the value, or `None` if the cache does not hold it.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<String>>> + Send;

    /// Deletes the value. A missing value is not an error.
    fn delete(&self, key: &str) -> impl Future<Output = Result> + Send;

    /// Sets a value, gets it, deletes it and gets it again. Returns what was found before and after
    /// the deletion. *Default*: runs one operation after the other. A store that can do this at a
    /// lower cost, such as on one connection, may override it.
    fn round_trip(
        &self,
        key: &str,
        value: &str,
        expires_in: Duration,
        findings: &Findings,
    ) -> impl Future<Output = Result<[Option<String>; 2]>> + Send {
        let _ = findings;
        async move {
            self.set(key, value, expires_in).await?;
            let found = self.get(key).await?;
            self.delete(key).await?;
            Ok([found, self.get(key).await?])
        }
    }

    /// Returns the scope of the store. *Default*: [`Scope::External`].
    fn scope(&self) -> Scope {
        Scope::External
    }
}

/// Sets, gets and deletes a key that is unique to each run. The key expires by itself after 5 s.
#[derive(Debug, Clone)]
pub struct CacheBackend<S = MemoryStore> {
    store: S,
    key_prefix: String,
}

/// The keys of kind `cache`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CacheSettings {
    /// The URL of the cache. `memory://` is a cache in this process. `redis://` and its variants
    /// are as for kind `redis`, and may name a node of a cluster. `memcached://host:11211` is a
    /// memcached server.
    #[cfg_attr(feature = "config", schemars(with = "String", default = "memory_url"))]
    pub url: Secret,
    /// The prefix of the keys that this check uses.
    pub key_prefix: String,
}

#[cfg(feature = "config")]
fn memory_url() -> String {
    MEMORY.into()
}

const MEMORY: &str = "memory://";
const KEY_PREFIX: &str = "health_check";

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            url: MEMORY.into(),
            key_prefix: KEY_PREFIX.into(),
        }
    }
}

impl CheckSettings for CacheSettings {
    const KIND: &'static str = "cache";
    const SUMMARY: &'static str = "set, get and delete a key";
    const TLS: &'static [&'static str] = TlsSettings::ALL;
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let prefix = self.key_prefix;
        let scheme = scheme(&self.url);
        let check = match scheme.as_str() {
            "memory" if self.url.expose() == MEMORY => {
                tls.needs(false)?;
                BoxCheck::new(CacheBackend::default().key_prefix(prefix))
            }
            #[cfg(feature = "memcached")]
            "memcached" | "memcache" => {
                tls.needs(false)?;
                memcached::own(&self.url, prefix)?
            }
            #[cfg(feature = "redis")]
            scheme if is_redis(scheme) => redis::own(&self.url, tls, prefix)?,
            scheme if is_redis(scheme) || scheme.starts_with("memcache") => {
                let message =
                    format!("this build has no store for {scheme}: switch on its cargo feature");
                return Err(Misconfigured::new("url", message));
            }
            _ => return Err(unknown(&self.url)),
        };
        Ok(vec![check])
    }
}

const EXPECTED: &str = "expected memory://, redis://... or memcached://...";

#[cfg(feature = "_url")]
fn unknown(url: &Secret) -> Misconfigured {
    use crate::support::url::{not, plain};
    let known = ["memory", "redis", "rediss", "valkey", "memcached"];
    plain(url.expose())
        .err()
        .unwrap_or_else(|| not(EXPECTED, url, known))
}

#[cfg(not(feature = "_url"))]
fn unknown(_: &Secret) -> Misconfigured {
    Misconfigured::new("url", EXPECTED)
}

/// A check of a cache through a connection of the check's own.
#[cfg(any(feature = "memcached", feature = "redis"))]
struct OwnCache<P: crate::support::connection::kept::Protocol>(
    crate::support::connection::kept::Kept<P>,
);

#[cfg(any(feature = "memcached", feature = "redis"))]
impl<P: crate::support::connection::kept::Protocol> HealthCheck for OwnCache<P> {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.0.check(findings).await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "CacheBackend".into()
    }
}

impl Default for CacheBackend {
    /// Creates a check of a cache in this process.
    fn default() -> Self {
        Self::new(MemoryStore::default())
    }
}

impl<S: CacheStore> CacheBackend<S> {
    /// Creates a check of the cache behind this store.
    pub fn new(store: S) -> Self {
        Self {
            store,
            key_prefix: KEY_PREFIX.into(),
        }
    }

    /// Sets the prefix of the keys that this check uses. *Default*: `health_check`.
    #[must_use]
    #[doc(alias = "HEALTHCHECK_CACHE_KEY")]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }
}

/// The key of one run, and the value that the run stores under it.
struct Item {
    key: String,
    value: String,
}

impl Item {
    fn new(prefix: &str) -> Self {
        let run = Uuid::new_v4().simple().to_string();
        Self {
            key: format!("{prefix}:{run}"),
            value: format!("itworks-{run}"),
        }
    }

    /// Compares what was found before and after the item was deleted with what should be found.
    fn judge(&self, [found, left]: &[Option<String>; 2]) -> Result {
        if found.as_ref() != Some(&self.value) {
            return Err(ServiceUnavailable::new("Cache key does not match")
                .with_kind(FailureKind::UnexpectedAnswer)
                .into());
        }
        if left.is_some() {
            let error = ServiceUnavailable::new("Cache key was not deleted");
            return Err(error.with_kind(FailureKind::UnexpectedAnswer).into());
        }
        Ok(())
    }
}

impl<S: CacheStore> HealthCheck for CacheBackend<S> {
    async fn check_status(&self, findings: &Findings) -> Result {
        let item = Item::new(&self.key_prefix);
        let found = self
            .store
            .round_trip(&item.key, &item.value, EXPIRES_IN, findings)
            .await?;
        item.judge(&found)
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "CacheBackend".into()
    }

    fn scope(&self) -> Scope {
        self.store.scope()
    }
}

/// A cache in this process. Each entry expires in its own time.
#[derive(Debug, Clone)]
pub struct MemoryStore(moka::sync::Cache<String, Entry>);

#[derive(Debug, Clone)]
struct Entry {
    value: String,
    expires_in: Duration,
}

struct ByEntry;

impl Expiry<String, Entry> for ByEntry {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.expires_in)
    }
}

impl Default for MemoryStore {
    /// Creates a cache that holds up to 1,000 values.
    fn default() -> Self {
        Self(
            moka::sync::Cache::builder()
                .max_capacity(1000)
                .expire_after(ByEntry)
                .build(),
        )
    }
}

impl CacheStore for MemoryStore {
    async fn set(&self, key: &str, value: &str, expires_in: Duration) -> Result {
        self.0.insert(
            key.to_owned(),
            Entry {
                value: value.to_owned(),
                expires_in,
            },
        );
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.0.get(key).map(|entry| entry.value))
    }

    async fn delete(&self, key: &str) -> Result {
        self.0.invalidate(key);
        Ok(())
    }

    fn scope(&self) -> Scope {
        Scope::Process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_leaves_nothing_behind() {
        let store = MemoryStore::default();
        for _ in 0..10 {
            CacheBackend::new(store.clone())
                .check_status(&Findings::default())
                .await
                .unwrap();
        }
        store.0.run_pending_tasks();
        assert_eq!(store.0.entry_count(), 0);
    }

    #[tokio::test]
    async fn a_value_expires_in_its_own_time() {
        let store = MemoryStore::default();
        store
            .set("a", "1", Duration::from_millis(20))
            .await
            .unwrap();
        store.set("b", "2", Duration::from_mins(1)).await.unwrap();
        assert_eq!(store.get("a").await.unwrap().as_deref(), Some("1"));
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(store.get("a").await.unwrap(), None);
        assert_eq!(store.get("b").await.unwrap().as_deref(), Some("2"));
    }

    /// A cache that loses what is put into it, or never deletes it.
    struct Faulty {
        keeps: bool,
    }

    impl CacheStore for Faulty {
        async fn set(&self, _: &str, _: &str, _: Duration) -> Result {
            Ok(())
        }

        async fn get(&self, key: &str) -> Result<Option<String>> {
            Ok(self.keeps.then(|| key.replace("health_check:", "itworks-")))
        }

        async fn delete(&self, _: &str) -> Result {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_cache_is_told_apart() {
        for (keeps, message) in [
            (false, "unavailable: Cache key does not match"),
            (true, "unavailable: Cache key was not deleted"),
        ] {
            let error = CacheBackend::new(Faulty { keeps })
                .check_status(&Findings::default())
                .await
                .unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
