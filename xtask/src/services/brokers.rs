//! Redis and memcached.

use std::process::Command;

use super::account::is_root;
use super::host::{Env, Tool, find};
use super::probe;
use super::service::{Service, server};
use super::state::{Home, write_secret};
use crate::Outcome;

/// Redis: database 1 for tests, 2 for Celery.
#[derive(Debug)]
pub(super) struct Redis;

impl Redis {
    /// Returns the URL of one of its databases.
    pub(super) fn url(home: &Home, database: u8) -> String {
        format!("redis://:{}@{}/{database}", home.password(), home.address())
    }
}

impl Service for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn tools(&self) -> &'static [Tool] {
        &[("redis-server", "redis-server")]
    }

    fn secrets(&self) -> &'static [(&'static str, usize)] {
        &[("password", 16)]
    }

    /// Writes the configuration. Data survives a kill, because the kernel has the log before the
    /// client has its response.
    fn prepare(&self, home: &Home) -> Outcome {
        let port = home.port();
        let password = home.password();
        let text = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly yes\nappendfsync no\n\
             daemonize no\n"
        );
        write_secret(&home.place().join("redis.conf"), &text)
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(find("redis-server")?, home);
        command.arg("redis.conf");
        Ok(command)
    }

    /// Ends with `QUIT`, so that a server that still loads its data closes the connection.
    fn answers(&self, home: &Home) -> Outcome {
        probe::talk(
            home.port(),
            format!("AUTH {}\r\nPING\r\nQUIT\r\n", home.password()).as_bytes(),
            b"+PONG",
        )
    }

    fn env(&self, home: &Home) -> Env {
        vec![("REDIS_URL", Self::url(home, 1))]
    }

    fn tool_env(&self, home: &Home) -> Env {
        vec![
            ("REDISCLI_AUTH", home.password().to_owned()),
            ("REDIS_PORT", home.port().to_owned()),
        ]
    }
}

/// memcached, which has no passwords and keeps no data.
#[derive(Debug)]
pub(super) struct Memcached;

impl Service for Memcached {
    fn name(&self) -> &'static str {
        "memcached"
    }

    fn tools(&self) -> &'static [Tool] {
        &[("memcached", "memcached")]
    }

    fn command(&self, home: &Home) -> Result<Command, String> {
        let mut command = server(find("memcached")?, home);
        command.args(["-l", "127.0.0.1", "-p", home.port(), "-U", "0", "-m", "16"]);
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        Ok(command)
    }

    fn answers(&self, home: &Home) -> Outcome {
        probe::talk(home.port(), b"version\r\n", b"VERSION")
    }

    fn env(&self, home: &Home) -> Env {
        vec![("MEMCACHED_URL", format!("memcached://{}", home.address()))]
    }
}
