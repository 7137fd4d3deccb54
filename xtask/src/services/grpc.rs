//! A gRPC server with a health service.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use super::venv::READERS;
use crate::Outcome;

/// grpcio, with a service for each status.
#[derive(Debug)]
pub(super) struct Grpc;

impl Service for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn tools(&self) -> &'static [Tool] {
        host::PYTHON
    }

    fn install(&self) -> Outcome {
        READERS.install()
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        write_secret(&home.place().join("server.py"), include_str!("grpc.py"))
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(READERS.python(), home);
        command.arg("server.py").envs(self.tool_env(home));
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        // The preface of HTTP/2 and empty settings. The answer begins with the server's settings: a
        // length, and the type 4.
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        probe::talk(home.port(), preface, b"\0\0")
    }

    fn env(&self, home: &Home) -> Env {
        vec![
            ("GRPC_URL", format!("grpc://{}", home.address())),
            ("GRPC_TOKEN", home.password().to_owned()),
        ]
    }

    fn tool_env(&self, home: &Home) -> Env {
        vec![
            ("GRPC_PORT", home.port().to_owned()),
            ("GRPC_PASSWORD", home.password().to_owned()),
        ]
    }
}
