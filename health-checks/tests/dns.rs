//! Tests `dns` against a fake of a name server, which counts the queries.

#![cfg(all(feature = "config", feature = "dns"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use health_checks::DnsHealthCheck;
use health_checks::config::{Config, Options};
use health_core::{CheckReport, Health};
use tokio::net::UdpSocket;

/// The names that were queried, with the number of their type.
type Queries = Arc<Mutex<Vec<(String, u8)>>>;

/// Starts a name server that has an address for each name, or NXDOMAIN.
async fn name_server(is_known: bool) -> (String, Queries) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let queries = Queries::default();
    let seen = Arc::clone(&queries);
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let packet = &packet[..length];
            let mut name = String::new();
            let mut at = 12;
            while packet[at] > 0 {
                let end = at + 1 + usize::from(packet[at]);
                name.push_str(&String::from_utf8_lossy(&packet[at + 1..end]));
                name.push('.');
                at = end;
            }
            let kind = packet[at + 2];
            seen.lock().unwrap().push((name.to_lowercase(), kind));
            let has_answer = is_known && kind == 1;
            let mut answer = packet[..at + 5].to_vec();
            answer[2..12].copy_from_slice(&[
                0x81,
                if is_known { 0x80 } else { 0x83 },
                0,
                1,
                0,
                has_answer.into(),
                0,
                0,
                0,
                0,
            ]);
            if has_answer {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (address, queries)
}

fn config(keys: &str) -> Result<Health, String> {
    let text = format!("[[checks]]\nkind = \"dns\"\ntimeout = 3\n{keys}\n");
    let config = Config::from_text("test.toml", &text, &|_| None, &Options::default());
    Ok(config.map_err(|error| error.to_string())?.build().unwrap())
}

async fn row(keys: &str) -> CheckReport {
    config(keys).unwrap().report().await.checks[0].clone()
}

#[tokio::test]
async fn a_run_of_dns_sends_one_query_for_each_record() {
    for (is_known, message) in [
        (true, "working"),
        (false, "unavailable: the name does not exist (NXDOMAIN)"),
    ] {
        let (address, queries) = name_server(is_known).await;
        let (second, others) = name_server(is_known).await;
        let servers = format!("nameservers = [\"{address}\", \"{second}\"]");
        let said = row(&format!("hostname = \"orders.internal\"\n{servers}")).await;
        assert_eq!(said.pretty_status(), message);
        let mut asked = queries.lock().unwrap().clone();
        asked.sort();
        let name = "orders.internal.".to_owned();
        assert_eq!(asked, [(name.clone(), 1), (name, 28)]);
        let typed = format!("hostname = \"orders.internal\"\nrecord = \"A\"\n{servers}");
        assert_eq!(row(&typed).await.pretty_status(), message);
        assert_eq!(queries.lock().unwrap().len(), 3);
        assert!(others.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn silent_name_servers_are_told_within_the_run_of_dns() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let (fine, _) = name_server(true).await;
    let servers = format!("nameservers = [\"{silent}\", \"{silent}\", \"{silent}\"]");
    let began = Instant::now();
    let said = row(&format!("hostname = \"orders.internal\"\n{servers}")).await;
    assert_eq!(
        said.pretty_status(),
        "unavailable: no name server answered in time"
    );
    assert!(began.elapsed() < Duration::from_secs(3));
    let second =
        format!("hostname = \"orders.internal\"\nnameservers = [\"{silent}\", \"{fine}\"]");
    assert_eq!(row(&second).await.pretty_status(), "working");
}

#[tokio::test]
async fn names_that_no_name_server_is_asked_for_are_refused() {
    for name in [
        "localhost",
        "LOCALHOST.",
        "db.localhost",
        "nowhere.invalid.",
        "invalid.",
        "abc.onion",
    ] {
        let refused = config(&format!("hostname = \"{name}\"")).unwrap_err();
        assert!(
            refused.contains("checks[1].hostname: no name server is asked for names below"),
            "{refused}"
        );
        let health = Health::builder().check(DnsHealthCheck::new(name)).build();
        let said = health.unwrap().report().await.checks[0].pretty_status();
        assert!(
            said.starts_with("unavailable: no name server is asked"),
            "{said}"
        );
    }
    for (keys, message) in [
        (
            "hostname = \"db.internal.\"\nsearch = true",
            "checks[1].search: the name ends with a dot",
        ),
        (
            "hostname = \"db\"\nsearch = true\nnameservers = [\"127.0.0.1\"]",
            "checks[1].search: the search domains are those of the system",
        ),
    ] {
        let refused = config(keys).unwrap_err();
        assert!(refused.contains(message), "{refused}");
    }
    assert!(config("hostname = \"localhost.example\"").is_ok());
}
