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

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, HealthCheckException, Result,
    ServiceUnavailable, UnknownError,
};
use serde::Deserialize;
use uuid::Uuid;

#[cfg(unix)]
use self::folder::Folder;
#[cfg(not(unix))]
use self::portable::Folder;
use crate::kind::{CheckSettings, Misconfigured};
#[cfg(unix)]
use crate::support::storage::FOLDER;
pub use crate::support::storage::Storage;
use crate::support::storage::{LeftBehind, round_trip};

#[cfg(unix)]
mod folder;
#[cfg(any(not(unix), test))]
mod portable;

/// The age at which a later run deletes a file that a killed process left behind.
const LEFT_BEHIND: Duration = Duration::from_hours(1);

/// The number of bytes that are read of a file, in which another process may have written.
const LONGEST: u64 = 4096;

/// Saves a file, reads it back, compares it, deletes it and verifies that it is gone.
///
/// An interrupted run still deletes its file. While the file of an earlier run can't be deleted, no
/// further one is saved. No symbolic link is followed below the configured folder.
#[derive(Debug)]
pub struct DefaultFileStorageHealthCheck<S = FileSystem> {
    storage: Arc<S>,
    left: LeftBehind,
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
            left: LeftBehind::default(),
        }
    }
}

impl<S: Storage> HealthCheck for DefaultFileStorageHealthCheck<S> {
    async fn check_status(&self, _: &Findings) -> Result {
        round_trip(&self.storage, &self.left).await
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
        work: impl FnOnce(&Path, &str, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path.clone();
        let name = name.to_owned();
        let work = move || {
            let (folder, file) = name.split_once('/').ok_or(ErrorKind::InvalidInput)?;
            work(&path, folder, file)
        };
        self.thread.run(move || work().map_err(describe)).await
    }
}

impl Storage for FileSystem {
    async fn save(&self, name: &str, content: &[u8]) -> Result<String> {
        let content = content.to_owned();
        self.run(name, move |path, folder, file| {
            let folder = match save(path, folder, file, &content) {
                // The folder exists, but belongs to another user.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let own = of_user(folder).ok_or(error)?;
                    save(path, &own, file, &content).map(|()| own)
                }
                saved => saved.map(|()| folder.to_owned()),
            };
            Ok(format!("{}/{file}", folder?))
        })
        .await
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>> {
        let read = |path: &Path, folder: &str, file: &str| Folder::open(path, folder)?.read(file);
        self.run(name, read).await
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        self.run(name, |path, folder, file| {
            match Folder::open(path, folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                folder => folder?.exists(file),
            }
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result {
        self.run(name, |path, folder, file| {
            // An interrupted run does not know in which of the folders its file is.
            if !delete(path, folder, file)?
                && let Some(own) = of_user(folder)
            {
                delete(path, &own, file)?;
            }
            Ok(())
        })
        .await
    }
}

fn save(path: &Path, folder: &str, file: &str, content: &[u8]) -> io::Result<()> {
    match Folder::create(path, folder)?.save(file, content) {
        // Another replica has just removed the folder.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Folder::create(path, folder)?.save(file, content)
        }
        saved => saved,
    }
}

/// Deletes a file, and its folder if that is empty then. Returns `false` if there is no such file.
fn delete(path: &Path, folder: &str, file: &str) -> io::Result<bool> {
    match Folder::open(path, folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        folder => {
            let folder = folder?;
            let deleted = folder.delete(file);
            folder.remove();
            deleted
        }
    }
}

/// Returns the name of the folder that belongs to this user alone.
#[cfg(unix)]
fn of_user(folder: &str) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    (folder == FOLDER).then(|| format!("{FOLDER}-{user}"))
}

#[cfg(not(unix))]
fn of_user(_: &str) -> Option<String> {
    None
}

/// Returns `true` for the name of a file that a run of this check has created: `test-UUID.txt`.
fn is_ours(name: &str) -> bool {
    name.strip_prefix("test-")
        .and_then(|name| name.strip_suffix(".txt"))
        .is_some_and(|id| id.len() == 36 && Uuid::try_parse(id).is_ok())
}

/// The check's folder, or a file in it, is a link to somewhere else.
#[derive(Debug)]
struct IsLink;

impl fmt::Display for IsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a symbolic link, which is not followed")
    }
}

impl Error for IsLink {}

impl From<IsLink> for io::Error {
    fn from(error: IsLink) -> Self {
        Self::other(error)
    }
}

fn describe(error: io::Error) -> HealthCheckException {
    let Some((kind, message)) = words(&error) else {
        return UnknownError::caused_by(error).into();
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(error)
        .into()
}

fn words(error: &io::Error) -> Option<(FailureKind, &'static str)> {
    use FailureKind as Kind;
    Some(match error.kind() {
        _ if error
            .get_ref()
            .is_some_and(<dyn Error + Send + Sync>::is::<IsLink>) =>
        {
            (Kind::Misconfigured, "storage folder is a link")
        }
        _ if is_io_error(error) => (
            Kind::Lost,
            "the disk or the file server reports an I/O error",
        ),
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
        ErrorKind::StaleNetworkFileHandle => {
            (Kind::Lost, "storage folder is stale: mount it again")
        }
        ErrorKind::NotConnected | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => (
            Kind::Lost,
            "storage folder is not connected: mount it again",
        ),
        ErrorKind::TimedOut => (Kind::TimedOut, "the file server does not answer"),
        ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => (Kind::Lost, "the file server can't be reached"),
        _ => return None,
    })
}

/// Returns `true` for EIO, and for the same error of a file server. The standard library has no
/// kind for them.
#[cfg(unix)]
fn is_io_error(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errors = [
        Errno::IO,
        #[cfg(target_os = "linux")]
        Errno::REMOTEIO,
    ];
    Errno::from_io_error(error).is_some_and(|error| errors.contains(&error))
}

#[cfg(not(unix))]
fn is_io_error(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

    async fn run(folder: &Path) -> Result {
        let check = DefaultFileStorageHealthCheck::new(folder);
        check.check_status(&Findings::default()).await
    }

    fn ours() -> String {
        format!("test-{}.txt", Uuid::new_v4())
    }

    /// Creates a file that is older than any file of a run that has not ended.
    fn old_file(path: PathBuf) -> PathBuf {
        let file = fs::File::create(&path).unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * LEFT_BEHIND;
        file.set_modified(long_ago).unwrap();
        path
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(FOLDER);
        fs::create_dir(&own).unwrap();
        let old = old_file(own.join(ours()));
        let young = own.join(ours());
        fs::write(&young, "").unwrap();
        let others = [
            young,
            old_file(folder.path().join("old.txt")),
            old_file(folder.path().join(ours())),
            old_file(own.join("precious.db")),
            old_file(own.join("test-old.txt")),
            old_file(own.join(format!("{}.bak", ours()))),
        ];
        run(folder.path()).await.unwrap();
        assert!(!old.exists());
        for path in others {
            assert!(path.exists(), "{}", path.display());
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn no_link_is_followed() {
        use std::os::unix::fs::symlink;

        for of_user in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let victim = tempfile::tempdir().unwrap();
            let precious = old_file(victim.path().join(ours()));
            let name = if of_user {
                super::of_user(FOLDER).unwrap()
            } else {
                FOLDER.to_owned()
            };
            symlink(victim.path(), folder.path().join(&name)).unwrap();
            let storage = FileSystem::new(folder.path());
            let file = precious.file_name().unwrap().to_str().unwrap();
            let through = format!("{name}/{file}");
            for outcome in [
                storage
                    .save(&format!("{name}/{}", ours()), b"")
                    .await
                    .map(drop),
                storage.read(&through).await.map(drop),
                storage.exists(&through).await.map(drop),
                storage.delete(&through).await,
            ] {
                let error = outcome.unwrap_err();
                assert_eq!(error.to_string(), "unavailable: storage folder is a link");
                assert_eq!(error.kind(), FailureKind::Misconfigured);
            }
            if !of_user {
                let error = run(folder.path()).await.unwrap_err();
                assert_eq!(error.to_string(), "unavailable: storage folder is a link");
            }
            assert!(precious.exists());
            assert_eq!(files(victim.path()), 1);
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_in_the_folder_is_neither_read_nor_swept() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(FOLDER);
        fs::create_dir(&own).unwrap();
        let secret = old_file(folder.path().join("secret"));
        let link = ours();
        symlink(&secret, own.join(&link)).unwrap();
        run(folder.path()).await.unwrap();
        assert!(own.join(&link).is_symlink() && secret.exists());
        let storage = FileSystem::new(folder.path());
        assert!(storage.read(&format!("{FOLDER}/{link}")).await.is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_configured_folder_may_be_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        let media = folder.path().join("media");
        fs::create_dir(&media).unwrap();
        std::os::unix::fs::symlink(&media, &link).unwrap();
        run(&link).await.unwrap();
        assert_eq!(files(&media), 0);
    }

    #[cfg(unix)]
    #[test]
    fn failures_of_network_file_systems_have_words() {
        use rustix::io::Errno;

        for (error, message) in [
            (Errno::STALE, "storage folder is stale: mount it again"),
            (
                Errno::NOTCONN,
                "storage folder is not connected: mount it again",
            ),
            (
                Errno::IO,
                "the disk or the file server reports an I/O error",
            ),
            (Errno::TIMEDOUT, "the file server does not answer"),
            (Errno::HOSTUNREACH, "the file server can't be reached"),
        ] {
            let error = describe(error.into());
            assert_eq!(error.to_string(), format!("unavailable: {message}"));
        }
    }

    /// A storage that refuses to delete, until it is allowed.
    #[derive(Debug, Default)]
    struct WriteOnly {
        may_read: bool,
        may_delete: AtomicBool,
        saved: AtomicUsize,
        deletions: AtomicUsize,
    }

    fn forbidden(message: &'static str) -> HealthCheckException {
        let error = ServiceUnavailable::new(message);
        error.with_kind(FailureKind::Forbidden).into()
    }

    impl Storage for Arc<WriteOnly> {
        async fn save(&self, name: &str, _: &[u8]) -> Result<String> {
            self.saved.fetch_add(1, Ordering::SeqCst);
            Ok(name.to_owned())
        }

        async fn read(&self, _: &str) -> Result<Vec<u8>> {
            if self.may_read {
                Ok(CONTENT.to_owned())
            } else {
                Err(forbidden("no right to read"))
            }
        }

        async fn exists(&self, _: &str) -> Result<bool> {
            Ok(false)
        }

        async fn delete(&self, _: &str) -> Result {
            self.deletions.fetch_add(1, Ordering::SeqCst);
            if self.may_delete.load(Ordering::SeqCst) {
                Ok(())
            } else {
                Err(forbidden("no right to delete"))
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_saved_while_a_file_of_an_earlier_run_is_there() {
        for may_read in [true, false] {
            let storage = Arc::new(WriteOnly {
                may_read,
                ..WriteOnly::default()
            });
            let check = DefaultFileStorageHealthCheck::with_storage(Arc::clone(&storage));
            let findings = Findings::default();
            for run in 1..4 {
                let error = check.check_status(&findings).await.unwrap_err();
                assert_eq!(error.to_string(), "unavailable: no right to delete");
                tokio::time::sleep(Duration::from_mins(1)).await; // no task repeats what was refused
                assert_eq!(storage.saved.load(Ordering::SeqCst), 1);
                assert_eq!(storage.deletions.load(Ordering::SeqCst), run);
            }
            storage.may_delete.store(true, Ordering::SeqCst);
            assert_eq!(check.check_status(&findings).await.is_ok(), may_read);
            assert_eq!(storage.saved.load(Ordering::SeqCst), 2);
        }
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
