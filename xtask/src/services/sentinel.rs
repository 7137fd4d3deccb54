//! A sentinel that knows where the Redis of the tests is.

use std::process::Command;

use super::host::{Env, Tool, find};
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use crate::Outcome;

/// One sentinel; its master is called `health`.
#[derive(Debug)]
pub(super) struct Sentinel;

impl Service for Sentinel {
    fn name(&self) -> &'static str {
        "sentinel"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["redis"]
    }

    fn tools(&self) -> &'static [Tool] {
        &[("redis-sentinel", "redis-sentinel")]
    }

    /// Writes the configuration. The sentinel must not declare the master down, because tests
    /// freeze and kill it.
    fn prepare(&self, home: &Home) -> Outcome {
        let redis = Home::load("redis");
        let text = format!(
            "bind 127.0.0.1\nport {}\nsentinel monitor health 127.0.0.1 {} 1\nsentinel auth-pass health {}\n\
             sentinel down-after-milliseconds health 3600000\n",
            home.port(),
            redis.port(),
            redis.password()
        );
        write_secret(&home.place().join("sentinel.conf"), &text)
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(find("redis-sentinel")?, home);
        command.arg("sentinel.conf");
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        probe::talk(
            home.port(),
            b"SENTINEL GET-MASTER-ADDR-BY-NAME health\r\nQUIT\r\n",
            b"127.0.0.1",
        )
    }

    fn env(&self, home: &Home) -> Env {
        let redis = Home::load("redis");
        vec![(
            "SENTINEL_URL",
            format!(
                "redis+sentinel://:{}@{}/health/1",
                redis.password(),
                home.address()
            ),
        )]
    }
}
