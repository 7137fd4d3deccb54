//! Users of the system. Some servers refuse to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// A user of the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns the user that a server has to run as. `None` means the user of this command, who is
    /// not root or may remain root.
    pub(super) fn of(name: Option<&str>) -> Result<Option<Self>, String> {
        let Some(name) = name.filter(|_| is_root()) else {
            return Ok(None);
        };
        let users =
            fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
        let account = users.lines().find_map(|line| Self::parse(line, name));
        account
            .map(Some)
            .ok_or_else(|| format!("there is no user {name}"))
    }

    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        Some(Self {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }

    /// Makes the command run as this user. Uses no wrapper such as `runuser`, so that the process
    /// is the server itself.
    pub(super) fn runs(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Makes this user the owner of a file or folder.
    pub(super) fn owns(self, path: &Path) -> Outcome {
        chown(path, Some(self.uid), Some(self.gid))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Returns `true` if this user can enter a folder.
    pub(super) fn reaches(self, folder: &Path) -> Result<bool, String> {
        let mut test = Command::new("test");
        self.runs(test.arg("-x").arg(folder).current_dir("/"));
        test.status()
            .map(|status| status.success())
            .map_err(|error| format!("test: {error}"))
    }
}

/// Returns `true` if this command runs as root.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
