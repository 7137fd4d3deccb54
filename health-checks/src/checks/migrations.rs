//! Checks that a database's schema is the one that the code was written for.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use health_checks::MigrationsHealthCheck;
//! use health_core::Health;
//!
//! let pool = sqlx::PgPool::connect("postgres://shop@localhost/orders").await?;
//! let health = Health::builder()
//!     .check(MigrationsHealthCheck::new(pool, "./migrations"))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! In place of a folder, the application may pass its own `sqlx::migrate!()`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result, Secret,
    ServiceUnavailable, ServiceWarning, Status, Unit,
};
use serde::Deserialize;
use sqlx::migrate::{Migration, Migrator};
use tokio::sync::OnceCell;

use crate::kind::{CheckSettings, Misconfigured, Reads, TlsSettings, Variable};
use crate::support::connection::error::{ProbeError, Probed};
use crate::support::sql::{DatabasePool, Driver, Query, TLS, Target, failed, is_missing_table};

/// The most migrations that a message names.
const NAMED: usize = 5;

/// Compares sqlx's table `_sqlx_migrations` with the migrations of the code. The check only reads,
/// and never applies a migration.
#[derive(Debug, Clone)]
pub struct MigrationsHealthCheck {
    target: Target,
    applied: Applied,
    running: OnceLock<BoxCheck>,
}

/// `true` once the check has seen all migrations applied. All clones of a check share it, and so do
/// the checks of the same settings.
type HasWorked = Arc<AtomicBool>;

/// The default TTL. Migrations change with a deployment.
const TTL: Duration = Duration::from_secs(30);

/// The migrations of the code, and the table of the migrations that were applied.
#[derive(Debug, Clone)]
struct Applied {
    migrations: Migrations,
    /// `None` for the setting of the migrator.
    table: Option<String>,
    /// `None` for the setting of the migrator.
    ignore_missing: Option<bool>,
    has_worked: HasWorked,
}

/// The source of the code's migrations.
#[derive(Debug, Clone)]
pub struct Migrations(Source);

#[derive(Debug, Clone)]
enum Source {
    Code(&'static Migrator),
    Owned(Arc<Migrator>),
    Folder {
        path: PathBuf,
        read: Arc<OnceCell<Migrator>>,
    },
}

/// The keys of kind `migrations`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MigrationsSettings {
    /// The URL of the database, such as `postgres://user:password@host/orders`.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// The folder of the migrations, with file names as in sqlx-cli.
    #[serde(default = "default_source")]
    pub source: PathBuf,
    /// The table in which sqlx records the applied migrations.
    #[serde(default = "default_table")]
    pub table: String,
    /// Does not warn about applied migrations that the folder does not contain.
    #[serde(default)]
    pub ignore_missing: bool,
    #[serde(skip)]
    #[cfg_attr(feature = "config", schemars(skip))]
    has_worked: HasWorked,
}

fn default_table() -> String {
    "_sqlx_migrations".into()
}

fn default_source() -> PathBuf {
    "migrations".into()
}

impl CheckSettings for MigrationsSettings {
    const KIND: &'static str = "migrations";
    const SUMMARY: &'static str = "the migrations of the code, all of which have to be applied";
    const TLS: &'static [&'static str] = TLS;
    const VARIABLES: &'static [Variable] = &[
        Variable {
            key: "url",
            name: "HEALTHCHECK_MIGRATIONS_DB",
            reads: Reads::Text,
        },
        Variable {
            key: "url",
            name: "DATABASE_URL",
            reads: Reads::Text,
        },
    ];
    const URL: Option<&'static str> = Some("url");

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        // The name becomes a part of SQL statements.
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '"' | '`');
        if self.table.is_empty() || !self.table.chars().all(is_part) {
            return Err(Misconfigured::new(
                "table",
                "expected the name of a table, such as _sqlx_migrations or app.migrations",
            ));
        }
        let mut check = MigrationsHealthCheck::of(Target::from_url(&self.url, &tls)?, self.source)
            .table(self.table);
        check.applied.has_worked = self.has_worked;
        Ok(vec![
            BoxCheck::new(check.ignore_missing(self.ignore_missing)).concealing([self.url]),
        ])
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
        Self(Source::Folder {
            path,
            read: Arc::default(),
        })
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
    /// Returns the migrations. A folder is read once, when it is first needed.
    async fn resolve(&self) -> Result<&Migrator> {
        match &self.0 {
            Source::Code(migrator) => Ok(migrator),
            Source::Owned(migrator) => Ok(migrator),
            Source::Folder { path, read } => {
                let migrator = read.get_or_try_init(|| Migrator::new(path.as_path())).await;
                migrator.map_err(|error| {
                    let error =
                        ServiceUnavailable::new("the folder of the migrations can't be read")
                            .with_source(error);
                    error.with_kind(FailureKind::NotFound).into()
                })
            }
        }
    }
}

impl MigrationsHealthCheck {
    /// Creates a check of the database behind this pool. The migrations are a folder, a
    /// `sqlx::migrate!()` or any other `Migrator`.
    pub fn new(pool: impl Into<DatabasePool>, migrations: impl Into<Migrations>) -> Self {
        Self::of(Target::Pool(pool.into()), migrations)
    }

    fn of(target: Target, migrations: impl Into<Migrations>) -> Self {
        let applied = Applied {
            migrations: migrations.into(),
            table: None,
            ignore_missing: None,
            has_worked: HasWorked::default(),
        };
        Self {
            target,
            applied,
            running: OnceLock::new(),
        }
    }

    /// Sets the table in which sqlx records the applied migrations. *Default*: the table of the
    /// `Migrator`, which is usually `_sqlx_migrations`.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.applied.table = Some(table.into());
        Self {
            running: OnceLock::new(),
            ..self
        }
    }

    /// Sets whether the check ignores applied migrations that the code does not know, in place of a
    /// warning. *Default*: the setting of the `Migrator`, which is usually `false`.
    #[must_use]
    pub fn ignore_missing(mut self, ignore_missing: bool) -> Self {
        self.applied.ignore_missing = Some(ignore_missing);
        Self {
            running: OnceLock::new(),
            ..self
        }
    }
}

impl HealthCheck for MigrationsHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.applied.migrations.resolve().await?; // first, because an unreadable folder is not a failure of the database
        let check = self
            .running
            .get_or_init(|| self.target.check(self.applied.clone()));
        check.check_status(findings).await.map_err(not_ready)
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "MigrationsHealthCheck".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }
}

impl Query for Applied {
    type Memory = ();
    type Greeting = ();

    async fn greet<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        (): &mut (),
        _: &Findings,
    ) -> Probed {
        let answer = DB::value(connection, "SELECT 1".into()).await;
        answer.map(drop).map_err(failed)
    }

    async fn run<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        (): &mut (),
        findings: &Findings,
    ) -> Probed {
        self.ask::<DB>(connection, (), findings).await
    }

    async fn ask<DB: Driver>(
        &self,
        connection: &mut DB::Connection,
        (): (),
        findings: &Findings,
    ) -> Probed {
        let migrator = self.migrations.resolve().await;
        let migrator = migrator.map_err(ProbeError::Answered)?;
        let table = self.table.as_deref().unwrap_or(&migrator.table_name);
        let rows = match DB::rows(connection, DB::MIGRATIONS.replace("{table}", table)).await {
            Err(error) if is_missing_table(&error) => Vec::new(), // no migration was applied yet
            rows => rows.map_err(failed)?,
        };
        let applied: Vec<Row> = rows.iter().filter_map(|row| Row::read(row)).collect();
        let mut progress = Progress::None;
        if let Some(look) = DB::IS_MIGRATING.filter(|_| applied.iter().any(|row| !row.is_complete))
        {
            // The user may lack the permission for this query.
            progress = match DB::value(connection, look.into())
                .await
                .ok()
                .flatten()
                .as_deref()
            {
                Some("1") => Progress::UnderWay,
                Some("0") => Progress::None,
                _ => Progress::Unknown,
            };
        }
        let known = migrator
            .iter()
            .filter(|migration| !migration.migration_type.is_down_migration());
        let known = known
            .map(|migration| (migration.version, migration))
            .collect();
        let ignore_missing = self.ignore_missing.unwrap_or(migrator.ignore_missing);
        let mut errors = compare(&known, &applied, ignore_missing, findings);
        if let Some(row) = applied.iter().find(|row| !row.is_complete) {
            let message = incomplete(&name(&known, row.version), progress);
            // The old replicas work while a new release migrates, and must not all be removed.
            errors.insert(
                0,
                if self.has_worked.load(Relaxed) {
                    ServiceWarning::new(message).into()
                } else {
                    ServiceUnavailable::new(message).into()
                },
            );
        } else if errors.iter().all(|error| error.status() == Status::Warning) {
            self.has_worked.store(true, Relaxed);
        }
        for error in errors {
            findings.add_error(error);
        }
        Ok(())
    }
}

/// The state of the migrator.
#[derive(Debug, Clone, Copy)]
enum Progress {
    None,
    UnderWay,
    Unknown,
}

/// A row of the table of migrations.
#[derive(Debug)]
struct Row {
    version: i64,
    is_complete: bool,
    checksum: String,
}

impl Row {
    fn read(row: &[Option<String>]) -> Option<Self> {
        let [version, success, checksum] = row else {
            return None;
        };
        Some(Self {
            version: version.as_ref()?.parse().ok()?,
            is_complete: matches!(success.as_deref(), Some("t" | "true" | "1")),
            checksum: checksum.as_ref()?.to_ascii_lowercase(),
        })
    }

    fn is_of(&self, migration: &Migration) -> bool {
        let checksum = migration
            .checksum
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}"); // writing to a string never fails
                text
            });
        self.checksum == checksum
    }
}

/// Puts the original's text in front of the message.
fn not_ready(error: HealthCheckException) -> HealthCheckException {
    error.map_message(|message| format!("Database is not ready: {message}"))
}

fn name(known: &BTreeMap<i64, &Migration>, version: i64) -> String {
    match known.get(&version) {
        Some(migration) => format!("{version} {}", migration.description),
        None => version.to_string(),
    }
}

/// Returns the message about a migration whose row is not complete.
fn incomplete(name: &str, progress: Progress) -> String {
    match progress {
        Progress::UnderWay => format!("migration {name} is being applied"),
        Progress::Unknown => {
            format!("migration {name} is not complete: it is being applied, or was interrupted")
        }
        Progress::None => {
            format!("migration {name} failed half-way: mend the schema and remove its row")
        }
    }
}

/// Compares the migrations that were applied with those of the code.
fn compare(
    known: &BTreeMap<i64, &Migration>,
    applied: &[Row],
    ignore_missing: bool,
    findings: &Findings,
) -> Vec<HealthCheckException> {
    let mut changed = Vec::new();
    let mut unknown = Vec::new();
    for row in applied {
        match known.get(&row.version) {
            None => unknown.push(row.version.to_string()),
            Some(migration) if !row.is_of(migration) => changed.push(name(known, row.version)),
            Some(_) => {}
        }
    }
    let is_applied = |version: i64| applied.iter().any(|row| row.version == version);
    let pending: Vec<_> = known
        .keys()
        .filter(|version| !is_applied(**version))
        .map(|version| name(known, *version))
        .collect();
    findings.observe(
        "pending",
        u32::try_from(pending.len()).unwrap_or(u32::MAX),
        Unit::Count,
    );

    let mut errors = Vec::new();
    if !pending.is_empty() {
        let message = format!("There are migrations to apply: {}", listed(&pending));
        errors.push(ServiceUnavailable::new(message).into());
    }
    if !changed.is_empty() {
        let message = format!(
            "Migrations were changed after they were applied: {}",
            listed(&changed)
        );
        errors.push(ServiceUnavailable::new(message).into());
    }
    if !unknown.is_empty() && !ignore_missing {
        // During a rollout, the old code runs on the new schema. That deserves a warning, but it is
        // not an outage.
        let message = format!(
            "Migrations are applied that this code does not know: {}",
            listed(&unknown)
        );
        errors.push(ServiceWarning::new(message).into());
    }
    errors
}

/// Returns the number of migrations, and the names of the first ones: `7 (1 users, 2 orders, ...)`.
fn listed(names: &[String]) -> String {
    let more = if names.len() > NAMED { ", ..." } else { "" };
    format!(
        "{} ({}{more})",
        names.len(),
        names[..names.len().min(NAMED)].join(", ")
    )
}
