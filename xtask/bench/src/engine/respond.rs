//! Measures a single response: with a fresh verdict, and with a run of the checks.

use std::time::Duration;

use health_bench::{ACCEPTS, Outcome, fresh, instant, request};
use health_core::Endpoint;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Numbers, timed, within};
use crate::turns::take_turns;

pub(super) fn measure(runtime: &Runtime, quick: bool, numbers: &mut Numbers) -> Outcome {
    let rounds = if quick { 50 } else { 400 };
    for (name, accept) in ACCEPTS {
        numbers.insert(
            format!("respond_{name}"),
            fresh_answer(runtime, rounds, accept)?,
        );
    }
    for (name, query) in [
        ("only", "/ht/?only=check-0"),
        ("exclude", "/ht/?exclude=check-0"),
    ] {
        numbers.insert(
            format!("respond_{name}"),
            chosen_answer(runtime, rounds, query)?,
        );
    }
    for checks in [1, 8] {
        numbers.insert(
            format!("cold_{checks}"),
            cold_answer(runtime, rounds, checks)?,
        );
    }
    Ok(())
}

/// Measures a response with a fresh verdict. The other side copies a finished response.
fn fresh_answer(
    runtime: &Runtime,
    rounds: usize,
    accept: Option<&'static str>,
) -> Outcome<[f64; 2]> {
    const ANSWERS: u32 = 5_000;
    let endpoint = fresh()?;
    let kept = runtime.block_on(endpoint.respond(&request(accept)));
    take_turns(
        rounds,
        || {
            let endpoint = endpoint.clone();
            let request = request(accept);
            within(runtime, async move {
                timed(ANSWERS, || endpoint.respond(&request)).await
            })
        },
        || {
            let kept = kept.clone();
            within(runtime, async move {
                timed(ANSWERS, || std::future::ready(kept.clone())).await
            })
        },
    )
}

/// Measures a response with some of twenty checks. The other side is a response with all of them.
fn chosen_answer(runtime: &Runtime, rounds: usize, query: &'static str) -> Outcome<[f64; 2]> {
    const ANSWERS: u32 = 5_000;
    let health = runtime.block_on(async { instant(20, Duration::from_hours(24)) })?;
    let endpoint = Endpoint::new("/ht/", health);
    let side = |uri: &'static str| {
        let endpoint = endpoint.clone();
        let mut request = request(Some("application/json"));
        *request.uri_mut() = http::Uri::from_static(uri);
        within(runtime, async move {
            timed(ANSWERS, || endpoint.respond(&request)).await
        })
    };
    take_turns(rounds, || side(query), || side("/ht/"))
}

/// Measures a response that runs the checks. The other side starts the same number of empty tasks
/// and waits for them.
fn cold_answer(runtime: &Runtime, rounds: usize, checks: usize) -> Outcome<[f64; 2]> {
    const ANSWERS: u32 = 100;
    let health = runtime.block_on(async { instant(checks, Duration::ZERO) })?;
    let endpoint = Endpoint::new("/ht/", health);
    take_turns(
        rounds,
        || {
            let endpoint = endpoint.clone();
            let request = request(Some("application/json"));
            within(runtime, async move {
                timed(ANSWERS, || endpoint.respond(&request)).await
            })
        },
        || {
            within(
                runtime,
                timed(ANSWERS, move || tasks(checks, Duration::ZERO)),
            )
        },
    )
}

/// Spawns tasks that do nothing but wait, and joins them.
pub(super) async fn tasks(count: usize, wait: Duration) {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}
