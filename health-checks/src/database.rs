//! Whether a database answers, and takes writes.
//!
//! On the application's own pool, so that a pool that is used up is seen as well:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use health_checks::DatabaseBackend;
//! use health_core::{CheckExt, Health};
//!
//! let pool = sqlx::SqlitePool::connect("sqlite:///srv/app/orders.db").await?;
//! let health = Health::builder().check(DatabaseBackend::new(pool).named("orders")).build()?;
//! # Ok(())
//! # }
//! ```

use health_core::{
    BoxCheck, Findings, HealthCheck, HealthCheckException, Result, Secret, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, Unit,
};
use serde::Deserialize;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, SqlitePool};

use crate::catalogue::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::sql::{DatabasePool, acquire, describe, is_missing_table};

/// The migration for the table that `write` needs. Copy it into the application's own migrations.
pub const MIGRATION: &str = include_str!("../migrations/20210403000000_health_check_db_testmodel.sql");

/// Runs `SELECT 1`; with [`write`](Self::write) also creates, updates and deletes a row.
#[derive(Debug, Clone)]
pub struct DatabaseBackend {
    pool: DatabasePool,
    write: bool,
    require_writable: bool,
}

/// The keys of kind `database`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseSettings {
    /// Where the database is, such as `sqlite:///srv/app/orders.db`.
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
    const SUMMARY: &'static str = "a query, or a write, on a SQLite database";
    const VARIABLES: &'static [Variable] = &[Variable { key: "url", name: "DATABASE_URL", reads: Reads::Text }];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        let check = DatabaseBackend::new(DatabasePool::lazy(&self.url)?);
        Ok(vec![BoxCheck::new(check.write(self.write).require_writable(self.require_writable))])
    }
}

impl DatabaseBackend {
    /// The database behind this pool.
    pub fn new(pool: impl Into<DatabasePool>) -> Self {
        Self { pool: pool.into(), write: false, require_writable: false }
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

    async fn sqlite(&self, pool: &SqlitePool, findings: &Findings) -> Result {
        let mut connection = acquire(pool, findings).await?;
        let outcome = self.query_sqlite(&mut connection, findings).await;
        if outcome.is_err() {
            connection.close_on_drop(); // whatever is wrong with it, the next run begins with a new one
        }
        outcome
    }

    async fn query_sqlite(&self, connection: &mut SqliteConnection, findings: &Findings) -> Result {
        let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *connection).await.map_err(describe)?;
        expect(one == 1, "the query did not return 1")?;
        let read_only: bool = sqlx::query_scalar("SELECT query_only FROM pragma_query_only")
            .fetch_one(&mut *connection)
            .await
            .map_err(describe)?;
        self.judge_writable(!read_only, findings)?;
        if self.write {
            write_sqlite(connection).await?;
        }
        Ok(())
    }

    fn judge_writable(&self, is_writable: bool, findings: &Findings) -> Result {
        findings.observe("writable", u8::from(is_writable), Unit::Count);
        if self.require_writable && !is_writable {
            return Err(ServiceUnavailable::new("the database is read-only").into());
        }
        Ok(())
    }
}

impl HealthCheck for DatabaseBackend {
    async fn check_status(&self, findings: &Findings) -> Result {
        match &self.pool {
            DatabasePool::Sqlite(pool) => self.sqlite(pool, findings).await,
        }
    }
}

/// Creates, updates and deletes a row and looks at it each time; a transaction, so that a run that is interrupted
/// leaves nothing behind.
async fn write_sqlite(connection: &mut SqliteConnection) -> Result {
    let id = i64::from(uuid::Uuid::new_v4().as_fields().0);
    let title = "SELECT title FROM health_check_db_testmodel WHERE id = ?";
    let steps = async {
        let mut transaction = connection.begin().await?;
        sqlx::query("INSERT INTO health_check_db_testmodel (id, title) VALUES (?, 'test')")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let created: Option<String> = sqlx::query_scalar(title).bind(id).fetch_optional(&mut *transaction).await?;
        sqlx::query("UPDATE health_check_db_testmodel SET title = 'newtest' WHERE id = ?")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let updated: Option<String> = sqlx::query_scalar(title).bind(id).fetch_optional(&mut *transaction).await?;
        sqlx::query("DELETE FROM health_check_db_testmodel WHERE id = ?").bind(id).execute(&mut *transaction).await?;
        let deleted: Option<String> = sqlx::query_scalar(title).bind(id).fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((created, updated, deleted))
    };
    let (created, updated, deleted) = steps.await.map_err(describe_write)?;
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
