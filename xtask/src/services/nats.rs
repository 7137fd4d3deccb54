//! A NATS server with JetStream.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use super::venv::NATS;
use crate::Outcome;

/// nats-server, with the users `health`, with JetStream, and `without`, in an account without
/// JetStream.
#[derive(Debug)]
pub(super) struct Nats;

impl Service for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn tools(&self) -> &'static [Tool] {
        host::PYTHON
    }

    fn install(&self) -> Outcome {
        NATS.install()
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        let port = home.port();
        let password = home.password();
        let store = home.place().join("jetstream").display().to_string();
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{store}\" }}\naccounts {{\n  \
             WITH {{ jetstream: enabled, users: [{{ user: health, password: \"{password}\" }}] }}\n  \
             WITHOUT {{ users: [{{ user: without, password: \"{password}\" }}] }}\n}}\n"
        );
        write_secret(&home.place().join("nats.conf"), &text)
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let program = NATS
            .program("nats-server")
            .ok_or("nats-server is not installed")?;
        let mut command = server(program, home);
        command.args(["--config", "nats.conf"]);
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        probe::talk(home.port(), b"", b"INFO ")
    }

    fn env(&self, home: &Home) -> Env {
        let program = NATS
            .program("nats-server")
            .unwrap_or_default()
            .display()
            .to_string();
        vec![
            (
                "NATS_URL",
                format!("nats://health:{}@{}", home.password(), home.address()),
            ),
            ("NATS_PROGRAM", program),
        ]
    }
}
