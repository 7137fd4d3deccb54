//! Databases, whichever the database: how they are asked, and what can be wrong.
//!
//! - [`driver`]: a statement by the simple protocol, on any of the drivers.
//! - [`url`]: the URL of a database, whoever wrote it.
//! - [`target`]: the application's pool, or a connection of the check's own.
//! - [`describe`]: the words for what a driver or a server says.

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

/// What a check asks a database.
pub(crate) trait Query: Clone + Send + Sync + 'static {
    fn ask<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        findings: &Findings,
    ) -> impl Future<Output = Result> + Send;
}
