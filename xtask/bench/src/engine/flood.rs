//! Measures how often a check runs while many callers read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use health_bench::{Outcome, request};
use health_core::{Endpoint, Health, check_fn};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};

use super::{Numbers, within};

const READERS: u32 = 10_000;

pub(super) fn measure(runtime: &Runtime, quick: bool, numbers: &mut Numbers) -> Outcome {
    numbers.insert("herd".into(), within(runtime, herd())??);
    let seconds = if quick { 3 } else { 60 };
    let [probes, answers, elapsed] = within(runtime, load(Duration::from_secs(seconds)))??;
    numbers.insert("load".into(), [probes, elapsed]);
    numbers.insert("load_answers".into(), [answers, 0.0]);
    Ok(())
}

/// Lets many readers read a check that has never run, at the same time. Returns the number of its
/// runs and the number of readers.
async fn herd() -> Outcome<[f64; 2]> {
    let (endpoint, probes) = counted(Duration::from_millis(50))?;
    let asked: Vec<_> = (0..READERS)
        .map(|_| endpoint.respond(&request(None)))
        .collect();
    let mut readers = JoinSet::new();
    for answer in asked {
        readers.spawn(answer);
    }
    let answers = readers.join_all().await;
    if answers.iter().any(|answer| answer.status() != 200) {
        return Err("a reader was not told that the check works".into());
    }
    Ok([probes.load(Ordering::Relaxed).into(), READERS.into()])
}

/// Lets readers send one request after another, without a pause. Returns the number of the check's
/// runs, the number of responses and the elapsed seconds.
async fn load(time: Duration) -> Outcome<[f64; 3]> {
    let (endpoint, probes) = counted(Duration::ZERO)?;
    let begin = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..64 {
        let endpoint = endpoint.clone();
        readers.spawn(async move {
            let request = request(None);
            let mut answers = 0_u32;
            while begin.elapsed() < time {
                for _ in 0..100 {
                    answers += u32::from(endpoint.respond(&request).await.status() == 200);
                }
                yield_now().await;
            }
            answers
        });
    }
    let answers: f64 = readers.join_all().await.into_iter().map(f64::from).sum();
    Ok([
        probes.load(Ordering::Relaxed).into(),
        answers,
        begin.elapsed().as_secs_f64(),
    ])
}

/// Returns an endpoint with one check that counts its runs, and the counter. The check has the
/// default ttl.
fn counted(wait: Duration) -> Outcome<(Endpoint, Arc<AtomicU32>)> {
    let probes = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&probes);
    let check = check_fn("counted", move || {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(wait).await;
            Ok(())
        }
    });
    Ok((
        Endpoint::new("/ht/", Health::builder().check(check).build()?),
        probes,
    ))
}
