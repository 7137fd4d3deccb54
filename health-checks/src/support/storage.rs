//! A storage of files or objects, and the round trip that tests it.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use health_core::{
    FailureKind, Result, ServiceReturnedUnexpectedResult, ServiceUnavailable, cleanup,
};
use uuid::Uuid;

pub(crate) const CONTENT: &[u8] = b"this is the healthtest file content";
/// The folder in which the original saves its files.
pub(crate) const FOLDER: &str = "health_check_storage_test";

/// A file storage: four operations on named files.
pub trait Storage: Send + Sync + 'static {
    /// Saves a file, and returns the name under which it was saved.
    fn save(&self, name: &str, content: &[u8]) -> impl Future<Output = Result<String>> + Send;

    /// Returns the content of a file.
    fn read(&self, name: &str) -> impl Future<Output = Result<Vec<u8>>> + Send;

    /// Returns `true` if a file exists.
    fn exists(&self, name: &str) -> impl Future<Output = Result<bool>> + Send;

    /// Deletes a file. A missing file is not an error.
    fn delete(&self, name: &str) -> impl Future<Output = Result> + Send;
}

/// The files that runs could not delete. The next run deletes them before it saves another one, so
/// that a user who may save but not delete does not fill the storage.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftBehind(Arc<Mutex<Vec<String>>>);

impl LeftBehind {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn first(&self) -> Option<String> {
        self.lock().first().cloned()
    }

    fn contains(&self, name: &str) -> bool {
        self.lock().iter().any(|left| left == name)
    }

    fn forget(&self, name: &str) {
        self.lock().retain(|left| left != name);
    }
}

/// Saves a file, reads it back, compares it, deletes it and verifies that it is gone. As long as
/// the file of an earlier run can't be deleted, nothing is saved.
pub(crate) async fn round_trip<S: Storage>(storage: &Arc<S>, left: &LeftBehind) -> Result {
    while let Some(name) = left.first() {
        delete(&**storage, &name).await?;
        left.forget(&name);
    }
    let mut file = TestFile {
        storage: Arc::clone(storage),
        left: left.clone(),
        name: format!("{FOLDER}/test-{}.txt", Uuid::new_v4()),
        is_there: true,
        is_refused: false,
    };
    let read = file.save_and_read().await;
    if !file.is_there {
        return read;
    }
    match delete(&**storage, &file.name).await {
        Ok(()) => {
            file.is_there = false;
            read
        }
        // The user has to hear of this first: while the right to delete is missing, nothing else is
        // tested.
        Err(error) if is_final(error.kind()) => {
            file.is_refused = true;
            Err(error)
        }
        Err(error) => read.and(Err(error)),
    }
}

async fn delete<S: Storage>(storage: &S, name: &str) -> Result {
    storage.delete(name).await?;
    if storage.exists(name).await? {
        return Err(ServiceUnavailable::new("File was not deleted")
            .with_kind(FailureKind::UnexpectedAnswer)
            .into());
    }
    Ok(())
}

/// Returns `true` for a failure that the same request would meet again.
fn is_final(kind: FailureKind) -> bool {
    use FailureKind as Kind;
    matches!(
        kind,
        Kind::Authentication
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::ReadOnly
            | Kind::Misconfigured
    )
}

/// Returns `true` for a failure after which the storage has certainly not saved the file.
fn is_unsaved(kind: FailureKind) -> bool {
    use FailureKind as Kind;
    is_final(kind)
        || matches!(
            kind,
            Kind::Refused | Kind::Dns | Kind::Tls | Kind::Saturated
        )
}

/// The file of a run. If it is dropped before the file is known to be gone, the file is left
/// behind, and a task that outlives the run tries to delete it.
struct TestFile<S: Storage> {
    storage: Arc<S>,
    left: LeftBehind,
    name: String,
    is_there: bool,
    /// `true` if the storage refuses to delete the file.
    is_refused: bool,
}

impl<S: Storage> TestFile<S> {
    async fn save_and_read(&mut self) -> Result {
        match self.storage.save(&self.name, CONTENT).await {
            Ok(name) => self.name = name,
            Err(error) => {
                self.is_there = !is_unsaved(error.kind());
                return Err(error);
            }
        }
        if self.storage.read(&self.name).await? != CONTENT {
            return Err(ServiceReturnedUnexpectedResult::new("File content does not match").into());
        }
        Ok(())
    }
}

/// The pauses before the attempts to delete a file after the run. The save may still be in progress
/// then, or the server may restart.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

impl<S: Storage> Drop for TestFile<S> {
    fn drop(&mut self) {
        if !self.is_there {
            return;
        }
        let name = std::mem::take(&mut self.name);
        self.left.lock().push(name.clone());
        if self.is_refused {
            return;
        }
        let storage = Arc::clone(&self.storage);
        let left = self.left.clone();
        let delete = async move {
            for pause in PAUSES {
                tokio::time::sleep(pause).await;
                if !left.contains(&name) {
                    return; // a later run has deleted it
                }
                match storage.delete(&name).await {
                    Ok(()) => return left.forget(&name),
                    Err(error) if is_final(error.kind()) => return,
                    Err(_) => {}
                }
            }
        };
        cleanup(async move {
            let _ = tokio::time::timeout(Duration::from_secs(10), delete).await; // the storage does not answer
        });
    }
}
