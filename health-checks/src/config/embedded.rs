//! The default checks, for a service without a file: six checks that need no server, on a folder of
//! their own.

use std::path::PathBuf;

use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::{Config, ConfigError, Options, Variables};

const FILE: &str = "embedded default";
const TEXT: &str = include_str!("embedded.toml");
const NOTICE: &str =
    "No configuration file was given: these are the default checks, which need no server.";
const MIGRATION: (&str, &str) = (
    "20210403000000_health_check_db_testmodel.sql",
    crate::checks::database::MIGRATION,
);

/// A temporary folder for this process alone, which is deleted on drop.
#[derive(Debug)]
pub struct Scratch(#[expect(dead_code, reason = "it is there to be dropped")] tempfile::TempDir);

impl Config {
    /// Builds the default checks on a temporary folder, which exists as long as the returned
    /// [`Scratch`].
    ///
    /// # Errors
    /// Returns an error if the folder or the database in it cannot be created.
    pub async fn embedded(
        variables: Variables<'_>,
        options: &Options,
    ) -> Result<(Self, Scratch), ConfigError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            ConfigError::new(
                FILE,
                None,
                None,
                format!("the temporary {what} can't be made: {error}"),
            )
        };
        let dir = tempfile::Builder::new()
            .prefix("health-")
            .tempdir()
            .map_err(|error| failed("folder", &error))?;
        let folder = |name: &str| -> std::io::Result<PathBuf> {
            let path = dir.path().join(name);
            std::fs::create_dir(&path)?;
            Ok(path)
        };
        let prepared = folder("storage")
            .and_then(|_| folder("migrations"))
            .and_then(|migrations| {
                std::fs::write(migrations.join(MIGRATION.0), MIGRATION.1)?;
                Ok(migrations)
            });
        let migrations = prepared.map_err(|error| failed("folder", &error))?;
        let database = dir.path().join("health.db");
        migrate(&database, &migrations)
            .await
            .map_err(|error| failed("database", &error))?;

        let path = dir.path().to_string_lossy().into_owned();
        let volume = std::env::current_dir()
            .map_or_else(|_| "/".into(), |here| here.to_string_lossy().into_owned());
        let variables = |name: &str| match name {
            "HEALTH_EMBEDDED" => Some(path.clone().into()),
            "HEALTH_EMBEDDED_VOLUME" => Some(volume.clone().into()),
            name => variables(name),
        };
        let mut config = Self::from_text(FILE, TEXT, &variables, options)?;
        config.notice = Some(NOTICE.into());
        Ok((config, Scratch(dir)))
    }
}

async fn migrate(
    database: &std::path::Path,
    migrations: &std::path::Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        .disable_statement_logging();
    // A future that migrates a connection is not `Send`, so this uses a pool.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await?;
    Migrator::new(migrations).await?.run(&pool).await?;
    pool.close().await;
    Ok(())
}
