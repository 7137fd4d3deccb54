//! What the harness has to know about a service.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::state::{Home, Needs};
use crate::Outcome;

/// One kind of server.
pub(super) trait Service: Sync {
    /// Its name on the command line and that of its folder.
    fn name(&self) -> &'static str;

    /// The services that have to be up before it.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }

    /// The programs it needs and their Debian packages.
    fn tools(&self) -> &'static [Tool] {
        &[]
    }

    /// Installs what no Debian package has.
    fn install(&self) -> Outcome {
        Ok(())
    }

    /// The user as whom it runs where the harness runs as root. None: as root.
    fn account(&self) -> Option<&'static str> {
        None
    }

    /// The names of its ports; its own is `port`.
    fn ports(&self) -> &'static [&'static str] {
        &["port"]
    }

    /// The names of its passwords and keys, and their lengths in bytes; each is twice as long in hexadecimal digits.
    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[]
    }

    /// Makes the data folder: before the very first start.
    fn initialise(&self, _: &Home) -> Outcome {
        Ok(())
    }

    /// Writes its configuration and starts what it needs beside it: before every start.
    fn prepare(&self, _: &Home) -> Outcome {
        Ok(())
    }

    /// The server itself in the foreground; its process must not be a wrapper's.
    fn command(&self, home: &Home) -> Result<Command, String>;

    /// Whether it answers, which includes a login where there is one.
    fn answers(&self, home: &Home) -> Outcome;

    /// The signal that ends it without waiting for its clients.
    fn stop_signal(&self) -> &'static str {
        "TERM"
    }

    /// Ends what [`Service::prepare`] started.
    fn clean_up(&self, _: &Home) -> Outcome {
        Ok(())
    }

    /// How tests reach it.
    fn env(&self, home: &Home) -> Env;

    /// What its own tools need, for `exec`.
    fn tool_env(&self, _: &Home) -> Env {
        Vec::new()
    }
}

/// The service's folder, with what had not been chosen yet.
pub(super) fn home(service: &dyn Service) -> Result<Home, String> {
    let (name, ports, secrets) = (service.name(), service.ports(), service.secrets());
    Home::ensure(&Needs { name, ports, secrets, account: service.account() })
}

/// A server's command: in its folder, and nothing of this command's own environment, such as cargo's variables.
pub(super) fn server(program: impl AsRef<std::ffi::OsStr>, home: &Home) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home.place()).env_clear();
    command.env("PATH", host::path_with(None)).env("HOME", home.place()).env("LC_ALL", "C.UTF-8");
    command
}
