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
//!
//! A server that took writes and takes none now, as after a failover to a replica, is an error: see
//! [`RequireWritable`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret,
    ServiceReturnedUnexpectedResult, ServiceUnavailable, Unit,
};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use sqlx::Connection as _;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::sql::{
    DatabasePool, Driver, Query, TLS, Target, describe, failed, is_answer, is_missing_table,
    is_not_understood, is_other, is_read_only,
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
    require_writable: RequireWritable,
    took_writes: TookWrites,
}

/// Says when a server that accepts no writes is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RequireWritable {
    /// An error if the server, or the one in its place, has accepted writes since the process
    /// started, as a primary has. A server that never did, such as a replica, is only observed.
    #[default]
    Auto,
    /// An error in any case.
    Always,
    /// No error.
    Never,
}

/// The last time at which the check saw that writes are accepted. All clones of a check share it,
/// and so do the checks of the same settings, however often they connect.
#[derive(Debug, Clone, Default)]
struct TookWrites(Arc<Mutex<Option<Instant>>>);

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
    /// `true` reports an error if the server accepts no writes, `false` only observes it, and
    /// "auto" reports an error if the server accepted writes before, as after a failover.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(default = "auto"))]
    pub require_writable: RequireWritable,
    #[serde(skip)]
    #[cfg_attr(feature = "config", schemars(skip))]
    took_writes: TookWrites,
}

#[cfg(feature = "config")]
fn auto() -> &'static str {
    AUTO
}

/// The default TTL with `write`.
const TTL_OF_WRITES: Duration = Duration::from_secs(10);

/// The word for [`RequireWritable::Auto`] in a configuration file.
const AUTO: &str = "auto";

impl From<bool> for RequireWritable {
    fn from(require: bool) -> Self {
        if require { Self::Always } else { Self::Never }
    }
}

impl<'de> Deserialize<'de> for RequireWritable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RequireWritableVisitor)
    }
}

struct RequireWritableVisitor;

impl de::Visitor<'_> for RequireWritableVisitor {
    type Value = RequireWritable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or \"auto\"")
    }

    fn visit_bool<E: de::Error>(self, require: bool) -> Result<RequireWritable, E> {
        Ok(require.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RequireWritable, E> {
        if text == AUTO {
            Ok(RequireWritable::Auto)
        } else {
            Err(E::invalid_value(de::Unexpected::Other("text"), &self))
        }
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for RequireWritable {
    fn schema_name() -> Cow<'static, str> {
        "RequireWritable".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": [true, false, AUTO] })
    }
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
        check.look.took_writes = self.took_writes;
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

    /// Returns the operations of a run. A URL that asks for a replica expects no writes.
    fn look(&self) -> Look {
        let mut look = self.look.clone();
        if self.target.is_replica() && look.require_writable == RequireWritable::Auto {
            look.require_writable = RequireWritable::Never;
        }
        look
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

    /// Sets when a server that accepts no writes is an error. If it is none, it is only observed.
    /// A `bool` stands for always or never. It does not matter with [`write`](Self::write), which
    /// needs a server that accepts writes. *Default*: [`RequireWritable::Auto`].
    #[must_use]
    pub fn require_writable(mut self, require: impl Into<RequireWritable>) -> Self {
        self.look.require_writable = require.into();
        Self {
            running: OnceLock::new(),
            ..self
        }
    }
}

impl HealthCheck for DatabaseBackend {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.running
            .get_or_init(|| self.target.check(self.look()))
            .check_status(findings)
            .await
    }

    fn identifier(&self) -> Cow<'_, str> {
        "DatabaseBackend".into()
    }

    /// Is longer with `write`, because each transaction of it is synced to the disk of the server.
    fn default_ttl(&self) -> Option<Duration> {
        self.look.write.then_some(TTL_OF_WRITES)
    }
}

impl Query for Look {
    type Memory = FirstStatement;
    /// `true` if the database accepts writes. `None` if that is unknown.
    type Greeting = Option<bool>;

    async fn greet<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        memory: &mut FirstStatement,
        findings: &Findings,
    ) -> Probed<Option<bool>> {
        let began = Instant::now();
        let takes_writes = sign_of_life::<DB>(connection, memory)
            .await
            .map_err(failed)?;
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
        let is_required = self.require_writable == RequireWritable::Always;
        let is_unknown = takes_writes.is_none() && DB::TRY_WRITE.is_none();
        if is_required && is_unknown && !self.write {
            let message = "it can't be told whether the server accepts writes";
            let error = ServiceUnavailable::new(message);
            return Err(ProbeError::Answered(
                error.with_kind(FailureKind::Misconfigured).into(),
            ));
        }
        if self.write || is_required {
            self.try_to_write::<DB>(connection, findings).await?;
        } else if takes_writes != Some(true) {
            return Ok(());
        }
        self.took_writes.now();
        Ok(())
    }
}

/// The statement with which a run on a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum FirstStatement {
    /// The one that also asks whether the database accepts writes.
    #[default]
    Full,
    /// `SELECT 1` alone, because the server does not understand the other one. It would be in the
    /// log of the server each time.
    Plain,
}

/// Runs `SELECT 1`, and returns whether the database accepts writes. Some servers that speak the
/// protocol do not support that query. They receive a second query, `SELECT 1` alone, and the
/// result is `None`.
async fn sign_of_life<DB: Driver>(
    connection: &mut DB::Connection,
    memory: &mut FirstStatement,
) -> sqlx::Result<Option<bool>> {
    if *memory == FirstStatement::Full {
        match DB::rows(connection, DB::SELECT_1.into()).await {
            Ok(rows) => {
                let mut answers = rows.iter().flatten().skip(1);
                return Ok(Some(
                    answers.all(|answer| DB::takes_writes(answer.as_deref())),
                ));
            }
            Err(error) if is_not_understood(&error) => *memory = FirstStatement::Plain,
            Err(error) => return Err(error),
        }
    }
    DB::value(connection, "SELECT 1".into()).await.map(|_| None)
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

    /// Observes whether the database accepts writes. Returns an error if it does not, but has to.
    fn judge_writable(&self, is_writable: bool, findings: &Findings) -> Result {
        findings.observe("writable", u8::from(is_writable), Unit::Count);
        if is_writable {
            return Ok(());
        }
        let read_only_for = self.took_writes.elapsed();
        let is_error = match self.require_writable {
            RequireWritable::Always => true,
            RequireWritable::Auto => self.write || read_only_for.is_some(),
            RequireWritable::Never => self.write,
        };
        if !is_error {
            return Ok(());
        }
        let mut message = String::from("the database is read-only");
        if let Some(time) = read_only_for {
            findings.observe("read_only_for", time.as_secs_f64(), Unit::Seconds);
            let _ = write!(message, ": it took writes {}", ago(time)); // a string takes everything
        }
        Err(ServiceUnavailable::new(message)
            .with_kind(FailureKind::ReadOnly)
            .into())
    }
}

impl TookWrites {
    fn now(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Returns the time since writes were last seen to be accepted, if they ever were.
    fn elapsed(&self) -> Option<Duration> {
        self.lock().map(|at| at.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a time in a unit in which the message of a failure that lasts rarely changes. The
/// observation has the seconds.
fn ago(time: Duration) -> String {
    match time.as_secs() / 60 {
        0 => "less than 1 min ago".into(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes if minutes < 48 * 60 => format!("{} h ago", minutes / 60),
        minutes => format!("{} days ago", minutes / (24 * 60)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_failure_that_lasts_rarely_changes() {
        for (seconds, said) in [
            (0, "less than 1 min ago"),
            (59, "less than 1 min ago"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), said);
        }
    }
}
