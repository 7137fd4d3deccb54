//! `PgBouncer` in front of PostgreSQL, with transaction and session pooling.

use std::process::Command;

use super::account::Account;
use super::host::{Env, Tool, find};
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use crate::Outcome;

/// The database `health` is pooled by transactions and has one connection to the server, the
/// database `health_session` is pooled by sessions.
#[derive(Debug)]
pub(super) struct PgBouncer;

impl Service for PgBouncer {
    fn name(&self) -> &'static str {
        "pgbouncer"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["postgres"]
    }

    fn tools(&self) -> &'static [Tool] {
        &[("pgbouncer", "pgbouncer")]
    }

    /// `PgBouncer` refuses to run as root.
    fn account(&self) -> Option<&'static str> {
        Some("postgres")
    }

    fn prepare(&self, home: &Home) -> Outcome {
        let postgres = Home::load("postgres");
        let to = format!("host=127.0.0.1 port={} dbname=health", postgres.port());
        let configuration = format!(
            "[databases]\nhealth = {to} pool_mode=transaction\nhealth_session = {to} pool_mode=session pool_size=5\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = plain\n\
             auth_file = users.txt\ndefault_pool_size = 1\n",
            home.port()
        );
        for (name, text) in [
            ("pgbouncer.ini", configuration),
            (
                "users.txt",
                format!("\"health\" \"{}\"\n", postgres.password()),
            ),
        ] {
            let path = home.place().join(name);
            write_secret(&path, &text)?;
            Account::of(self.account())?.map_or(Ok(()), |account| account.owns(&path))?;
        }
        Ok(())
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(find("pgbouncer")?, home);
        command.arg("pgbouncer.ini");
        if let Some(account) = Account::of(self.account())? {
            account.runs(&mut command);
        }
        Ok(command)
    }

    /// Sends a request for TLS. The server declines, which shows that it is up.
    fn answers(&self, home: &Home) -> Outcome {
        probe::talk(home.port(), &[0, 0, 0, 8, 4, 210, 22, 47], b"N")
    }

    fn env(&self, home: &Home) -> Env {
        let url = |database| {
            format!(
                "postgres://health:{}@{}/{database}",
                Home::load("postgres").password(),
                home.address()
            )
        };
        vec![
            ("PGBOUNCER_URL", url("health")),
            ("PGBOUNCER_SESSION_URL", url("health_session")),
        ]
    }
}
