//! What more than one check needs.

#[cfg(feature = "memory")]
pub(crate) mod cgroup;
#[cfg(any(feature = "disk", feature = "memory"))]
pub(crate) mod limit;
#[cfg(any(feature = "database", feature = "migrations"))]
pub(crate) mod sql;
