//! `health-bench-allocations`: measures what a response with a fresh verdict allocates, and what a
//! copy of that response allocates. Prints the number and the bytes of the allocations as JSON,
//! each as `[answer, copy]`.

#![allow(clippy::print_stdout, reason = "it is a command")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;

use health_bench::{ACCEPTS, Outcome, fresh, request};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The number of responses per measurement. What is allocated only once disappears in the rounding.
const ANSWERS: usize = 10_000;

fn main() -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let counted = runtime.block_on(async {
        let endpoint = fresh()?;
        let mut counted = BTreeMap::new();
        for (name, accept) in ACCEPTS {
            let request = request(accept);
            let kept = endpoint.respond(&request).await;
            let region = Region::new(ALLOCATOR);
            for _ in 0..ANSWERS {
                black_box(endpoint.respond(&request).await);
            }
            let answers = region.change();
            let region = Region::new(ALLOCATOR);
            for _ in 0..ANSWERS {
                black_box(kept.clone());
            }
            let copies = region.change();
            let both =
                |count: fn(&Stats) -> usize| [count(&answers) / ANSWERS, count(&copies) / ANSWERS];
            let number = both(|stats| stats.allocations + stats.reallocations);
            counted.insert(
                name,
                json!({ "number": number, "bytes": both(|stats| stats.bytes_allocated) }),
            );
        }
        Outcome::Ok(counted)
    })?;
    println!("{}", json!(counted));
    Ok(())
}
