//! `health-bench`: what `cargo xtask bench` measures.

#![allow(clippy::print_stdout, reason = "it is a command")]

use std::thread;

use clap::{Parser, Subcommand};
use health_bench::Outcome;
use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};

mod engine;
mod runs;
mod serve;
mod turns;

/// For both sides of every row. With glibc's, Rocket's workers wait for each other's memory, in one process hardly ever and
/// in another for each request: the ratio of two processes was anything from 0.8 to 1.0.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What `cargo xtask bench` measures.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one answer at /ht/ on a free port, which is printed, until killed
    Serve {
        /// The web framework
        framework: serve::Framework,
        /// The framework's own handler, or the health checks
        side: serve::Side,
    },
    /// Measure the engine in this process; prints pairs of numbers as JSON
    Engine {
        /// Shorter, for trying out
        #[arg(long)]
        quick: bool,
    },
    /// Run ten checks this often; before, after a tenth and at the end it says so and waits for a line
    Runs {
        /// How many runs
        count: u32,
    },
}

fn main() -> Outcome {
    match Args::parse().command {
        Command::Serve { framework, side } => serve::run(framework, side),
        Command::Engine { quick } => engine::run(&runtime()?, quick),
        Command::Runs { count } => runs::run(&runtime()?, count),
    }
}

/// As many workers as there are cores, for every server and every measurement.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(workers()).enable_all().build()
}
