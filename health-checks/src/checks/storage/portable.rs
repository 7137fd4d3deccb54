//! The check's folder, by its path, for systems without the operations of POSIX. No link is
//! followed, unless another process puts one there within the operation.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{IsLink, LEFT_BEHIND, LONGEST, is_ours};

/// A folder below the one that the user has configured.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Opens the folder of this name, which must not be a link.
    pub(super) fn open(parent: &Path, name: &str) -> io::Result<Self> {
        let path = parent.join(name);
        let found = fs::symlink_metadata(&path)?;
        if found.is_symlink() {
            return Err(IsLink.into());
        }
        if !found.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(Self(path))
    }

    /// Opens the folder, and creates it if it does not exist. Its parent has to exist.
    pub(super) fn create(parent: &Path, name: &str) -> io::Result<Self> {
        match fs::create_dir(parent.join(name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created?,
        }
        Self::open(parent, name)
    }

    /// Creates a file and flushes it to the disk. A file server or a full disk may report an error
    /// only at the very end.
    pub(super) fn save(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let mut saved = fs::File::create_new(self.0.join(file))?;
        saved
            .write_all(content)
            .and_then(|()| saved.sync_all())
            .and_then(|()| saved.metadata()?.modified())
            .map(|now| self.sweep(now))
            .inspect_err(|_| drop(self.delete(file)))
    }

    pub(super) fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let path = self.0.join(file);
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(IsLink.into());
        }
        let mut content = Vec::new();
        fs::File::open(path)?
            .take(LONGEST)
            .read_to_end(&mut content)?;
        Ok(content)
    }

    pub(super) fn exists(&self, file: &str) -> io::Result<bool> {
        match fs::symlink_metadata(self.0.join(file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            found => found.map(|_| true),
        }
    }

    /// Deletes a file. Returns `false` if there is none.
    pub(super) fn delete(&self, file: &str) -> io::Result<bool> {
        match fs::remove_file(self.0.join(file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            deleted => deleted.map(|()| true),
        }
    }

    /// Removes the folder if it is empty. It is not if another replica is at work in it.
    pub(super) fn remove(self) {
        let _ = fs::remove_dir(self.0);
    }

    /// Deletes the files that runs of killed processes left behind. `now` is the time of a new file
    /// in this folder, because the clock of a file server is not the clock of this machine. Errors
    /// are ignored: the run itself would report them.
    fn sweep(&self, now: SystemTime) {
        let is_old = |path: &Path| {
            let found = fs::symlink_metadata(path).ok()?;
            let age = now.duration_since(found.modified().ok()?).ok()?;
            (found.is_file() && age > LEFT_BEHIND).then_some(())
        };
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().to_str().is_some_and(is_ours) && is_old(&path).is_some() {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_saved_can_be_read_and_deleted() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path(), "own").unwrap();
        folder.save("file", b"content").unwrap();
        assert!(folder.save("file", b"other").is_err());
        assert_eq!(folder.read("file").unwrap(), b"content");
        assert!(folder.exists("file").unwrap());
        assert!(folder.delete("file").unwrap());
        assert!(!folder.delete("file").unwrap());
        assert!(!folder.exists("file").unwrap());
        folder.remove();
        let gone = Folder::open(parent.path(), "own").unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn no_link_is_followed_and_only_our_old_files_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path(), "own").unwrap();
        symlink(parent.path().join("own"), parent.path().join("link")).unwrap();
        let refused = Folder::open(parent.path(), "link").unwrap_err();
        assert_eq!(refused.to_string(), IsLink.to_string());
        let own = format!("test-{}.txt", uuid::Uuid::new_v4());
        let link = format!("test-{}.txt", uuid::Uuid::new_v4());
        folder.save(&own, b"").unwrap();
        folder.save("precious.db", b"").unwrap();
        symlink("precious.db", parent.path().join("own").join(&link)).unwrap();
        assert!(folder.read(&link).is_err());
        let now = SystemTime::now();
        folder.sweep(now);
        assert!(folder.exists(&own).unwrap());
        folder.sweep(now + 2 * LEFT_BEHIND);
        assert!(!folder.exists(&own).unwrap());
        assert!(folder.exists(&link).unwrap() && folder.exists("precious.db").unwrap());
    }
}
