//! Measures the engine in this process. Everything runs as a task of a runtime with several
//! threads, as a server's requests do.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use health_bench::Outcome;
use serde_json::json;
use tokio::runtime::Runtime;

mod beat;
mod flood;
mod memory;
mod respond;
mod runs;

/// The measurements by name, each with our number and that of the other side: seconds, bytes or a
/// count.
type Numbers = BTreeMap<String, [f64; 2]>;

/// Measures everything and prints it.
pub(crate) fn run(runtime: &Runtime, quick: bool) -> Outcome {
    let mut numbers = Numbers::new();
    memory::measure(runtime, &mut numbers)?; // first, while nothing has used the memory
    beat::measure(runtime, &mut numbers)?;
    respond::measure(runtime, quick, &mut numbers)?;
    runs::measure(runtime, quick, &mut numbers)?;
    flood::measure(runtime, quick, &mut numbers)?;
    println!("{}", json!(numbers));
    Ok(())
}

/// Runs the future on one of the runtime's worker threads.
fn within<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> Outcome<T> {
    Ok(runtime.block_on(runtime.spawn(work))?)
}

/// Calls the closure `count` times, and returns the mean duration of a call in seconds.
async fn timed<F: Future>(count: u32, mut run: impl FnMut() -> F) -> f64 {
    let begin = Instant::now();
    for _ in 0..count {
        black_box(run().await);
    }
    begin.elapsed().as_secs_f64() / f64::from(count)
}
