//! Tests `kafka` against fakes of brokers that know version 4 of the request for metadata: what is
//! asked, how often, and of which broker.

#![cfg(all(feature = "config", feature = "kafka", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;

/// The state of the cluster: its controller, and its only topic.
#[derive(Clone)]
struct Cluster {
    controller: i32,
    topic: &'static str,
    partitions: i32,
    /// The error and the leader of each partition.
    leader: (i16, i32),
    in_sync: i32,
    login_error: i16,
}

const FINE: Cluster = Cluster {
    controller: 1,
    topic: "orders",
    partitions: 3,
    leader: (0, 1),
    in_sync: 2,
    login_error: 0,
};

/// The topics of each request for metadata. A connection without one has an empty entry.
type Seen = Arc<Mutex<Vec<Vec<String>>>>;

fn text(text: &str) -> Vec<u8> {
    let length = i16::try_from(text.len()).unwrap().to_be_bytes();
    [&length[..], text.as_bytes()].concat()
}

fn numbers(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_be_bytes()).collect()
}

/// The answer to a request for these topics.
fn metadata(cluster: &Cluster, wanted: &[String]) -> Vec<u8> {
    let mut answer = numbers(&[0, 1, 1]); // the throttle, and one broker with the number 1
    answer.extend(text("broker.invalid"));
    answer.extend(numbers(&[9092]));
    answer.extend([0xff; 4]); // no rack, and no name of the cluster
    answer.extend(numbers(&[
        cluster.controller,
        i32::try_from(wanted.len()).unwrap(),
    ]));
    for name in wanted {
        let is_known = name == cluster.topic;
        answer.extend(if is_known { [0, 0] } else { [0, 3] });
        answer.extend(text(name));
        answer.push(u8::from(name.starts_with("__")));
        let partitions = if is_known { cluster.partitions } else { 0 };
        answer.extend(numbers(&[partitions]));
        for number in 0..partitions {
            answer.extend(cluster.leader.0.to_be_bytes());
            answer.extend(numbers(&[number, cluster.leader.1, 2, 1, 2]));
            answer.extend(numbers(&[cluster.in_sync]));
            answer.extend(numbers(&(0..cluster.in_sync).collect::<Vec<_>>()));
        }
    }
    answer
}

async fn answer(mut stream: TcpStream, cluster: Cluster, seen: Seen) -> std::io::Result<()> {
    let own = {
        let mut seen = seen.lock().unwrap();
        seen.push(Vec::new());
        seen.len() - 1
    };
    loop {
        let length = stream.read_i32().await?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await?;
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let mut rest = &request[10 + usize::try_from(number(8)).unwrap()..];
        let body = match (number(0), number(2)) {
            (API_VERSIONS, 0) => [
                &[0, 0, 0, 0, 0, 1][..],
                &METADATA.to_be_bytes(),
                &[0, 0, 0, 4],
            ]
            .concat(),
            (SASL_HANDSHAKE, _) => [&cluster.login_error.to_be_bytes()[..], &[0; 4]].concat(),
            (METADATA, 4) => {
                let count = rest.read_i32().await?;
                let mut wanted = Vec::new();
                for _ in 0..count {
                    let length = usize::try_from(rest.read_i16().await?).unwrap();
                    wanted.push(String::from_utf8(rest[..length].to_vec()).unwrap());
                    rest = &rest[length..];
                }
                assert_eq!(rest, [0], "no topic is created");
                seen.lock().unwrap()[own].clone_from(&wanted);
                metadata(&cluster, &wanted)
            }
            _ => return Ok(()),
        };
        stream
            .write_i32(i32::try_from(body.len() + 4).unwrap())
            .await?;
        stream.write_all(&[&request[4..8], &body].concat()).await?;
    }
}

async fn broker(cluster: &Cluster) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Seen::default();
    let (all, cluster) = (Arc::clone(&seen), cluster.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, cluster.clone(), Arc::clone(&all)));
        }
    });
    (address, seen)
}

async fn row(brokers: &[&str], keys: &str) -> CheckReport {
    let text =
        format!("[[checks]]\nkind = \"kafka\"\ntimeout = 3\nbrokers = {brokers:?}\n{keys}\n");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default());
    let health = health.unwrap().build().unwrap();
    health.report().await.checks[0].clone()
}

#[tokio::test]
async fn a_run_of_kafka_has_one_connection_and_asks_for_its_topics() {
    let large = Cluster {
        partitions: 200,
        ..FINE
    };
    let (address, seen) = broker(&large).await;
    let one = row(&[&address], "topics = [\"orders\"]").await;
    assert_eq!(one.pretty_status(), "working");
    let none = row(&[&address], "").await;
    assert_eq!(none.pretty_status(), "working");
    let missing = row(&[&address], "topics = [\"ordres\"]").await;
    assert_eq!(
        missing.pretty_status(),
        "unavailable: there is no topic \"ordres\""
    );
    let asked = [vec!["orders".to_owned()], vec![], vec!["ordres".to_owned()]];
    assert_eq!(*seen.lock().unwrap(), asked);
}

#[tokio::test]
async fn the_state_of_a_cluster_of_kafka_is_judged_by_its_codes() {
    let is = |cluster: Cluster, keys: &'static str| async move {
        let (address, _) = broker(&cluster).await;
        let keys = format!("topics = [\"{}\"]\n{keys}", cluster.topic);
        row(&[&address], &keys).await.pretty_status()
    };
    let internal = Cluster {
        topic: "__consumer_offsets",
        ..FINE
    };
    assert_eq!(is(internal.clone(), "").await, "working");
    for topic in ["__consumer_offsets", "conversions", "Expired.certificate"] {
        let headless = Cluster {
            topic,
            leader: (5, -1),
            ..internal.clone()
        };
        let message = format!("unavailable: partition 0 of topic {topic:?} has no leader");
        assert_eq!(is(headless, "").await, message);
    }
    let lagging = Cluster { in_sync: 1, ..FINE };
    assert_eq!(is(lagging.clone(), "").await, "working");
    assert_eq!(is(FINE, "in_sync_min = 2").await, "working");
    assert_eq!(
        is(lagging, "in_sync_min = 2").await,
        "unavailable: partition 0 of topic \"orders\" has too few replicas in sync: 1, and at least 2 are wanted"
    );
    let headless = Cluster {
        controller: -1,
        ..FINE
    };
    assert_eq!(
        is(headless, "").await,
        "unavailable: the cluster has no controller"
    );
}

#[tokio::test]
async fn a_broker_that_is_silent_or_away_leaves_time_for_the_next() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute_address = mute.local_addr().unwrap().to_string();
    let (fine, _) = broker(&FINE).await;
    let began = Instant::now();
    let second = row(&[&mute_address, &fine], "topics = [\"orders\"]").await;
    assert_eq!(second.pretty_status(), "working");
    assert!(began.elapsed() < Duration::from_millis(2500));
    let third = row(&[&silent, "127.0.0.1:1", &fine], "").await;
    assert_eq!(third.pretty_status(), "working");
    let alone = row(&[&mute_address], "").await;
    assert_eq!(
        alone.pretty_status(),
        "unavailable: the server does not answer"
    );
    drop(mute);
}

#[tokio::test]
async fn a_login_that_a_broker_refuses_is_not_tried_at_the_next() {
    for (error, message, kind) in [
        (
            33,
            "the broker does not offer the mechanism of sasl",
            FailureKind::Misconfigured,
        ),
        (34, "authentication failed", FailureKind::Authentication),
    ] {
        let refusing = Cluster {
            login_error: error,
            ..FINE
        };
        let (first, _) = broker(&refusing).await;
        let (second, seen) = broker(&refusing).await;
        let keys = "sasl = \"scram-sha-512\"\nsasl_username = \"a\"\nsasl_password = \"b1b2b3\"";
        let row = row(&[&first, &second], keys).await;
        assert_eq!(row.pretty_status(), format!("unavailable: {message}"));
        assert_eq!(row.errors[0].kind, kind);
        assert!(seen.lock().unwrap().is_empty());
    }
}
