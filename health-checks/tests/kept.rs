//! Counts the connections, logins and commands of a check that keeps its connection, in each way in
//! which a server fails. The server is a fake Redis.

#![cfg(all(feature = "cache", feature = "config", feature = "redis"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use health_checks::config::{Config, Options};
use health_core::Health;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The timeout of the checks here.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The times that a slow server takes: more than a half of the timeout, and almost all of it.
const SLOW: [Duration; 2] = [Duration::from_millis(1200), Duration::from_millis(1700)];

/// The behaviour of the fake for a command.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Answers,
    /// Answers to this command after this time, and to all others at once.
    IsSlow(&'static str, Duration),
    /// Answers to this command with this error.
    Refuses(&'static str, &'static str),
    /// Answers nothing but logins.
    IsSilent,
    /// Answers nothing at all.
    IsFrozen,
    /// Answers nothing on connections with a number below this one.
    Forgets(usize),
    /// Closes the connections that are open, and each on which this command arrives.
    HangsUp(&'static str),
}

struct Fake {
    port: u16,
    mood: watch::Sender<Mood>,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood = watch::Sender::new(Mood::Answers);
        let counts = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let fake = Self {
            port,
            mood: mood.clone(),
            counts: Arc::clone(&counts),
        };
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else {
                    break;
                };
                count(&counts, "connections");
                let mood = mood.subscribe();
                tokio::spawn(serve(client, number, mood, Arc::clone(&counts)));
            }
        });
        fake
    }

    fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Returns how often something has happened: `connections`, or the name of a command.
    fn count(&self, what: &str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    fn check(&self, kind: &str, more: &str) -> Health {
        let url = format!("redis://:secret@127.0.0.1:{}/1", self.port);
        let timeout = TIMEOUT.as_secs();
        let text = format!(
            "[[checks]]\nkind = \"{kind}\"\nurl = \"{url}\"\ntimeout = {timeout}\nttl = 0\n{more}"
        );
        Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .unwrap()
            .build()
            .unwrap()
    }
}

fn count(counts: &Mutex<BTreeMap<String, usize>>, what: &str) {
    *counts.lock().unwrap().entry(what.to_owned()).or_default() += 1;
}

async fn serve(
    client: TcpStream,
    number: usize,
    mut mood: watch::Receiver<Mood>,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
) {
    let mut client = BufReader::new(client);
    let mut keys = BTreeMap::new();
    loop {
        let hung_up = async {
            while mood.changed().await.is_ok() {
                if matches!(*mood.borrow(), Mood::HangsUp(_)) {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let command = tokio::select! {
            command = read(&mut client) => command,
            () = hung_up => return,
        };
        let Some(command) = command else { return };
        count(&counts, &command[0]);
        let mood = *mood.borrow();
        let is_login = ["AUTH", "CLIENT", "SELECT"].contains(&&*command[0]);
        match mood {
            Mood::IsFrozen => continue,
            Mood::IsSilent if !is_login => continue,
            Mood::Forgets(below) if number < below => continue,
            Mood::HangsUp(name) if name == command[0] => return,
            Mood::IsSlow(name, time) if name == command[0] => tokio::time::sleep(time).await,
            _ => {}
        }
        let answer = match mood {
            Mood::Refuses(name, reply) if name == command[0] => format!("{reply}\r\n"),
            _ => answer(&command, &mut keys),
        };
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(command: &[String], keys: &mut BTreeMap<String, String>) -> String {
    match &*command[0] {
        "PING" => "+PONG\r\n".to_owned(),
        "SET" => {
            keys.insert(command[1].clone(), command[2].clone());
            "+OK\r\n".to_owned()
        }
        "GET" => match keys.get(&command[1]) {
            Some(value) => format!("${}\r\n{value}\r\n", value.len()),
            None => "$-1\r\n".to_owned(),
        },
        "DEL" => {
            keys.remove(&command[1]);
            ":1\r\n".to_owned()
        }
        _ => "+OK\r\n".to_owned(),
    }
}

/// Reads a command: an array of strings. `None` at the end of the connection.
async fn read(client: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let parts = number(client, '*').await?;
    let mut command = Vec::new();
    for _ in 0..parts {
        let length = number(client, '$').await?;
        let mut text = vec![0; length + 2];
        client.read_exact(&mut text).await.ok()?;
        text.truncate(length);
        command.push(String::from_utf8(text).unwrap());
    }
    Some(command)
}

async fn number(client: &mut BufReader<TcpStream>, sign: char) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok()
}

async fn says(health: &Health) -> String {
    health.report().await.checks[0].pretty_status()
}

async fn works(health: &Health, runs: usize, when: &str) {
    for run in 1..=runs {
        assert_eq!(says(health).await, "working", "{when}, run {run}");
    }
}

#[tokio::test]
async fn a_server_that_is_always_slow_has_one_connection_and_one_command_in_a_run() {
    let of = |time, kind: &'static str, more: &'static str, slow: &'static str| async move {
        let fake = Fake::start().await;
        fake.becomes(Mood::IsSlow(slow, time));
        let check = fake.check(kind, more);
        works(&check, 4, &format!("{kind}, {slow} takes {time:?}")).await;
        assert_eq!(fake.count("connections"), 1, "{kind}, {slow}, {time:?}");
        assert_eq!(fake.count("AUTH"), 1, "{kind}, {slow}, {time:?}");
        assert_eq!(fake.count(slow), 4, "{kind}, {slow}, {time:?}");
    };
    let [half, all] = SLOW;
    tokio::join!(
        of(half, "redis", "", "PING"),
        of(all, "redis", "", "PING"),
        of(half, "redis", "write = true", "SET"),
        of(all, "redis", "write = true", "SET"),
        of(half, "cache", "", "SET"),
        of(all, "cache", "", "SET"),
    );
}

#[tokio::test]
async fn a_server_that_becomes_slow_has_one_connection_more_once() {
    for time in SLOW {
        let fake = Fake::start().await;
        let check = fake.check("redis", "write = true");
        works(&check, 2, "at first").await;
        fake.becomes(Mood::IsSlow("PING", time));
        works(&check, 4, &format!("{time:?}")).await;
        assert_eq!(fake.count("connections"), 2, "{time:?}");
        assert_eq!(
            fake.count("PING"),
            7,
            "{time:?}: one more than there are runs"
        );
        assert_eq!(fake.count("SET"), 6, "{time:?}: one in each run");
    }
}

#[tokio::test]
async fn an_error_that_the_server_sends_keeps_the_connection() {
    let runs = 8;
    for (kind, more, command, reply, message) in [
        (
            "redis",
            "",
            "PING",
            "-LOADING Redis is loading the dataset in memory",
            "Redis is loading its data",
        ),
        (
            "redis",
            "",
            "PING",
            "-MASTERDOWN Link with MASTER is down",
            "Redis: its master is down",
        ),
        (
            "redis",
            "",
            "PING",
            "-BUSY Redis is busy running a script.",
            "Redis is busy with a script",
        ),
        (
            "redis",
            "",
            "PING",
            "-NOAUTH Authentication required.",
            "Unable to connect to Redis: Authentication error.",
        ),
        (
            "redis",
            "write = true",
            "SET",
            "-OOM command not allowed",
            "Redis has no memory left",
        ),
        (
            "redis",
            "write = true",
            "SET",
            "-READONLY You can't write against a read only replica.",
            "Redis is read-only",
        ),
        (
            "cache",
            "",
            "GET",
            "-LOADING Redis is loading the dataset in memory",
            "Redis is loading its data",
        ),
        (
            "cache",
            "",
            "SET",
            "-OOM command not allowed",
            "Redis has no memory left",
        ),
        (
            "cache",
            "",
            "DEL",
            "-NOPERM this user has no permissions",
            "Redis: permission denied",
        ),
    ] {
        let fake = Fake::start().await;
        let check = fake.check(kind, more);
        fake.becomes(Mood::Refuses(command, reply));
        for _ in 0..runs {
            assert_eq!(
                says(&check).await,
                format!("unavailable: {message}"),
                "{kind}"
            );
        }
        assert_eq!(fake.count(command), runs, "{kind}: {reply}");
        fake.becomes(Mood::Answers);
        works(&check, 1, reply).await;
        assert_eq!(fake.count("connections"), 1, "{kind}: {reply}");
        assert_eq!(fake.count("AUTH"), 1, "{kind}: {reply}");
    }
}

#[tokio::test]
async fn an_error_after_which_the_server_closes_the_connection_costs_one_in_each_run() {
    for reply in [
        "-DENIED Redis is running in protected mode",
        "-ERR max number of clients reached",
    ] {
        let fake = Fake::start().await;
        let check = fake.check("redis", "");
        fake.becomes(Mood::Refuses("PING", reply));
        for _ in 0..3 {
            assert_ne!(says(&check).await, "working", "{reply}");
        }
        assert_eq!(fake.count("connections"), 3, "{reply}");
        assert_eq!(fake.count("PING"), 3, "{reply}");
    }
}

#[tokio::test]
async fn a_forgotten_connection_is_replaced_within_the_run_and_nothing_is_written_twice() {
    for kind in ["redis", "cache"] {
        let fake = Fake::start().await;
        let check = fake.check(kind, if kind == "redis" { "write = true" } else { "" });
        works(&check, 3, kind).await;
        fake.becomes(Mood::Forgets(1));
        let began = Instant::now();
        works(&check, 1, "forgotten").await;
        assert!(
            began.elapsed() < TIMEOUT / 2,
            "{kind}: it took {:?}",
            began.elapsed()
        );
        works(&check, 3, "after that").await;
        assert_eq!(fake.count("connections"), 2, "{kind}");
        assert_eq!(fake.count("SET"), 7, "{kind}: one in each run");
    }
}

#[tokio::test]
async fn a_lost_connection_is_replaced_at_once_and_nothing_is_written_twice() {
    let fake = Fake::start().await;
    let check = fake.check("redis", "write = true");
    works(&check, 2, "at first").await;
    fake.becomes(Mood::HangsUp(""));
    works(&check, 2, "after the server has closed the connection").await;
    assert_eq!(fake.count("connections"), 2);
    assert_eq!(fake.count("SET"), 4);
    fake.becomes(Mood::HangsUp("SET"));
    assert_eq!(
        says(&check).await,
        "unavailable: Unable to connect to Redis: Connection Error"
    );
    assert_eq!(fake.count("SET"), 5, "the server may have done it already");
    assert_eq!(fake.count("connections"), 3);
    fake.becomes(Mood::Answers);
    works(&check, 1, "back").await;
    assert_eq!(fake.count("connections"), 4);
}

#[tokio::test]
async fn a_silent_server_has_one_connection_in_a_run() {
    let of = |mood, pings| async move {
        let fake = Fake::start().await;
        let check = fake.check("redis", "write = true");
        works(&check, 1, "at first").await;
        fake.becomes(mood);
        for run in 1..=3 {
            let began = Instant::now();
            let said = says(&check).await;
            assert_eq!(said, "unavailable: Unable to connect to Redis: Timeout.");
            assert!(began.elapsed() < TIMEOUT, "{mood:?}");
            assert!(fake.count("connections") <= 1 + run, "{mood:?}, run {run}");
        }
        assert_eq!(fake.count("PING"), pings, "{mood:?}");
        assert_eq!(fake.count("SET"), 1, "{mood:?}");
    };
    // Of a silent server, the first run has asked on the kept connection and on the new one.
    tokio::join!(of(Mood::IsSilent, 1 + 2 + 1 + 1), of(Mood::IsFrozen, 1 + 1));
}
