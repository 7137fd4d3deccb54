//! Measures a beat of a heartbeat, compared with reading the clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use health_bench::Outcome;
use health_core::{Health, Heartbeat};
use tokio::runtime::Runtime;

use super::{Numbers, within};

/// The beats of a turn, and the number of turns.
const BEATS: u32 = 1_000_000;
const TURNS: usize = 9;

pub(super) fn measure(runtime: &Runtime, numbers: &mut Numbers) -> Outcome {
    let heartbeat = Heartbeat::new("consumer", Duration::from_mins(1));
    let health = Health::builder().check(heartbeat.check()).build()?;
    heartbeat.beat(); // the first beat is a report
    let measured = within(runtime, async move {
        let mut beats = Vec::new();
        let mut clocks = Vec::new();
        for _ in 0..TURNS {
            beats.push(turn(|| heartbeat.beat()));
            clocks.push(turn(|| {
                black_box(Instant::now());
            }));
        }
        [median(beats), median(clocks)]
    })?;
    assert!(
        runtime.block_on(health.report()).healthy,
        "the beats have arrived"
    );
    numbers.insert("beat".to_owned(), measured);
    Ok(())
}

fn turn(mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..BEATS {
        call();
    }
    began.elapsed().as_secs_f64() / f64::from(BEATS)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
