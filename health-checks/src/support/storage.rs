//! A storage of files or objects, and the round trip that tests it.

use std::future::Future;
use std::sync::Arc;
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

/// Saves a file, reads it back, compares it, deletes it and verifies that it is gone.
pub(crate) async fn round_trip<S: Storage>(storage: &Arc<S>) -> Result {
    let name = format!("{FOLDER}/test-{}.txt", Uuid::new_v4());
    let mut file = TestFile {
        storage: Arc::clone(storage),
        name,
        is_there: true,
    };
    match storage.save(&file.name, CONTENT).await {
        Ok(name) => file.name = name,
        Err(error) => {
            file.is_there = false; // a save that fails leaves nothing behind; one that is interrupted may
            return Err(error);
        }
    }
    if storage.read(&file.name).await? != CONTENT {
        return Err(ServiceReturnedUnexpectedResult::new("File content does not match").into());
    }
    storage.delete(&file.name).await?;
    if storage.exists(&file.name).await? {
        return Err(ServiceUnavailable::new("File was not deleted")
            .with_kind(FailureKind::UnexpectedAnswer)
            .into());
    }
    file.is_there = false;
    Ok(())
}

/// The file of a run. If it is dropped before the file is known to be gone, a task that outlives
/// the run deletes the file.
struct TestFile<S: Storage> {
    storage: Arc<S>,
    name: String,
    is_there: bool,
}

impl<S: Storage> Drop for TestFile<S> {
    fn drop(&mut self) {
        if self.is_there {
            let storage = Arc::clone(&self.storage);
            let name = std::mem::take(&mut self.name);
            let delete = async move {
                while storage.delete(&name).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(500)).await; // the save may still be under way
                }
            };
            cleanup(async move {
                let _ = tokio::time::timeout(Duration::from_secs(10), delete).await; // the storage does not answer
            });
        }
    }
}
