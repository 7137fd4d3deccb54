//! Measures whether clients that connect and send nothing are in the way of a probe.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::pause;
use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;
use super::wrk::load;
use crate::Outcome;

const SOCKETS: usize = 10_000;

pub(super) fn rows(programs: &Path, quick: bool) -> Result<[Row; 2], String> {
    println!("> {SOCKETS} silent sockets");
    more_files()?;
    let mut serve = Command::new(programs.join("health"));
    serve
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::null());
    let mut listen = Command::new(programs.join("health-bench"));
    listen.arg("listen");
    Ok([
        row("health serve", &mut serve, quick)?,
        row("health_axum::listen", &mut listen, quick)?,
    ])
}

fn row(what: &str, command: &mut Command, quick: bool) -> Result<Row, String> {
    let server = Server::start(command)?;
    // `health serve` prints a URL.
    let address = server
        .address()
        .trim_start_matches("http://")
        .split(['/', ' '])
        .next()
        .unwrap_or_default();
    let url = format!("http://{address}/ht/live/");
    let p99 = || Ok::<_, String>(load(&url, 3, 16)?.p99);
    let beside = || {
        let sockets = (0..SOCKETS).map(|_| TcpStream::connect(address));
        let sockets = sockets
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("{address}: {error}"))?;
        pause(Duration::from_secs(1)); // until the server has accepted them all
        let time = p99();
        drop(sockets);
        time
    };
    p99()?;
    let [ours, other] = take_turns(if quick { 1 } else { 6 }, beside, p99)?;
    let row = Row::new(
        format!("{what}, 10,000 silent sockets: p99 of /ht/live/"),
        Unit::Time,
        ours,
    );
    Ok(row.against(other, "none").ratio_at_most(2.0))
}

/// Lets this process open a file for each socket, and the servers that it starts as well.
fn more_files() -> Outcome {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| format!("the limit of open files: {error}"))
}
