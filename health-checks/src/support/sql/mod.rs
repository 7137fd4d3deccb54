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

pub(crate) use describe::{
    describe, failed, is_answer, is_missing_table, is_not_understood, is_other, is_read_only,
};
pub(crate) use driver::Driver;
#[cfg(any(feature = "database", feature = "migrations"))]
pub use target::DatabasePool;
#[cfg(any(feature = "database", feature = "migrations"))]
pub(crate) use target::{TLS, Target};

use std::future::Future;

use health_core::Findings;

use crate::support::connection::error::Probed;

/// A query that a check runs on a database.
pub(crate) trait Query: Clone + Send + Sync + 'static {
    /// The knowledge about a connection that a run passes on to the next runs on it.
    type Memory: Default + Send + 'static;

    /// The result of the greeting.
    type Greeting: Send;

    /// Runs a statement that is cheap and has no effect, because a run may repeat it.
    fn greet<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        memory: &mut Self::Memory,
        findings: &Findings,
    ) -> impl Future<Output = Probed<Self::Greeting>> + Send;

    /// Runs both on a connection of a pool. *Default*: one after the other. A query that needs
    /// nothing of the greeting leaves it out.
    fn run<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        memory: &mut Self::Memory,
        findings: &Findings,
    ) -> impl Future<Output = Probed> + Send {
        async move {
            let greeting = self.greet::<DB>(connection, memory, findings).await?;
            self.ask::<DB>(connection, greeting, findings).await
        }
    }

    /// Runs the query, which a run does not repeat.
    fn ask<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        greeting: Self::Greeting,
        findings: &Findings,
    ) -> impl Future<Output = Probed> + Send;
}
