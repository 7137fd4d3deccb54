//! Checks that a database answers and, on request, that it accepts writes.
//!
//! On the application's own pool, the check also notices when the pool has no free connection:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use health_checks::DatabaseBackend;
//! use health_core::{CheckExt, Health};
//!
//! let pool = sqlx::PgPool::connect("postgres://shop@localhost/orders").await?;
//! let health = Health::builder()
//!     .check(DatabaseBackend::new(pool).named("orders"))
//!     .build()?;
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret,
    ServiceReturnedUnexpectedResult, ServiceUnavailable, Unit,
};
use serde::Deserialize;
use sqlx::Connection as _;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::sql::{
    DatabasePool, Driver, Query, TLS, Target, describe, failed, is_answer, is_missing_table,
    is_other, is_read_only,
};

/// The migration that creates the table for `write`. Copy it into the application's own migrations.
pub const MIGRATION: &str =
    include_str!("../../migrations/20210403000000_health_check_db_testmodel.sql");

/// Runs `SELECT 1`. With [`write`](Self::write), the check also creates, updates and deletes a row.
#[derive(Debug, Clone)]
pub struct DatabaseBackend {
    target: Target,
    look: Look,
    running: OnceLock<BoxCheck>,
}

/// The operations that a run performs on the database.
#[derive(Debug, Clone, Default)]
struct Look {
    query: Option<Arc<str>>,
    write: bool,
    require_writable: bool,
}

/// The keys of kind `database`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseSettings {
    /// The URL of the database, such as `postgres://user:password@host/orders`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// An additional statement that each run sends, such as `SELECT 1 FROM orders LIMIT 1`.
    #[serde(default)]
    pub query: Option<String>,
    /// Creates, updates and deletes a row in table `health_check_db_testmodel`, which a migration
    /// has to create.
    #[serde(default)]
    pub write: bool,
    /// Reports an error if the server accepts no writes. Otherwise, this is only an observation.
    #[serde(default)]
    pub require_writable: bool,
}

impl CheckSettings for DatabaseSettings {
    const KIND: &'static str = "database";
    const SUMMARY: &'static str = "a query, or a write, on PostgreSQL, MySQL, MariaDB or SQLite";
    const TLS: &'static [&'static str] = TLS;
    const VARIABLES: &'static [Variable] = &[Variable {
        key: "url",
        name: "DATABASE_URL",
        reads: Reads::Text,
    }];
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        let url = self.url.clone();
        let mut check = DatabaseBackend::of(Target::from_url(&self.url, &tls)?);
        if let Some(query) = self.query {
            if query.trim().is_empty() {
                return Err(Misconfigured::new(
                    "query",
                    "expected a statement in SQL, such as SELECT 1 FROM orders LIMIT 1",
                ));
            }
            check = check.query(query);
        }
        Ok(vec![
            BoxCheck::new(
                check
                    .write(self.write)
                    .require_writable(self.require_writable),
            )
            .concealing([url]),
        ])
    }
}

impl DatabaseBackend {
    /// Creates a check of the database behind this pool.
    pub fn new(pool: impl Into<DatabasePool>) -> Self {
        Self::of(Target::Pool(pool.into()))
    }

    fn of(target: Target) -> Self {
        Self {
            target,
            look: Look::default(),
            running: OnceLock::new(),
        }
    }

    /// Sets an additional statement that each run sends, such as `SELECT 1 FROM orders LIMIT 1`. It
    /// has to succeed, whatever it returns. A timeout may interrupt it at any time. *Default*:
    /// none.
    #[must_use]
    pub fn query(mut self, sql: impl Into<String>) -> Self {
        self.look.query = Some(sql.into().into());
        Self {
            running: OnceLock::new(),
            ..self
        }
    }

    /// Sets whether a run also creates, updates and deletes a row in table
    /// `health_check_db_testmodel`. [`MIGRATION`] creates the table. *Default*: `false`.
    #[must_use]
    pub fn write(mut self, write: bool) -> Self {
        self.look.write = write;
        Self {
            running: OnceLock::new(),
            ..self
        }
    }

    /// Sets whether a server that accepts no writes, such as a replica, is an error. Otherwise, it
    /// is only observed. *Default*: `false`.
    #[must_use]
    pub fn require_writable(mut self, require: bool) -> Self {
        self.look.require_writable = require;
        Self {
            running: OnceLock::new(),
            ..self
        }
    }
}

impl HealthCheck for DatabaseBackend {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.running
            .get_or_init(|| self.target.check(self.look.clone()))
            .check_status(findings)
            .await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "DatabaseBackend".into()
    }
}

impl Query for Look {
    /// `true` if the database accepts writes. `None` if that is unknown.
    type Greeting = Option<bool>;

    async fn greet<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        findings: &Findings,
    ) -> Probed<Option<bool>> {
        let began = Instant::now();
        let takes_writes = sign_of_life::<DB>(connection).await.map_err(failed)?;
        findings.observe("latency", began.elapsed().as_secs_f64(), Unit::Seconds);
        Ok(takes_writes)
    }

    async fn ask<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        takes_writes: Option<bool>,
        findings: &Findings,
    ) -> Probed {
        if let Some(takes_writes) = takes_writes {
            self.judge_writable(takes_writes, findings)
                .map_err(ProbeError::Answered)?;
        }
        if let Some(query) = &self.query {
            DB::rows(connection, query.to_string())
                .await
                .map_err(|error| ProbeError::new(is_answer(&error), describe_query(error)))?;
        }
        let is_worth_it = (self.write || self.require_writable) && takes_writes != Some(false);
        if is_worth_it {
            self.try_to_write::<DB>(connection, findings).await
        } else {
            Ok(())
        }
    }
}

/// Runs `SELECT 1`, and returns whether the database accepts writes. Some servers that speak the
/// protocol do not support that query. They receive a second query, `SELECT 1` alone, and the
/// result is `None`.
async fn sign_of_life<DB: Driver>(connection: &mut DB::Connection) -> sqlx::Result<Option<bool>> {
    match DB::rows(connection, DB::SELECT_1.into()).await {
        Ok(rows) => {
            let answer = rows.first().and_then(|row| row.get(1)?.as_deref());
            Ok(Some(DB::takes_writes(answer)))
        }
        Err(error) if is_answer(&error) => {
            DB::value(connection, "SELECT 1".into()).await.map(|_| None)
        }
        Err(error) => Err(error),
    }
}

impl Look {
    async fn try_to_write<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        findings: &Findings,
    ) -> Probed {
        let outcome = if self.write {
            write_row::<DB>(connection).await.map(Some)
        } else {
            write_and_take_back::<DB>(connection).await.map(|()| None)
        };
        match outcome {
            Ok(Some(titles)) => judge_titles(titles).map_err(ProbeError::Answered),
            Ok(None) => Ok(()),
            Err(error) if is_read_only(&error) => self
                .judge_writable(false, findings)
                .map_err(ProbeError::Answered),
            Err(error) => Err(ProbeError::new(is_answer(&error), describe_write(error))),
        }
    }

    /// Observes whether the database accepts writes. Returns an error if it does not and
    /// `require_writable` is set.
    fn judge_writable(&self, is_writable: bool, findings: &Findings) -> Result {
        findings.observe("writable", u8::from(is_writable), Unit::Count);
        if self.require_writable && !is_writable {
            return Err(ServiceUnavailable::new("the database is read-only")
                .with_kind(FailureKind::ReadOnly)
                .into());
        }
        Ok(())
    }
}

/// Creates, updates and deletes a row, and returns its title after each step. All steps are one
/// transaction, so that an interrupted run leaves nothing behind.
async fn write_row<DB: Driver>(
    connection: &mut DB::Connection,
) -> sqlx::Result<[Option<String>; 3]> {
    let mut transaction = connection.begin().await?;
    let titles = write_steps::<DB>(&mut transaction).await;
    match titles {
        Ok(_) => transaction.commit().await?,
        // The connection is kept, and must not hold locks until the next run.
        Err(_) => {
            let _ = transaction.rollback().await; // the error of the step says more
        }
    }
    titles
}

async fn write_steps<DB: Driver>(
    connection: &mut DB::Connection,
) -> sqlx::Result<[Option<String>; 3]> {
    let id = uuid::Uuid::new_v4().as_fields().0;
    let mut titles = [None, None, None];
    let steps = [
        format!("INSERT INTO health_check_db_testmodel (id, title) VALUES ({id}, 'test')"),
        format!("UPDATE health_check_db_testmodel SET title = 'newtest' WHERE id = {id}"),
        format!("DELETE FROM health_check_db_testmodel WHERE id = {id}"),
    ];
    for (title, step) in titles.iter_mut().zip(steps) {
        DB::rows(connection, step).await?;
        let select = format!("SELECT title FROM health_check_db_testmodel WHERE id = {id}");
        *title = DB::value(connection, select).await?;
    }
    Ok(titles)
}

/// Creates a table and rolls that back. Nothing less shows that an SQLite file is not writable.
async fn write_and_take_back<DB: Driver>(connection: &mut DB::Connection) -> sqlx::Result<()> {
    if let Some(statement) = DB::TRY_WRITE {
        let mut transaction = connection.begin().await?;
        DB::rows(&mut transaction, statement.into()).await?;
        transaction.rollback().await?;
    }
    Ok(())
}

fn judge_titles([created, updated, deleted]: [Option<String>; 3]) -> Result {
    expect(
        created.as_deref() == Some("test"),
        "the row that was created is not there",
    )?;
    expect(
        updated.as_deref() == Some("newtest"),
        "the row that was updated is not changed",
    )?;
    expect(deleted.is_none(), "the row that was deleted is still there")
}

fn describe_query(error: sqlx::Error) -> HealthCheckException {
    let message = "the query of the check failed";
    match &error {
        sqlx::Error::Database(_) if is_other(&error) => {
            ServiceUnavailable::new(message).with_source(error).into()
        }
        _ => describe(error),
    }
}

fn describe_write(error: sqlx::Error) -> HealthCheckException {
    if is_missing_table(&error) {
        let message = "table health_check_db_testmodel is missing: apply the migration that comes with this check";
        return ServiceUnavailable::new(message).with_source(error).into();
    }
    describe(error)
}

fn expect(holds: bool, otherwise: &'static str) -> Result {
    if holds {
        Ok(())
    } else {
        Err(ServiceReturnedUnexpectedResult::new(otherwise).into())
    }
}
