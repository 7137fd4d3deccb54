//! RabbitMQ, with its own epmd.

use std::process::Command;
use std::time::Duration;

use super::host::{Env, Tool, find, path_with};
use super::probe;
use super::process::{Process, wait};
use super::service::{Service, server};
use super::state::{Home, write_secret};
use crate::Outcome;

/// Makes the Erlang VM listen on 127.0.0.1 only, and sleep when it is idle: busy-waiting schedulers
/// would take processor time from the tests.
const ERLANG: &str =
    "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none";

/// RabbitMQ: user `health`, virtual host `/`.
#[derive(Debug)]
pub(super) struct RabbitMq;

impl RabbitMq {
    /// Returns the broker's URL.
    pub(super) fn url(home: &Home) -> String {
        format!("amqp://health:{}@{}/%2f", home.password(), home.address())
    }
}

impl Service for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn tools(&self) -> &'static [Tool] {
        &[
            ("rabbitmq-server", "rabbitmq-server"),
            ("epmd", "rabbitmq-server"),
        ]
    }

    fn ports(&self) -> &'static [&'static str] {
        &["port", "distribution_port", "epmd_port"]
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    fn prepare(&self, home: &Home) -> Outcome {
        let text = format!(
            "listeners.tcp.1 = {}\ndefault_user = health\ndefault_pass = {}\nloopback_users = none\n",
            home.address(),
            home.password()
        );
        write_secret(&home.place().join("rabbitmq.conf"), &text)?;
        write_secret(&home.place().join("enabled_plugins"), "[].\n")?;
        start_epmd(home)
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let place = home.place();
        let mut command = server(find("rabbitmq-server")?, home);
        command.envs(self.tool_env(home)).envs([
            ("RABBITMQ_DIST_PORT", home.get("distribution_port")),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG),
            ("RABBITMQ_LOGS", "-"),
            // Makes the script become the server, instead of its parent.
            ("RUNNING_UNDER_SYSTEMD", "true"),
        ]);
        command.env("RABBITMQ_CONFIG_FILE", place.join("rabbitmq"));
        command.env("RABBITMQ_MNESIA_BASE", place.join("mnesia"));
        command.env("RABBITMQ_LOG_BASE", place.join("log"));
        command.env("RABBITMQ_PID_FILE", place.join("pid"));
        command.env(
            "RABBITMQ_ENABLED_PLUGINS_FILE",
            place.join("enabled_plugins"),
        );
        command.env("RABBITMQ_GENERATED_CONFIG_DIR", place.join("config"));
        Ok(command)
    }

    /// Logs in until the server proposes to tune the connection, which it does once it has accepted
    /// the password.
    fn answers(&self, home: &Home) -> Outcome {
        const TUNE: &[u8] = &[1, 0, 0, 0, 0, 0, 12, 0, 10, 0, 30];
        probe::talk(home.port(), &login(home.password()), TUNE)
    }

    fn clean_up(&self, home: &Home) -> Outcome {
        match Process::recorded(&home.file("epmd")) {
            Some(epmd) => epmd.kill(),
            None => Ok(()),
        }
    }

    fn env(&self, home: &Home) -> Env {
        vec![("BROKER_URL", Self::url(home))]
    }

    /// Debian's own `rabbitmqctl` is a wrapper that changes the user, so the script behind it comes
    /// first on the `PATH`.
    fn tool_env(&self, home: &Home) -> Env {
        vec![
            ("PATH", path_with(None).to_string_lossy().into_owned()),
            ("RABBITMQ_NODENAME", "health@localhost".to_owned()),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            (
                "RABBITMQ_CTL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
            ),
            ("ERL_EPMD_PORT", home.get("epmd_port").to_owned()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("HOME", home.place().display().to_string()),
        ]
    }
}

/// Starts epmd. Otherwise, Erlang would start one itself, which could not be found again.
fn start_epmd(home: &Home) -> Outcome {
    let port = home.get("epmd_port");
    if Process::recorded(&home.file("epmd")).is_none() {
        let mut command = server(find("epmd")?, home);
        command.args(["-address", "127.0.0.1", "-port", port]);
        Process::start(&mut command, &home.file("epmd.log"))?.record(&home.file("epmd"))?;
    }
    let listens = wait(Duration::from_secs(10), || {
        probe::listens(port).then_some(())
    });
    listens.ok_or_else(|| "epmd does not listen".to_owned())
}

/// Returns the protocol header and the frame `connection.start-ok` with the password.
fn login(password: &str) -> Vec<u8> {
    let response = format!("\0health\0{password}");
    let mut method = vec![0, 10, 0, 11, 0, 0, 0, 0];
    method.extend_from_slice(b"\x05PLAIN");
    method.extend_from_slice(&length(response.len()));
    method.extend_from_slice(response.as_bytes());
    method.extend_from_slice(b"\x05en_US");
    [
        b"AMQP\0\0\x09\x01\x01\0\0".as_slice(),
        &length(method.len()),
        &method,
        b"\xce",
    ]
    .concat()
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}
