//! The check's folder, through descriptors: no operation follows a symbolic link, and no other
//! process can replace a part of the path meanwhile.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, mkdirat, openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{IsLink, LEFT_BEHIND, LONGEST, is_ours};

/// A descriptor that only names a folder needs no permission to list it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NAMED: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NAMED: OFlags = OFlags::RDONLY;

/// A folder below the one that the user has configured.
#[derive(Debug)]
pub(super) struct Folder<'n> {
    /// The configured folder. The user may have configured a link.
    parent: OwnedFd,
    name: &'n str,
    own: OwnedFd,
}

impl<'n> Folder<'n> {
    /// Opens the folder of this name, which must not be a link.
    pub(super) fn open(parent: &Path, name: &'n str) -> io::Result<Self> {
        Self::below(descend(CWD, parent, OFlags::empty())?, name)
    }

    /// Opens the folder, and creates it if it does not exist. Its parent has to exist.
    pub(super) fn create(parent: &Path, name: &'n str) -> io::Result<Self> {
        let parent = descend(CWD, parent, OFlags::empty())?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => {}
            created => created?,
        }
        Self::below(parent, name)
    }

    fn below(parent: OwnedFd, name: &'n str) -> io::Result<Self> {
        let own = descend(&parent, Path::new(name), OFlags::NOFOLLOW).map_err(|error| {
            let stat = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW);
            if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink()) {
                IsLink.into()
            } else {
                io::Error::from(error)
            }
        })?;
        Ok(Self { parent, name, own })
    }

    /// Creates a file and flushes it to the disk. A file server or a full disk may report an error
    /// only at the very end.
    pub(super) fn save(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut saved = self.file(file, flags)?;
        saved
            .write_all(content)
            .and_then(|()| saved.sync_all())
            .and_then(|()| Ok(fstat(&saved)?.st_mtime))
            .map(|now| self.sweep(now))
            .inspect_err(|_| drop(self.delete(file)))
    }

    pub(super) fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file(file, OFlags::RDONLY | OFlags::NONBLOCK)?
            .take(LONGEST)
            .read_to_end(&mut content)?;
        Ok(content)
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.own, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    pub(super) fn exists(&self, file: &str) -> io::Result<bool> {
        match statat(&self.own, file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            found => Ok(found.map(|_| true)?),
        }
    }

    /// Deletes a file. Returns `false` if there is none.
    pub(super) fn delete(&self, file: &str) -> io::Result<bool> {
        match unlinkat(&self.own, file, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(false),
            deleted => Ok(deleted.map(|()| true)?),
        }
    }

    /// Removes the folder if it is empty. It is not if another replica is at work in it.
    pub(super) fn remove(self) {
        let _ = unlinkat(&self.parent, self.name, AtFlags::REMOVEDIR);
    }

    /// Deletes the files that runs of killed processes left behind. `now` is the time of a new file
    /// in this folder, because the clock of a file server is not the clock of this machine. Errors
    /// are ignored: the run itself would report them.
    #[allow(
        clippy::useless_conversion,
        reason = "the type of a time differs between systems"
    )]
    fn sweep(&self, now: impl Into<i64> + Copy) {
        let is_old = |name: &CStr| {
            let stat = statat(&self.own, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let age = now.into().checked_sub(stat.st_mtime.into())?;
            let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
            (is_file && age > LEFT_BEHIND.as_secs().cast_signed()).then_some(())
        };
        let listed = openat(
            &self.own,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        for entry in listed.and_then(Dir::new).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_ok_and(is_ours) && is_old(name).is_some() {
                let _ = unlinkat(&self.own, name, AtFlags::empty());
            }
        }
    }
}

/// Opens a folder by its path from another one.
fn descend(from: impl std::os::fd::AsFd, path: &Path, more: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = NAMED | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    openat(from, path, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock of a file server may be hours away from the clock of this machine.
    #[test]
    fn the_age_of_a_file_is_that_by_the_clock_of_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path(), "own").unwrap();
        let name = format!("test-{}.txt", uuid::Uuid::new_v4());
        folder.save(&name, b"").unwrap();
        let path = parent.path().join("own").join(&name);
        let modified = path.metadata().unwrap().modified().unwrap();
        let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
        let modified = modified.as_secs().cast_signed();
        let hour = LEFT_BEHIND.as_secs().cast_signed();
        for now in [modified - 5 * hour, modified, modified + hour] {
            folder.sweep(now);
            assert!(path.exists(), "{}", now - modified);
        }
        folder.sweep(modified + hour + 1);
        assert!(!path.exists());
    }
}
