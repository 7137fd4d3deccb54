//! Measures the health of a PostgreSQL server: ours, a handler written by hand, and the crate
//! axum-health.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::facts::output;
use super::pause;
use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;
use super::wrk::requests_per_second;
use crate::services;

/// The peers by their names in `health-bench`, with their names in the table.
const PEERS: [(&str, &str); 2] = [
    ("hand-written", "a handler written by hand"),
    ("axum-health", "axum-health 0.2.1"),
];
const OURS: &str = "health-axum";
const SECONDS: u32 = 4;
/// The time in which transactions are counted, in seconds.
const COUNTED: u32 = 20;
const ROUNDS: usize = 4;

/// The time in which a session of PostgreSQL that has lost its client ends, and adds its
/// transactions to those of the database.
const END: Duration = Duration::from_secs(2);

pub(super) fn rows(programs: &Path) -> Result<Vec<Row>, String> {
    services::during(&["postgres".to_owned()], |env| {
        let url = env
            .into_iter()
            .find_map(|(name, value)| (name == "POSTGRES_URL").then_some(value));
        measure(programs, &url.ok_or("PostgreSQL has no URL")?)
    })
}

fn measure(programs: &Path, url: &str) -> Result<Vec<Row>, String> {
    let program = programs.join("health-bench");
    let server = |peer: &str| Server::start(Command::new(&program).args(["peer", peer, url]));
    let ours = server(OURS)?;
    let mut rows = vec![];
    for (peer, what) in PEERS {
        println!("> {what}");
        let other = server(peer)?;
        let rate = |server: &Server| requests_per_second(&server.url(), SECONDS);
        let _warm = rate(&ours)?;
        let _too = rate(&other)?;
        let [ours, others] = take_turns(ROUNDS, || rate(&ours), || rate(&other))?;
        let row = Row::new("a check of PostgreSQL: responses", Unit::PerSecond, ours);
        rows.push(row.against(others, what));
    }
    drop(ours);
    // Not against axum-health: it sends a ping, which is no transaction.
    let (peer, what) = PEERS[0];
    let [ours, other] = [OURS, peer].map(|peer| transactions(&program, server(peer)?, url));
    let row = Row::new(
        "a check of PostgreSQL: transactions on the server",
        Unit::PerSecond,
        ours?,
    );
    rows.push(row.against(other?, what).at_most(1.1));
    Ok(rows)
}

/// Returns the transactions that PostgreSQL commits per second while the health is read at full
/// speed.
fn transactions(program: &Path, server: Server, url: &str) -> Result<f64, String> {
    let committed = || {
        pause(END);
        let printed = output(program, &["transactions", url])?;
        printed
            .parse::<f64>()
            .map_err(|error| format!("health-bench printed {printed}: {error}"))
    };
    let before = committed()?; // the server has opened its connection; what it does from now on is counted when that ends
    requests_per_second(&server.url(), COUNTED)?;
    drop(server);
    Ok((committed()? - before) / f64::from(COUNTED))
}
