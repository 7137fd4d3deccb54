//! Measures the health of a PostgreSQL server: ours, a handler written by hand, and the crate axum-health.

use std::path::Path;
use std::process::Command;

use super::facts::output;
use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;
use super::wrk::{load, requests_per_second};
use crate::services;

/// The peers by their names in `health-bench`, with their names in the table.
const PEERS: [(&str, &str); 2] = [("hand-written", "a handler written by hand"), ("axum-health", "axum-health 0.2.1")];
const OURS: &str = "health-axum";
const SECONDS: u32 = 5;
const ROUNDS: usize = 6;

pub(super) fn rows(programs: &Path) -> Result<Vec<Row>, String> {
    services::during(&["postgres".to_owned()], |env| {
        let url = env.into_iter().find_map(|(name, value)| (name == "POSTGRES_URL").then_some(value));
        measure(programs, &url.ok_or("PostgreSQL has no URL")?)
    })
}

fn measure(programs: &Path, url: &str) -> Result<Vec<Row>, String> {
    let program = programs.join("health-bench");
    let server = |peer: &str| Server::start(Command::new(&program).args(["peer", peer, url]));
    let ours = server(OURS)?;
    let transactions = |server: &Server| transactions(&program, server, url);
    let own = transactions(&ours)?;
    let mut rows = vec![];
    for (peer, what) in PEERS {
        println!("> {what}");
        let other = server(peer)?;
        let rate = |server: &Server| requests_per_second(&server.url(), SECONDS);
        let (_warm, _too) = (rate(&ours)?, rate(&other)?);
        let [ours, others] = take_turns(ROUNDS, || rate(&ours), || rate(&other))?;
        let row = Row::new("a check of PostgreSQL: responses", Unit::PerSecond, ours);
        rows.push(row.against(others, what));
        let row = Row::new("a check of PostgreSQL: transactions on the server", Unit::PerSecond, own);
        rows.push(row.against(transactions(&other)?, what).at_most(2.0));
    }
    Ok(rows)
}

/// Returns the transactions per second that PostgreSQL commits while the health is read at full speed.
fn transactions(program: &Path, server: &Server, url: &str) -> Result<f64, String> {
    let reads = server.url();
    std::thread::scope(|scope| {
        let readers = scope.spawn(|| load(&reads, SECONDS + 3, 16));
        super::pause(std::time::Duration::from_secs(1));
        let counted = output(program, &["transactions", url, &SECONDS.to_string()]);
        readers.join().unwrap_or_else(|_| Err("wrk".into()))?;
        let counted = counted?;
        counted.parse().map_err(|error| format!("health-bench printed {counted}: {error}"))
    })
}
