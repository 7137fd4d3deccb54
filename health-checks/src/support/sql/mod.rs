//! Databases of any kind: queries on them, and their errors.
//!
//! - [`driver`]: statements over the simple protocol, on any of the drivers.
//! - [`url`]: the URL of a database, in the dialects of several libraries.
//! - [`target`]: the application's pool, or a connection of the check's own.
//! - [`describe`]: the messages for errors of a driver or a server.

mod describe;
mod driver;
#[cfg(any(feature = "database", feature = "migrations"))]
mod own;
mod pool;
#[cfg(any(feature = "database", feature = "migrations"))]
mod target;
#[cfg(any(feature = "database", feature = "migrations"))]
mod url;

pub(crate) use describe::{describe, is_missing_table, is_other, is_read_only};
pub(crate) use driver::Driver;
#[cfg(any(feature = "database", feature = "migrations"))]
pub use target::DatabasePool;
#[cfg(any(feature = "database", feature = "migrations"))]
pub(crate) use target::{TLS, Target};

use std::future::Future;

use health_core::{Findings, Result};

/// A query that a check runs on a database.
pub(crate) trait Query: Clone + Send + Sync + 'static {
    fn ask<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        findings: &Findings,
    ) -> impl Future<Output = Result> + Send;
}
