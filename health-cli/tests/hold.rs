//! Tests fifty replicas of `health serve` whose database fails over, and twenty whose database
//! stays down.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may, and this is no executor's thread"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Running, folder, health};

const SECOND: Duration = Duration::from_secs(1);

/// A Redis of the test's own, on a port that stays the same when it is killed and started again.
struct Redis {
    port: u16,
    process: Option<Running>,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut redis = Self {
            port,
            process: None,
        };
        redis.up();
        redis
    }

    fn up(&mut self) {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        self.process = Some(Running::new(
            command
                .current_dir(std::env::temp_dir())
                .stdout(Stdio::null()),
        ));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                began.elapsed() < 10 * SECOND,
                "redis-server does not start: `cargo xtask test` installs it"
            );
            sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.process = None;
    }
}

/// A replica: its process and its address.
struct Replica(
    #[expect(dead_code, reason = "it is there to be killed in the end")] Running,
    String,
);

impl Replica {
    fn start(folder: &tempfile::TempDir) -> Self {
        let mut command = health(folder.path());
        command.args([
            "serve",
            "--config",
            "health.toml",
            "--listen",
            "127.0.0.1:0",
        ]);
        let mut process = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let line = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .next()
            .unwrap()
            .unwrap();
        Self(process, line.split('/').nth(2).unwrap().to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        stream.set_read_timeout(Some(10 * SECOND)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz?format=text").0 == 200
    }
}

fn config(redis: &Redis, more: &str) -> tempfile::TempDir {
    folder(&format!(
        "{more}[[checks]]\nkind = \"redis\"\nname = \"orders\"\nurl = \"redis://127.0.0.1:{}/0\"\n",
        redis.port
    ))
}

#[test]
fn a_failover_of_twenty_seconds_takes_no_replica_out() {
    let mut redis = Redis::start();
    let folder = config(&redis, "");
    let replicas: Vec<Replica> = (0..50).map(|_| Replica::start(&folder)).collect();
    assert!(replicas.iter().all(Replica::is_ready));

    redis.kill();
    let began = Instant::now();
    sleep(2 * SECOND);
    let late = Replica::start(&folder);
    while began.elapsed() < 20 * SECOND {
        for replica in &replicas {
            let (status, body) = replica.get("/readyz?format=text");
            assert_eq!(status, 200, "after {:?}: {body}", began.elapsed());
            assert!(
                body.contains("orders                   ... unavailable: ")
                    && body.contains(" (held)"),
                "{body}"
            );
        }
        assert!(!late.is_ready(), "it has never reached its database");
        sleep(SECOND);
    }
    for replica in &replicas {
        let (status, body) = replica.get("/ht/?format=text");
        assert!(
            status == 500 && !body.contains("held"),
            "the whole is red at once: {body}"
        );
        // The alert is `max by (job, group, check)`, so these fifty samples are one alert.
        let metrics = replica.get("/ht/?format=prometheus").1;
        for sample in [
            "health_check_held{check=\"orders\",group=\"ready\"} 1",
            "health_check_group_healthy{group=\"ready\"} 1",
            "health_check_failure{check=\"orders\",kind=\"refused\"} 1",
        ] {
            assert!(metrics.contains(sample), "{sample}: {metrics}");
        }
    }
    redis.up();
    sleep(2 * SECOND);
    assert!(
        replicas
            .iter()
            .chain([&late])
            .all(|replica| replica.get("/ht/?format=text").0 == 200)
    );
}

#[test]
fn a_database_that_stays_away_takes_the_replicas_out_one_after_the_other() {
    let mut redis = Redis::start();
    let folder = config(&redis, "[groups.ready]\nhold = \"10s\"\n");
    let replicas: Vec<Replica> = (0..20).map(|_| Replica::start(&folder)).collect();
    assert!(replicas.iter().all(Replica::is_ready));
    redis.kill();
    let began = Instant::now();
    let mut left = vec![None; replicas.len()];
    while left.iter().any(Option::is_none) {
        assert!(began.elapsed() < 60 * SECOND, "{left:?}");
        for (replica, left) in replicas
            .iter()
            .zip(&mut left)
            .filter(|(_, left)| left.is_none())
        {
            if !replica.is_ready() {
                *left = Some(began.elapsed());
            }
        }
        sleep(Duration::from_millis(200));
    }
    let first = left.iter().min().unwrap().unwrap();
    let last = left.iter().max().unwrap().unwrap();
    assert!(first >= 9 * SECOND, "{left:?}");
    assert!(
        last >= first + 2 * SECOND,
        "spread over half of the hold: {left:?}"
    );
}
