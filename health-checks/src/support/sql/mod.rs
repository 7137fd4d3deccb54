//! Databases of any kind: queries on them, and their errors.
//!
//! - [`driver`]: statements over the simple protocol, on any of the drivers.
//! - [`url`]: the URL of a database, in the dialects of several libraries.
//! - [`target`]: the application's pool, or a connection of the check's own.
//! - [`describe`]: the messages for errors of a driver or a server.

mod describe;
mod driver;
mod own;
mod pool;
mod target;
mod url;

pub(crate) use describe::{describe, is_missing_table, is_read_only};
pub(crate) use driver::Driver;
pub use target::DatabasePool;
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
