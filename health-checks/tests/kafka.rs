//! Tests `kafka` against a fake of one exchange: a cluster of which one broker is down, so that a
//! partition has no leader, and a broker that requires a login. The broker of the other tests has
//! one replica of each partition, and does not accept a login from a client that first requests the
//! versions of the protocol, as clients do.

#![cfg(all(feature = "config", feature = "kafka", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::net::SocketAddr;

use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const SASL_AUTHENTICATION_FAILED: i16 = 58;
const LEADER_NOT_AVAILABLE: i16 = 5;
const UNSUPPORTED_VERSION: i16 = 35;

fn text(text: &str) -> Vec<u8> {
    [
        &i16::try_from(text.len()).unwrap().to_be_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// A partition: its error, its number, its leader, no replicas, and no replicas in sync.
fn partition(error: i16, number: i32, leader: i32) -> Vec<u8> {
    [
        &error.to_be_bytes()[..],
        &number.to_be_bytes(),
        &leader.to_be_bytes(),
        &[0; 8],
    ]
    .concat()
}

/// The metadata (version 1) of a cluster with this one broker and the topic `orders`, whose
/// partition 1 has this leader.
fn metadata(own: SocketAddr, error: i16, leader: i32) -> Vec<u8> {
    let mut answer = 1_i32.to_be_bytes().to_vec();
    answer.extend(
        [
            &7_i32.to_be_bytes()[..],
            &text("127.0.0.1"),
            &i32::from(own.port()).to_be_bytes(),
            &(-1_i16).to_be_bytes(),
        ]
        .concat(),
    );
    answer.extend(7_i32.to_be_bytes()); // the controller
    answer.extend(1_i32.to_be_bytes());
    answer.extend(
        [
            &0_i16.to_be_bytes()[..],
            &text("orders"),
            &[0],
            &2_i32.to_be_bytes(),
        ]
        .concat(),
    );
    answer.extend([partition(0, 0, 7), partition(error, 1, leader)].concat());
    answer
}

/// Answers requests. With `login`, only after a login with this name and password.
async fn answer(
    mut stream: TcpStream,
    own: SocketAddr,
    (error, leader): (i16, i32),
    login: Option<&str>,
) -> std::io::Result<()> {
    let mut is_known = login.is_none();
    loop {
        let length = stream.read_i32().await?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await?;
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let body = match (number(0), number(2)) {
            (API_VERSIONS, 0) => {
                let range = |api: i16, max: i16| {
                    [api.to_be_bytes(), 0_i16.to_be_bytes(), max.to_be_bytes()].concat()
                };
                let sasl = [range(SASL_HANDSHAKE, 1), range(SASL_AUTHENTICATE, 0)].concat();
                let plain = [range(METADATA, 1), range(API_VERSIONS, 0)].concat();
                [
                    &0_i16.to_be_bytes()[..],
                    &4_i32.to_be_bytes(),
                    &plain,
                    &sasl,
                ]
                .concat()
            }
            (SASL_HANDSHAKE, _) => [
                &0_i16.to_be_bytes()[..],
                &1_i32.to_be_bytes(),
                &text("PLAIN"),
            ]
            .concat(),
            (SASL_AUTHENTICATE, 0) => {
                let wanted = login.unwrap_or_default().as_bytes();
                is_known = request.windows(wanted.len()).any(|part| part == wanted);
                let error = if is_known {
                    0
                } else {
                    SASL_AUTHENTICATION_FAILED
                };
                [
                    &error.to_be_bytes()[..],
                    &(-1_i16).to_be_bytes(),
                    &0_i32.to_be_bytes(),
                ]
                .concat()
            }

            (API_VERSIONS, _) => {
                [&UNSUPPORTED_VERSION.to_be_bytes()[..], &0_i32.to_be_bytes()].concat()
            }
            _ if !is_known => return Ok(()),
            (METADATA, 1) => metadata(own, error, leader),
            other => panic!("an unexpected request: {other:?}"),
        };
        let correlation = &request[4..8];
        stream
            .write_i32(i32::try_from(body.len() + 4).unwrap())
            .await?;
        stream.write_all(&[correlation, &body].concat()).await?;
    }
}

async fn row(error: i16, leader: i32, topic: &str) -> CheckReport {
    row_of(error, leader, None, &format!("topics = [\"{topic}\"]")).await
}

async fn row_of(error: i16, leader: i32, login: Option<&'static str>, keys: &str) -> CheckReport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, own, (error, leader), login));
        }
    });
    let text =
        format!("[[checks]]\nkind = \"kafka\"\ntimeout = 2\nbrokers = [\"{own}\"]\n{keys}\n");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    health.report().await.checks[0].clone()
}

#[tokio::test]
async fn a_partition_without_a_leader_is_told() {
    let fine = row(0, 7, "orders").await;
    assert_eq!(fine.pretty_status(), "working");
    for (error, leader) in [(LEADER_NOT_AVAILABLE, -1), (0, -1)] {
        let lacking = row(error, leader, "orders").await;
        assert_eq!(
            lacking.pretty_status(),
            "unavailable: partition 1 of topic \"orders\" has no leader"
        );
        assert_eq!(lacking.errors[0].kind, FailureKind::Lost);
    }
    let missing = row(0, 7, "invoices").await;
    assert_eq!(
        missing.pretty_status(),
        "unavailable: there is no topic \"invoices\""
    );
    assert_eq!(missing.errors[0].kind, FailureKind::NotFound);
}

#[tokio::test]
async fn a_login_is_sent_and_a_wrong_one_is_told() {
    let login = Some("\0health\0s3cret");
    let keys = |password: &str| {
        format!("sasl = \"plain\"\nsasl_username = \"health\"\nsasl_password = \"{password}\"")
    };
    assert_eq!(
        row_of(0, 7, login, &keys("s3cret")).await.pretty_status(),
        "working"
    );
    let wrong = row_of(0, 7, login, &keys("wrong")).await;
    assert_eq!(wrong.pretty_status(), "unavailable: authentication failed");
    assert_eq!(wrong.errors[0].kind, FailureKind::Authentication);
    let without = row_of(0, 7, login, "").await;
    assert_eq!(without.pretty_status(), "unavailable: connection lost");
}

#[test]
fn what_can_not_be_is_refused_by_name() {
    for (keys, message) in [
        (
            "brokers = []",
            "checks[1].brokers: expected hosts with their ports",
        ),
        (
            "brokers = [\"kafka://a\"]",
            "checks[1].brokers: expected hosts with their ports",
        ),
        (
            "brokers = [\"a:1\"]\nca_file = \"/x\"",
            "checks[1].ca_file: the URL does not use TLS",
        ),
        ("brokers = [\"a:1\"]\nsasl = \"gssapi\"", "checks[1].sasl"),
        (
            "brokers = [\"a:1\"]\nsasl = \"plain\"\nsasl_username = \"b\"",
            "checks[1].sasl_password: is missing",
        ),
        (
            "brokers = [\"a:1\"]\nsasl_username = \"b\"",
            "checks[1].sasl: expected a mechanism for the user",
        ),
    ] {
        let text = format!("[[checks]]\nkind = \"kafka\"\n{keys}");
        let error = Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{keys}: {error}");
    }
}
