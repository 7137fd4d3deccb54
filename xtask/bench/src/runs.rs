//! Runs checks many times, with pauses in which another process can inspect this one.

use std::io;
use std::path::Path;
use std::time::Duration;

use health_bench::{Outcome, instant};
use health_checks::config::{Config, Options};
use health_core::{Health, Selection};
use tokio::runtime::Runtime;

/// The time in which the tasks end that a run leaves behind: a DNS query keeps one until its
/// timeout, of at most 5 s.
const SETTLED: Duration = Duration::from_secs(6);

/// Runs the checks `count` times: those of a configuration, or else ten that return at once.
pub(crate) fn run(runtime: &Runtime, count: u32, config: Option<&Path>) -> Outcome {
    let health = runtime.block_on(async { health(config) })?;
    let runs = |count: u32| {
        let health = health.clone();
        runtime.block_on(runtime.spawn(async move {
            for _ in 0..count {
                let report = health.read(&Selection::default()).await?;
                if let Some(row) = report.checks.iter().find(|row| row.fails_report) {
                    return Err(format!("{}: {}", row.identifier, row.line()).into());
                }
            }
            Outcome::Ok(())
        }))?
    };
    let pause = |now: &str| {
        runtime.block_on(async { tokio::time::sleep(SETTLED).await });
        println!(
            "{now} {} {}",
            health.identifiers().count(),
            runtime.metrics().num_alive_tasks()
        );
        io::stdin().read_line(&mut String::new()).map(drop)
    };
    pause("start")?;
    runs(count / 10)?;
    pause("warm")?;
    runs(count - count / 10)?;
    pause("end")?;
    Ok(())
}

fn health(config: Option<&Path>) -> Outcome<Health> {
    let Some(config) = config else {
        return Ok(instant(10, Duration::ZERO)?);
    };
    let variables = |name: &str| std::env::var_os(name);
    Ok(Config::from_file(config, &variables, &Options::default())?.build()?)
}
