//! Runs ten checks many times, with pauses in which another process can inspect this one.

use std::io;
use std::time::Duration;

use health_bench::{Outcome, instant};
use tokio::runtime::Runtime;

/// Runs the checks `count` times.
pub(crate) fn run(runtime: &Runtime, count: u32) -> Outcome {
    let health = runtime.block_on(async { instant(10, Duration::ZERO) })?;
    let runs = |count: u32| {
        let health = health.clone();
        runtime.block_on(runtime.spawn(async move {
            for _ in 0..count {
                health.report().await;
            }
        }))
    };
    pause("start")?;
    runs(count / 10)?;
    pause("warm")?;
    runs(count - count / 10)?;
    pause("end")
}

fn pause(now: &str) -> Outcome {
    println!("{now}");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}
