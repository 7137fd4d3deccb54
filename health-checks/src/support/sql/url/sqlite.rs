use std::path::Path;

use health_core::Secret;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::super::Target;
use super::EXPECTED;
use crate::kind::{Misconfigured, TlsSettings};
use crate::support::url::Url;

/// Parses a URL as sqlx does: `sqlite:app.db` and `sqlite://app.db` are relative,
/// `sqlite:///app.db` is absolute. A scheme with a driver of `SQLAlchemy` is read as in that
/// library: `sqlite+aiosqlite:///app.db` is relative, and with four slashes it is absolute.
pub(super) fn read(text: &Secret, tls: &TlsSettings) -> Result<Target, Misconfigured> {
    tls.needs(false)?;
    let mut url = Url::of_file(text, EXPECTED)?;
    let file = if url.scheme.contains('+') {
        url.path.strip_prefix('/').unwrap_or_default()
    } else {
        &url.path
    };
    let file = file.to_owned();
    // A check never creates a database, so `rwc` opens it as `rw` does.
    let mode = url.take_word(
        &["mode"],
        &[
            ("ro", "ro"),
            ("rw", "rw"),
            ("rwc", "rw"),
            ("memory", "memory"),
        ],
    )?;
    let is_shared = url.take_word(&["cache"], &[("shared", true), ("private", false)])?;
    let flags = [("true", true), ("1", true), ("false", false), ("0", false)];
    let is_immutable = url.take_word(&["immutable"], &flags)?;
    let vfs = url.take(&["vfs"])?;
    url.end()?;

    let mut options = if mode == Some("memory") || file == ":memory:" {
        // Only the parser of sqlx gives each of them a database of its own.
        let memory: Result<SqliteConnectOptions, _> = "sqlite::memory:".parse();
        memory.map_err(|_| Misconfigured::new("url", EXPECTED))?
    } else if file.is_empty() {
        let why = "names no file: write sqlite://path/to/app.db, or sqlite::memory: for an empty one in memory";
        return Err(Misconfigured::new("url", why));
    } else {
        SqliteConnectOptions::new().filename(Path::new(&file))
    };
    options = options
        .read_only(mode == Some("ro"))
        .disable_statement_logging();
    if let Some(is_shared) = is_shared {
        options = options.shared_cache(is_shared);
    }
    if let Some(is_immutable) = is_immutable {
        options = options.immutable(is_immutable);
    }
    if let Some(vfs) = vfs {
        options = options.vfs(vfs);
    }
    Ok(Target::Sqlite(Box::new(options)))
}
