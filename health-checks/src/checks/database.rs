//! Whether a database answers, and takes writes.
//!
//! On the application's own pool, so that a pool that is used up is seen as well:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use health_checks::DatabaseBackend;
//! use health_core::{CheckExt, Health};
//!
//! let pool = sqlx::PgPool::connect("postgres://shop@localhost/orders").await?;
//! let health = Health::builder().check(DatabaseBackend::new(pool).named("orders")).build()?;
//! # Ok(())
//! # }
//! ```

use std::time::Instant;

use health_core::{
    BoxCheck, Findings, HealthCheck, HealthCheckException, Result, Secret, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, Unit,
};
use serde::Deserialize;
use sqlx::Connection as _;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::sql::{DatabasePool, acquire, describe, is_missing_table, is_read_only, on_pool};

/// The migration for the table that `write` needs. Copy it into the application's own migrations.
pub const MIGRATION: &str = include_str!("../../migrations/20210403000000_health_check_db_testmodel.sql");

/// Runs `SELECT 1`; with [`write`](Self::write) also creates, updates and deletes a row.
#[derive(Debug, Clone)]
pub struct DatabaseBackend {
    pool: DatabasePool,
    /// Whether the pool is this check's alone, so that a connection that fails may be thrown away.
    is_own: bool,
    write: bool,
    require_writable: bool,
}

/// The keys of kind `database`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseSettings {
    /// Where the database is, such as `postgres://user:password@host/orders`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// Whether to create, update and delete a row in table `health_check_db_testmodel`, which a migration has to make.
    #[serde(default)]
    pub write: bool,
    /// Whether a server that takes no writes is an error; otherwise that is only observed.
    #[serde(default)]
    pub require_writable: bool,
}

impl CheckSettings for DatabaseSettings {
    const KIND: &'static str = "database";
    const SUMMARY: &'static str = "a query, or a write, on PostgreSQL, MySQL, MariaDB or SQLite";
    const VARIABLES: &'static [Variable] = &[Variable { key: "url", name: "DATABASE_URL", reads: Reads::Text }];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = DatabaseBackend::new(DatabasePool::lazy(&self.url)?);
        check.is_own = true;
        Ok(vec![BoxCheck::new(check.write(self.write).require_writable(self.require_writable))])
    }
}

impl DatabaseBackend {
    /// The database behind this pool.
    pub fn new(pool: impl Into<DatabasePool>) -> Self {
        Self { pool: pool.into(), is_own: false, write: false, require_writable: false }
    }

    /// Also creates, updates and deletes a row in table `health_check_db_testmodel`; [`MIGRATION`] makes the table.
    /// *Default*: no.
    #[must_use]
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// Whether a server that takes no writes (a replica) is an error; otherwise it is only observed. *Default*: no.
    #[must_use]
    pub fn require_writable(mut self, require: bool) -> Self {
        self.require_writable = require;
        self
    }

    /// A database that takes no writes is observed, and an error only where that is asked for.
    fn judge_writable(&self, is_writable: bool, findings: &Findings) -> Result {
        findings.observe("writable", u8::from(is_writable), Unit::Count);
        if self.require_writable && !is_writable {
            return Err(ServiceUnavailable::new("the database is read-only").into());
        }
        Ok(())
    }

    fn judge_write(&self, outcome: sqlx::Result<()>, findings: &Findings) -> Result {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if is_read_only(&error) => self.judge_writable(false, findings),
            Err(error) => Err(describe_write(error)),
        }
    }
}

/// Creates, updates and deletes a row and looks at it each time; a transaction, so that a run that is interrupted
/// leaves nothing behind.
macro_rules! write_row {
    ($connection:ident, $dialect:ident) => {{
        let id = i64::from(uuid::Uuid::new_v4().as_fields().0);
        let steps = async {
            let mut transaction = $connection.begin().await?;
            let mut titles = [None::<String>, None, None];
            for (title, step) in titles.iter_mut().zip([$dialect.insert, $dialect.update, $dialect.delete]) {
                sqlx::query(step).bind(id).execute(&mut *transaction).await?;
                let found = sqlx::query_scalar($dialect.select).bind(id).fetch_optional(&mut *transaction).await?;
                *title = found;
            }
            transaction.commit().await?;
            Ok(titles)
        };
        steps.await
    }};
}

/// Makes a table and takes that back: a file of SQLite that can't be written to is seen by nothing less.
macro_rules! try_write {
    ($connection:ident, $dialect:ident) => {{
        let steps = async {
            if let Some(statement) = $dialect.try_write {
                let mut transaction = $connection.begin().await?;
                sqlx::query(statement).execute(&mut *transaction).await?;
                transaction.rollback().await?;
            }
            Ok(())
        };
        steps.await
    }};
}
impl HealthCheck for DatabaseBackend {
    async fn check_status(&self, findings: &Findings) -> Result {
        on_pool!(&self.pool, pool, dialect => {
            let mut connection = acquire(pool, findings).await?;
            let outcome = async {
                let began = Instant::now();
                sqlx::query("SELECT 1").fetch_one(&mut *connection).await.map_err(describe)?;
                findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
                let read_only: i64 =
                    sqlx::query_scalar(dialect.read_only).fetch_one(&mut *connection).await.map_err(describe)?;
                self.judge_writable(read_only == 0, findings)?;
                match (read_only, self.write) {
                    (0, true) => match write_row!(connection, dialect) {
                        Ok(titles) => judge_titles(titles),
                        Err(error) => self.judge_write(Err(error), findings),
                    },
                    (0, false) if self.require_writable => self.judge_write(try_write!(connection, dialect), findings),
                    _ => Ok(()),
                }
            };
            // Before the engine ends the run, so that a connection of our own that hangs is closed.
            let patience = findings.time_left().mul_f64(0.9);
            let outcome = tokio::time::timeout(patience, outcome).await.unwrap_or_else(|_| {
                Err(ServiceUnavailable::new("the server does not answer").into())
            });
            if outcome.is_err() && self.is_own {
                connection.close_on_drop(); // whatever is wrong with it, the next run begins with a new one
            }
            outcome
        })
    }
}

fn judge_titles([created, updated, deleted]: [Option<String>; 3]) -> Result {
    expect(created.as_deref() == Some("test"), "the row that was created is not there")?;
    expect(updated.as_deref() == Some("newtest"), "the row that was updated is not changed")?;
    expect(deleted.is_none(), "the row that was deleted is still there")
}

fn describe_write(error: sqlx::Error) -> HealthCheckException {
    if is_missing_table(&error) {
        let message = "table health_check_db_testmodel is missing: apply the migration that comes with this check";
        return ServiceUnavailable::new(message).with_source(error).into();
    }
    describe(error)
}

fn expect(holds: bool, otherwise: &'static str) -> Result {
    if holds { Ok(()) } else { Err(ServiceReturnedUnexpectedResult::new(otherwise).into()) }
}
