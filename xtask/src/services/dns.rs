//! A name server with its own zone.

use std::process::Command;

use super::host::{self, Env, Tool};
use super::service::{Service, server};
use super::state::Home;
use crate::Outcome;

/// dnsmasq: `health.test` has an address, `text.test` has only a text, any other name below `test`
/// does not exist.
#[derive(Debug)]
pub(super) struct Dns;

impl Service for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn tools(&self) -> &'static [Tool] {
        &[("dnsmasq", "dnsmasq-base")]
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(host::find("dnsmasq")?, home);
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
        ]);
        command.args([
            "--listen-address=127.0.0.1",
            "--user=root",
            "--pid-file=",
            "--log-facility=-",
        ]);
        command.args([
            "--local=/test/",
            "--host-record=health.test,127.0.0.1",
            "--txt-record=text.test,hello",
        ]);
        command.arg(format!("--port={}", home.port()));
        Ok(command)
    }

    /// The server is up once its port accepts connections, because it also speaks DNS over TCP.
    fn answers(&self, home: &Home) -> Outcome {
        std::net::TcpStream::connect(home.address())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn env(&self, home: &Home) -> Env {
        vec![("DNS_ADDRESS", home.address())]
    }
}
