//! A command that is interrupted during a run leaves nothing behind on a server.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{folder, health, variable};

/// A connection to the broker, with Redis' inline commands.
struct Redis(TcpStream);

impl Redis {
    fn at(url: &str) -> Self {
        let (login, place) = url
            .strip_prefix("redis://:")
            .unwrap()
            .split_once('@')
            .unwrap();
        let (address, database) = place.split_once('/').unwrap();
        let mut redis = Self(TcpStream::connect(address).unwrap());
        assert_eq!(redis.say(&format!("AUTH {login}")), "+OK");
        assert_eq!(redis.say(&format!("SELECT {database}")), "+OK");
        redis
    }

    /// Sends a command, and returns the first line of the response.
    fn say(&mut self, command: &str) -> String {
        self.0
            .write_all(format!("{command}\r\n").as_bytes())
            .unwrap();
        let mut answer = vec![0; 4096];
        let read = self.0.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read])
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    fn waits_for(&mut self, command: &str, answer: &str) {
        let began = Instant::now();
        while self.say(command) != answer {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{command} is not {answer}"
            );
        }
    }
}

#[test]
fn a_task_that_nobody_has_taken_is_taken_back() {
    let url = variable("CELERY_REDIS_URL");
    let mut redis = Redis::at(&url);
    for (signal, queue) in [("INT", "interrupted"), ("TERM", "terminated")] {
        redis.say(&format!("DEL {queue}"));
        let folder = folder(&format!(
            "[[checks]]\nkind = \"celery\"\nbroker_url = \"{url}\"\nqueues = [\"{queue}\"]\n"
        ));
        let mut command = health(folder.path());
        command
            .args(["check", "--config", "health.toml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut check = command.spawn().unwrap();
        redis.waits_for(&format!("LLEN {queue}"), ":1");
        let kill = format!("kill -s {signal} {}", check.id());
        assert!(
            std::process::Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        let status = check.wait().unwrap();
        assert_eq!(status.code(), Some(2), "{signal}");
        assert_eq!(
            redis.say(&format!("LLEN {queue}")),
            ":0",
            "{signal} leaves its task"
        );
    }
}
