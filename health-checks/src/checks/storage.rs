//! Checks that a file storage keeps what is saved into it.
//!
//! ```
//! use health_checks::DefaultFileStorageHealthCheck;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(DefaultFileStorageHealthCheck::new("/srv/media"))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result,
    ServiceUnavailable, UnknownError,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};
#[cfg(unix)]
use crate::support::storage::FOLDER;
pub use crate::support::storage::Storage;
use crate::support::storage::round_trip;

/// The age at which a later run deletes a file that a killed process left behind.
const LEFT_BEHIND: Duration = Duration::from_hours(1);

/// Saves a file, reads it back, compares it, deletes it and verifies that it is gone.
///
/// An interrupted run still deletes its file.
#[derive(Debug)]
pub struct DefaultFileStorageHealthCheck<S = FileSystem> {
    storage: Arc<S>,
}

/// The keys of kind `storage`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StorageSettings {
    /// The folder in which files are saved.
    pub path: PathBuf,
}

impl CheckSettings for StorageSettings {
    const KIND: &'static str = "storage";
    const SUMMARY: &'static str = "save, read back and delete a file in a folder";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        Ok(vec![BoxCheck::new(DefaultFileStorageHealthCheck::new(
            self.path,
        ))])
    }
}

impl DefaultFileStorageHealthCheck {
    /// Creates a check of a folder of the file system.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with_storage(FileSystem::new(path))
    }
}

impl<S: Storage> DefaultFileStorageHealthCheck<S> {
    /// Creates a check of a storage of your own.
    pub fn with_storage(storage: S) -> Self {
        Self {
            storage: Arc::new(storage),
        }
    }
}

impl<S: Storage> HealthCheck for DefaultFileStorageHealthCheck<S> {
    async fn check_status(&self, _: &Findings) -> Result {
        round_trip(&self.storage).await
    }

    fn identifier(&self) -> std::borrow::Cow<'_, str> {
        "DefaultFileStorageHealthCheck".into()
    }
}

/// A folder of the file system. Its operations run on a thread of their own, so a network mount
/// that hangs blocks nothing else.
#[derive(Debug, Clone)]
pub struct FileSystem {
    path: PathBuf,
    thread: Blocking,
}

impl FileSystem {
    /// Creates a storage in this folder, which has to exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            thread: Blocking::default(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path.join(name);
        self.thread.run(move || work(&path).map_err(describe)).await
    }
}

impl Storage for FileSystem {
    async fn save(&self, name: &str, content: &[u8]) -> Result<String> {
        let name = name.to_owned();
        let content = content.to_owned();
        let save = move |path: &Path| match save(&path.join(&name), &content) {
            // The folder exists, but belongs to another user.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let own = own_name(&name).ok_or(error)?;
                save(&path.join(&own), &content).map(|()| own)
            }
            saved => saved.map(|()| name),
        };
        self.run("", save).await
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.run(name, |path: &Path| fs::read(path)).await
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        self.run(name, |path: &Path| path.try_exists()).await
    }

    async fn delete(&self, name: &str) -> Result {
        let delete = |path: &Path| {
            match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                outcome => outcome?,
            }
            let _ = path.parent().map(fs::remove_dir); // fails if another replica is at work in it
            Ok(())
        };
        self.run(name, delete).await
    }
}

/// Saves a file and flushes it to the disk. A file server or a full disk may report an error only
/// at the very end.
fn save(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    sweep(folder);
    make_folder(folder)?;
    let mut file = match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
    {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(folder)?; // another replica has just removed it
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)?
        }
        created => created?,
    };
    let saved = file.write_all(content).and_then(|()| file.sync_all());
    saved.inspect_err(|_| drop(fs::remove_file(path)))
}

/// Returns the name of the same file in a folder that belongs to this user alone.
#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "users are not told apart elsewhere"
)]
fn own_name(name: &str) -> Option<String> {
    Some(name.replacen(
        FOLDER,
        &format!("{FOLDER}-{}", rustix::process::geteuid().as_raw()),
        1,
    ))
}

#[cfg(not(unix))]
fn own_name(_: &str) -> Option<String> {
    None
}

/// Creates the check's own folder. The parent of the folder has to exist.
fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Deletes what earlier runs left behind when their process was killed. Errors are ignored, because
/// the save fails for the same reason.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if age().is_some_and(|age| age > LEFT_BEHIND) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn describe(error: io::Error) -> HealthCheckException {
    use FailureKind as Kind;
    let (kind, message) = match error.kind() {
        ErrorKind::NotFound => (Kind::NotFound, "storage folder is missing"),
        ErrorKind::NotADirectory => (Kind::Misconfigured, "storage folder is not a folder"),
        ErrorKind::PermissionDenied => (
            Kind::Forbidden,
            "storage folder is not writable: permission denied",
        ),
        ErrorKind::ReadOnlyFilesystem => (
            Kind::ReadOnly,
            "storage folder is not writable: read-only file system",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            Kind::Saturated,
            "no space, or no inode, left in the storage folder",
        ),
        _ => return UnknownError::caused_by(error).into(),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::storage::CONTENT;

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_run_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        DefaultFileStorageHealthCheck::new(folder.path())
            .check_status(&Findings::default())
            .await
            .unwrap();
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_folder_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, message) in [
            (
                folder.path().join("gone"),
                "unavailable: storage folder is missing",
            ),
            (file, "unavailable: storage folder is not a folder"),
            ("/proc".into(), "unavailable: storage folder is missing"),
        ] {
            let check = DefaultFileStorageHealthCheck::new(&path);
            let error = check.check_status(&Findings::default()).await.unwrap_err();
            assert_eq!(error.to_string(), message, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(FOLDER);
        fs::create_dir(&own).unwrap();
        let old = own.join("test-old.txt");
        let others = [folder.path().join("old.txt"), own.join("test-young.txt")];
        for path in others.iter().chain([&old]) {
            fs::write(path, "").unwrap();
        }
        for path in [&old, &others[0]] {
            let long_ago = std::time::SystemTime::now() - 2 * LEFT_BEHIND;
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        DefaultFileStorageHealthCheck::new(folder.path())
            .check_status(&Findings::default())
            .await
            .unwrap();
        assert!(!old.exists() && others.iter().all(|path| path.exists()));
    }

    /// A storage in a folder that never answers a read.
    struct Stuck(FileSystem);

    impl Storage for Stuck {
        async fn save(&self, name: &str, content: &[u8]) -> Result<String> {
            self.0.save(name, content).await
        }

        async fn read(&self, _: &str) -> Result<Vec<u8>> {
            std::future::pending().await
        }

        async fn exists(&self, name: &str) -> Result<bool> {
            self.0.exists(name).await
        }

        async fn delete(&self, name: &str) -> Result {
            self.0.delete(name).await
        }
    }

    #[tokio::test]
    async fn an_interrupted_run_deletes_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let check =
            DefaultFileStorageHealthCheck::with_storage(Stuck(FileSystem::new(folder.path())));
        let findings = Findings::default();
        let interrupted =
            tokio::time::timeout(Duration::from_millis(300), check.check_status(&findings)).await;
        assert!(interrupted.is_err());
        let began = std::time::Instant::now();
        while files(folder.path()) > 0 {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "the file is still there"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A storage that returns the given content for every file, and keeps what is deleted.
    struct Faulty {
        content: &'static [u8],
    }

    impl Storage for Faulty {
        async fn save(&self, name: &str, _: &[u8]) -> Result<String> {
            Ok(name.to_owned())
        }

        async fn read(&self, _: &str) -> Result<Vec<u8>> {
            Ok(self.content.to_owned())
        }

        async fn exists(&self, _: &str) -> Result<bool> {
            Ok(true)
        }

        async fn delete(&self, _: &str) -> Result {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_storage_is_told_apart() {
        for (content, message) in [
            (
                &b"other"[..],
                "unexpected result: File content does not match",
            ),
            (CONTENT, "unavailable: File was not deleted"),
        ] {
            let check = DefaultFileStorageHealthCheck::with_storage(Faulty { content });
            assert_eq!(
                check
                    .check_status(&Findings::default())
                    .await
                    .unwrap_err()
                    .to_string(),
                message
            );
        }
    }
}
