//! `health wait` in an entry point: the servers that a service needs start one after another, or
//! never.
//!
//! Each test has its own servers in a folder of its own. They are started by the same `cargo xtask`
//! command as the servers that tests share.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::{Running, health, xtask};

const CONFIG: &str = r#"
[[checks]]
kind = "database"
url = "${POSTGRES_URL}"

[[checks]]
kind = "redis"
url = "${REDIS_URL}"

[[checks]]
kind = "rabbitmq"
url = "${BROKER_URL}"

[[checks]]
kind = "cache"
url = "${MEMCACHED_URL}"
"#;

/// The maximum time for a server to start, on a machine that compiles at the same time.
const MAX_WAIT: Duration = Duration::from_mins(2);

/// Servers of one test. Their addresses are known before they run.
struct Servers {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Servers {
    fn planned(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL runs as another user, which needs access to the folder.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("health.toml"), CONFIG).unwrap();
        let mut servers = Self {
            folder,
            variables: Vec::new(),
        };
        let printed = servers.chore(&[&["env", "--planned"], names].concat());
        let variable = |line: &str| {
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap()
                .split_once('=')
                .unwrap();
            (name.to_owned(), value.trim_matches('\'').to_owned())
        };
        servers.variables = printed.lines().map(variable).collect();
        servers
    }

    fn chore(&self, args: &[&str]) -> String {
        xtask(
            &[&["services"], args].concat(),
            &[("HEALTH_SERVICES", &self.place())],
        )
    }

    fn place(&self) -> PathBuf {
        self.folder.path().join("services")
    }

    fn up(&self, name: &str) {
        self.chore(&["up", name]);
    }

    fn wait(&self, args: &[&str]) -> Command {
        let mut command = health(self.folder.path());
        command
            .args(["wait", "--config", "health.toml", "--interval", "100ms"])
            .args(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // No assertion, because the test may be failing already.
        let mut chore = Command::new(std::env::var_os("HEALTH_XTASK").unwrap_or_default());
        let _ = chore
            .args(["services", "down"])
            .env("HEALTH_SERVICES", self.place())
            .stdout(Stdio::null())
            .status();
    }
}

/// Waits until a process has written a line that matches `is_it`.
fn await_line(log: &Path, process: &mut Running, what: &str, is_it: impl Fn(&str) -> bool) {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap();
        if text.lines().any(&is_it) {
            return;
        }
        assert!(
            process.try_wait().unwrap().is_none(),
            "it ended before {what}: {text}"
        );
        assert!(
            began.elapsed() < MAX_WAIT,
            "not told within {MAX_WAIT:?}: {what}: {text}"
        );
        thread::yield_now();
    }
}

/// Returns `true` if a line says that `health wait` is waiting for exactly these checks.
fn waits_for(line: &str, names: &[&str]) -> bool {
    let all = [
        "CacheBackend",
        "DatabaseBackend",
        "RabbitMQHealthCheck",
        "RedisHealthCheck",
    ];
    line.starts_with("waiting for ")
        && all
            .iter()
            .all(|name| line.contains(&format!("{name} (")) == names.contains(name))
}

#[test]
fn servers_that_come_up_one_after_another_are_waited_for() {
    let servers = Servers::planned(&["postgres", "redis", "rabbitmq", "memcached"]);
    let log = servers.folder.path().join("log");
    let mut command = servers.wait(&["--timeout", "5m"]);
    let mut process = Running::new(
        command
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap()),
    );
    let mut missing = vec![
        "CacheBackend",
        "DatabaseBackend",
        "RabbitMQHealthCheck",
        "RedisHealthCheck",
    ];
    await_line(&log, &mut process, "none is there", |line| {
        waits_for(line, &missing)
    });
    for (server, check) in [
        ("memcached", "CacheBackend"),
        ("redis", "RedisHealthCheck"),
        ("postgres", "DatabaseBackend"),
    ] {
        servers.up(server);
        missing.retain(|name| *name != check);
        await_line(&log, &mut process, server, |line| waits_for(line, &missing));
    }
    servers.chore(&["down", "redis"]);
    await_line(&log, &mut process, "redis goes again", |line| {
        waits_for(line, &["RabbitMQHealthCheck", "RedisHealthCheck"])
    });
    servers.up("redis");
    servers.up("rabbitmq");
    let (_, code) = support::wait(&mut process);
    let told = fs::read_to_string(&log).unwrap();
    assert!(
        code == Some(0) && told.lines().last().unwrap().starts_with("healthy after "),
        "{code:?} {told}"
    );
    assert!(
        told.starts_with("waiting for CacheBackend (unavailable: "),
        "{told}"
    );
    for (_, url) in &servers.variables {
        let password = url
            .rsplit_once('@')
            .and_then(|(user, _)| user.rsplit_once(':'))
            .map(|(_, password)| password);
        assert!(
            password.is_none_or(|password| password.is_empty() || !told.contains(password)),
            "{told}"
        );
    }
}

#[test]
fn a_server_that_never_comes_is_named() {
    let servers = Servers::planned(&["postgres", "redis", "rabbitmq", "memcached"]);
    servers.up("redis");
    servers.up("memcached");
    let output = servers.wait(&["--timeout", "2s"]).output().unwrap();
    let report = support::stdout(&output);
    let told = support::stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{report}{told}");
    assert!(told.ends_with("not healthy within 2s\n"), "{told}");
    assert!(
        told.lines()
            .any(|line| waits_for(line, &["DatabaseBackend", "RabbitMQHealthCheck"])),
        "{told}"
    );
    let is_there = |name: &str, what: &str| report.contains(&format!("{name:<24} ... {what}"));
    assert!(
        is_there("RedisHealthCheck", "working\n") && is_there("CacheBackend", "working\n"),
        "{report}"
    );
    assert!(
        is_there("DatabaseBackend", "unavailable: ")
            && is_there("RabbitMQHealthCheck", "unavailable: "),
        "{report}"
    );
}
