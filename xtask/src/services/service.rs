//! The properties of a service that the harness needs.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::state::{Home, Needs};
use crate::Outcome;

/// A kind of server.
pub(super) trait Service: Sync {
    /// Returns its name, on the command line and for its folder.
    fn name(&self) -> &'static str;

    /// Returns the services that have to be up before it.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns the programs that it needs, and their Debian packages.
    fn tools(&self) -> &'static [Tool] {
        &[]
    }

    /// Installs what no Debian package contains.
    fn install(&self) -> Outcome {
        Ok(())
    }

    /// Returns the user that it runs as if the harness runs as root. `None` means root.
    fn account(&self) -> Option<&'static str> {
        None
    }

    /// Returns the names of its ports. The main one is `port`.
    fn ports(&self) -> &'static [&'static str] {
        &["port"]
    }

    /// Returns the names of its passwords and keys, and their lengths in bytes. In hexadecimal
    /// digits, each is twice as long.
    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[]
    }

    /// Creates the data folder. Called before the first start.
    fn initialise(&self, _: &Home) -> Outcome {
        Ok(())
    }

    /// Writes its configuration, and starts other processes that it needs. Called before every
    /// start.
    fn prepare(&self, _: &Home) -> Outcome {
        Ok(())
    }

    /// Returns the command that runs the server in the foreground. Its process must be the server
    /// itself, not a wrapper.
    fn command(&self, home: &Home) -> Result<Command, String>;

    /// Fails if the server does not answer. Includes a login if the server has one.
    fn answers(&self, home: &Home) -> Outcome;

    /// Returns the signal that stops the server without waiting for its clients.
    fn stop_signal(&self) -> &'static str {
        "TERM"
    }

    /// Stops what [`Service::prepare`] started.
    fn clean_up(&self, _: &Home) -> Outcome {
        Ok(())
    }

    /// Returns the variables that tests need to reach the server.
    fn env(&self, home: &Home) -> Env;

    /// Returns the variables that its own tools need, for `exec`.
    fn tool_env(&self, _: &Home) -> Env {
        Vec::new()
    }
}

/// Returns the service's folder. Chooses the values that have not been chosen yet.
pub(super) fn home(service: &dyn Service) -> Result<Home, String> {
    let name = service.name();
    let ports = service.ports();
    let secrets = service.secrets();
    Home::ensure(&Needs {
        name,
        ports,
        secrets,
        account: service.account(),
    })
}

/// Returns a server's command, which runs in its folder and without this process's environment,
/// such as cargo's variables.
pub(super) fn server(program: impl AsRef<std::ffi::OsStr>, home: &Home) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home.place()).env_clear();
    command
        .env("PATH", host::path_with(None))
        .env("HOME", home.place())
        .env("LC_ALL", "C.UTF-8");
    command
}
