//! A mail server that requires a password and discards the mail.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use super::venv::CELERY;
use crate::Outcome;

/// aiosmtpd: user `health`.
#[derive(Debug)]
pub(super) struct Smtp;

impl Service for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn tools(&self) -> &'static [Tool] {
        host::PYTHON
    }

    fn install(&self) -> Outcome {
        CELERY.install()
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        write_secret(&home.place().join("smtp.py"), include_str!("smtp.py"))
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(CELERY.python(), home);
        command.arg("smtp.py").envs(self.tool_env(home));
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        probe::talk(home.port(), b"", b"220 ")
    }

    fn env(&self, home: &Home) -> Env {
        vec![(
            "SMTP_URL",
            format!("smtp://health:{}@{}", home.password(), home.address()),
        )]
    }

    fn tool_env(&self, home: &Home) -> Env {
        vec![
            ("SMTP_PORT", home.port().to_owned()),
            ("SMTP_PASSWORD", home.password().to_owned()),
        ]
    }
}
