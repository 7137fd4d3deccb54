//! django-health-check under gunicorn, in its own virtual environment.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::facts::output;
use super::folder;
use super::server::Server;
use crate::{Outcome, execute};

/// The newest versions in November 2026. Other versions of django-health-check may need other
/// settings.
const PACKAGES: [&str; 3] = [
    "django-health-check==4.8.0",
    "Django==5.2.19",
    "gunicorn==27.0.1",
];

/// The folder of the virtual environment.
#[derive(Debug)]
pub(super) struct Django(PathBuf);

impl Django {
    /// Creates the virtual environment in the user's cache, once per machine.
    pub(super) fn install() -> Result<Self, String> {
        let folder = cache().join(PACKAGES[0].replace("==", "-"));
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(cache()).map_err(failed)?;
        let lock = cache().join("django.lock");
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .open(lock)
            .map_err(failed)?;
        lock.lock().map_err(failed)?; // one installation at a time, until this returns
        let complete = folder.join("complete");
        let wanted = PACKAGES.join("\n");
        if fs::read_to_string(&complete).is_ok_and(|installed| installed == wanted) {
            return Ok(Self(folder));
        }
        execute(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )
        .map_err(|error| format!("{error}; as root: apt-get install -y python3-venv"))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        execute(
            pip.args(["install", "--quiet", "--disable-pip-version-check"])
                .args(PACKAGES),
        )?;
        fs::write(complete, wanted).map_err(failed)?;
        Ok(Self(folder))
    }

    /// Serves one check that does nothing, in a minimal Django project.
    pub(super) fn serve(&self) -> Result<Server, String> {
        let project = folder().join("django");
        write(&project, "project.py", include_str!("django/project.py"))?;
        write(
            &project,
            "gunicorn.conf.py",
            include_str!("django/gunicorn.conf.py"),
        )?;
        let mut command = Command::new(self.0.join("bin/gunicorn"));
        command.args([
            "--no-control-socket",
            "--log-level",
            "warning",
            "project:application",
        ]);
        Server::start(command.current_dir(project))
    }

    /// Returns the versions of the installed packages and of Python.
    pub(super) fn versions(&self) -> Result<String, String> {
        let installed = output(
            self.0.join("bin/pip"),
            &["freeze", "--disable-pip-version-check"],
        )?;
        let is_ours = |line: &&str| {
            PACKAGES
                .iter()
                .any(|package| name(package).eq_ignore_ascii_case(name(line)))
        };
        let mut versions: Vec<_> = installed
            .lines()
            .filter(is_ours)
            .map(|line| line.replace("==", " "))
            .collect();
        versions.push(output(self.0.join("bin/python"), &["--version"])?);
        Ok(versions.join(", "))
    }
}

fn name(requirement: &str) -> &str {
    requirement.split("==").next().unwrap_or_default()
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome {
    let file = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Returns the folder in the user's cache that the services for tests use as well.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|set| !set.is_empty())
        .map(PathBuf::from);
    cache
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("health-xtask")
}
