//! Measures an incident: one of twenty checks hangs, and each of 200 readers waits for it as long
//! as the budget allows.

use std::path::Path;
use std::process::Command;

use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;
use super::wrk::load;

const READERS: u32 = 200;
/// The budget of the health in `health-bench incident`, in seconds.
const BUDGET: f64 = 0.1;

pub(super) fn rows(programs: &Path, quick: bool) -> Result<[Row; 3], String> {
    println!("> an incident");
    let server = |scene: &str| {
        Server::start(Command::new(programs.join("health-bench")).args(["incident", scene]))
    };
    let [working, hanging, sleeping] =
        [server("working")?, server("hanging")?, server("sleeping")?];
    let (rounds, seconds) = if quick { (1, 2) } else { (6, 5) };
    for server in [&working, &hanging, &sleeping] {
        cpu_of_an_answer(server, 1)?;
    }
    let mut slowest = 0.0_f64;
    let mut waits = || {
        let [cpu, time] = cpu_of_an_answer(&hanging, seconds)?;
        slowest = slowest.max(time);
        Ok::<_, String>(cpu)
    };
    let cpu = |server: &Server| cpu_of_an_answer(server, seconds).map(|[cpu, _]| cpu);
    let against_cached = take_turns(rounds, &mut waits, || cpu(&working))?;
    let against_sleep = take_turns(rounds, &mut waits, || cpu(&sleeping))?;
    let row = |[ours, other]: [f64; 2], what| {
        Row::new(
            "1 of 20 checks hangs, 200 readers: CPU time of a response",
            Unit::Time,
            ours,
        )
        .against(other, what)
    };
    Ok([
        row(against_cached, "a cached response").ratio_at_most(1.5),
        row(against_sleep, "a handler that sleeps as long"),
        Row::new(
            "1 of 20 checks hangs, 200 readers: the slowest response",
            Unit::Time,
            slowest,
        )
        .against(BUDGET, "the budget")
        .at_most(BUDGET + 0.05),
    ])
}

/// Returns the CPU time of an answer, and the time of the slowest one, in seconds.
fn cpu_of_an_answer(server: &Server, seconds: u32) -> Result<[f64; 2], String> {
    let before = server.cpu()?;
    let answers = load(&server.url(), seconds, READERS)?;
    Ok([(server.cpu()? - before) / answers.number, answers.slowest])
}
