//! Whether a database's schema is the one that the code was written for.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use health_checks::MigrationsHealthCheck;
//! use health_core::Health;
//!
//! let pool = sqlx::PgPool::connect("postgres://shop@localhost/orders").await?;
//! let health = Health::builder().check(MigrationsHealthCheck::new(pool, "./migrations")).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! Instead of a folder the application may hand over its own `sqlx::migrate!()`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use health_core::{
    BoxCheck, Findings, HealthCheck, HealthCheckException, Result, Secret, ServiceUnavailable, ServiceWarning, Unit,
};
use serde::Deserialize;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, Migrator};
use tokio::sync::OnceCell;

use crate::kind::{CheckSettings, Misconfigured, Reads, Variable};
use crate::support::sql::{DatabasePool, acquire, describe, is_missing_table, on_pool};

/// How many migrations a message names.
const NAMED: usize = 5;

/// Compares sqlx's table `_sqlx_migrations` with the migrations of the code. Reads, and never applies anything.
#[derive(Debug, Clone)]
pub struct MigrationsHealthCheck {
    pool: DatabasePool,
    /// Whether the pool is this check's alone, so that a connection that fails may be thrown away.
    is_own: bool,
    migrations: Migrations,
    table: String,
}

/// Where the code's migrations are.
#[derive(Debug, Clone)]
pub struct Migrations(Source);

#[derive(Debug, Clone)]
enum Source {
    Code(&'static Migrator),
    Owned(Arc<Migrator>),
    Folder { path: PathBuf, read: Arc<OnceCell<Migrator>> },
}

/// The keys of kind `migrations`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MigrationsSettings {
    /// Where the database is, such as `postgres://user:password@host/orders`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// The folder of the migrations, as sqlx-cli names its files.
    #[serde(default = "default_source")]
    pub source: PathBuf,
}

fn default_source() -> PathBuf {
    "migrations".into()
}

impl CheckSettings for MigrationsSettings {
    const KIND: &'static str = "migrations";
    const SUMMARY: &'static str = "whether all migrations of the code are applied";
    const VARIABLES: &'static [Variable] = &[
        Variable { key: "url", name: "HEALTHCHECK_MIGRATIONS_DB", reads: Reads::Text },
        Variable { key: "url", name: "DATABASE_URL", reads: Reads::Text },
    ];

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        let mut check = MigrationsHealthCheck::new(DatabasePool::lazy(&self.url)?, self.source);
        check.is_own = true;
        Ok(vec![BoxCheck::new(check)])
    }
}

impl From<&'static Migrator> for Migrations {
    fn from(migrator: &'static Migrator) -> Self {
        Self(Source::Code(migrator))
    }
}

impl From<Migrator> for Migrations {
    fn from(migrator: Migrator) -> Self {
        Self(Source::Owned(Arc::new(migrator)))
    }
}

impl From<PathBuf> for Migrations {
    fn from(path: PathBuf) -> Self {
        Self(Source::Folder { path, read: Arc::default() })
    }
}

impl From<&Path> for Migrations {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&str> for Migrations {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl Migrations {
    /// The migrations; a folder is read once, when it is first needed.
    async fn resolve(&self) -> Result<&Migrator> {
        match &self.0 {
            Source::Code(migrator) => Ok(migrator),
            Source::Owned(migrator) => Ok(migrator),
            Source::Folder { path, read } => {
                let migrator = read.get_or_try_init(|| Migrator::new(path.as_path())).await;
                migrator.map_err(|error| {
                    ServiceUnavailable::new("the folder of the migrations can't be read").with_source(error).into()
                })
            }
        }
    }
}

impl MigrationsHealthCheck {
    /// The database behind this pool, and a folder, a `sqlx::migrate!()` or any other `Migrator`.
    pub fn new(pool: impl Into<DatabasePool>, migrations: impl Into<Migrations>) -> Self {
        Self { pool: pool.into(), is_own: false, migrations: migrations.into(), table: "_sqlx_migrations".into() }
    }

    /// The table in which sqlx keeps what was applied. *Default*: `_sqlx_migrations`.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }
}

impl HealthCheck for MigrationsHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let known = self.migrations.resolve().await?;
        let (failed, applied): (Option<i64>, Vec<AppliedMigration>) = on_pool!(&self.pool, pool, _ => {
            let mut connection = acquire(pool, findings).await.map_err(not_ready)?;
            // Before the engine ends the run, so that a connection of our own that hangs is closed.
            let patience = findings.time_left().mul_f64(0.9);
            let reading = tokio::time::timeout(patience, read(&mut *connection, &self.table)).await;
            let outcome = reading.unwrap_or_else(|_| {
                Err(ServiceUnavailable::new("Database is not ready: the server does not answer").into())
            });
            if outcome.is_err() && self.is_own {
                connection.close_on_drop(); // whatever is wrong with it, the next run begins with a new one
            }
            outcome?
        });
        let known = known.iter().filter(|migration| !migration.migration_type.is_down_migration());
        let known: BTreeMap<i64, &Migration> = known.map(|migration| (migration.version, migration)).collect();
        compare(&known, &applied, failed, findings);
        Ok(())
    }
}

/// The version that failed half-way, if any, and what was applied. Without its table nothing was.
async fn read(connection: &mut impl Migrate, table: &str) -> Result<(Option<i64>, Vec<AppliedMigration>)> {
    let outcome =
        async { Ok((connection.dirty_version(table).await?, connection.list_applied_migrations(table).await?)) };
    match outcome.await {
        Err(MigrateError::Execute(error)) if is_missing_table(&error) => Ok((None, Vec::new())),
        Err(MigrateError::Execute(error)) => Err(not_ready(describe(error))),
        Err(error) => Err(not_ready(health_core::UnknownError::caused_by(error).into())),
        Ok(found) => Ok(found),
    }
}

/// The original's words, and behind them what it is.
fn not_ready(error: HealthCheckException) -> HealthCheckException {
    error.reworded(|message| format!("Database is not ready: {message}"))
}

fn compare(known: &BTreeMap<i64, &Migration>, applied: &[AppliedMigration], failed: Option<i64>, findings: &Findings) {
    let name = |version: i64| match known.get(&version) {
        Some(migration) => format!("{version} {}", migration.description),
        None => version.to_string(),
    };
    if let Some(version) = failed {
        let message = format!("migration {} failed half-way: mend the schema and remove its row", name(version));
        findings.add_error(ServiceUnavailable::new(message));
    }
    let (mut changed, mut unknown) = (Vec::new(), Vec::new());
    for migration in applied {
        match known.get(&migration.version) {
            None => unknown.push(migration.version.to_string()),
            Some(known) if known.checksum != migration.checksum => changed.push(name(migration.version)),
            Some(_) => {}
        }
    }
    let is_applied = |version: i64| applied.iter().any(|migration| migration.version == version);
    let pending: Vec<_> = known.keys().filter(|version| !is_applied(**version)).map(|version| name(*version)).collect();
    findings.observe("pending", u32::try_from(pending.len()).unwrap_or(u32::MAX), Unit::Count);

    if !pending.is_empty() {
        findings.add_error(ServiceUnavailable::new(format!("There are migrations to apply: {}", listed(&pending))));
    }
    if !changed.is_empty() {
        let message = format!("Migrations were changed after they were applied: {}", listed(&changed));
        findings.add_error(ServiceUnavailable::new(message));
    }
    if !unknown.is_empty() {
        // In the middle of a rollout this is the old code on the new schema: worth a word, not an outage.
        let message = format!("Migrations are applied that this code does not know: {}", listed(&unknown));
        findings.add_error(ServiceWarning::new(message));
    }
}

/// How many, and the first of them by name: `7 (1 users, 2 orders, ...)`.
fn listed(names: &[String]) -> String {
    let more = if names.len() > NAMED { ", ..." } else { "" };
    format!("{} ({}{more})", names.len(), names[..names.len().min(NAMED)].join(", "))
}
