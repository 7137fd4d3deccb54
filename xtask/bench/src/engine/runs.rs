//! Measures runs of many checks.

use std::time::Duration;

use health_bench::{Outcome, instant};
use health_core::{Health, Settings, check_fn};
use tokio::runtime::Runtime;

use super::respond::tasks;
use super::{Numbers, timed, within};
use crate::turns::take_turns;

const WAIT: Duration = Duration::from_millis(50);

/// Measures checks that return immediately, and checks that wait. The other side starts the same
/// number of tasks, which do the same, and waits for them.
pub(super) fn measure(runtime: &Runtime, quick: bool, numbers: &mut Numbers) -> Outcome {
    let at_once = runtime.block_on(async { instant(1_000, Duration::ZERO) })?;
    let rounds = if quick { 50 } else { 400 };
    numbers.insert(
        "at_once".into(),
        compare(runtime, rounds, &at_once, 1_000, Duration::ZERO)?,
    );
    let waiting = runtime.block_on(async { waiting(200) })?;
    let rounds = if quick { 6 } else { 40 };
    numbers.insert(
        "waiting".into(),
        compare(runtime, rounds, &waiting, 200, WAIT)?,
    );
    Ok(())
}

fn compare(
    runtime: &Runtime,
    rounds: usize,
    health: &Health,
    checks: usize,
    wait: Duration,
) -> Outcome<[f64; 2]> {
    take_turns(
        rounds,
        || {
            let health = health.clone();
            within(runtime, async move { timed(1, || health.report()).await })
        },
        || within(runtime, timed(1, move || tasks(checks, wait))),
    )
}

/// Builds a health with checks that wait and then pass.
fn waiting(checks: usize) -> Outcome<Health> {
    let check = |number| {
        let wait = || async {
            tokio::time::sleep(WAIT).await;
            Ok(())
        };
        check_fn(format!("check-{number}"), wait)
    };
    let builder = Health::builder().settings(Settings::default().ttl(Duration::ZERO));
    Ok((0..checks)
        .fold(builder, |builder, number| builder.check(check(number)))
        .build()?)
}
