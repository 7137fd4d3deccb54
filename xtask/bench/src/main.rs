//! `health-bench`: the servers and the engine that `cargo xtask bench` measures.

#![allow(clippy::print_stdout, reason = "it is a command")]

use std::path::PathBuf;
use std::thread;

use clap::{Parser, Subcommand};
use health_bench::Outcome;
use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};

mod calls;
mod engine;
mod fleet;
mod incident;
mod peers;
mod runs;
mod serve;
mod turns;

/// The allocator of both sides of every row. With the allocator of glibc, Rocket's workers wait for
/// each other: hardly ever in one process, on each request in another. The ratio of two processes
/// then varied from 0.8 to 1.0.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The servers and the engine that `cargo xtask bench` measures.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve one response at /ht/ on a free port until killed, and print the address
    Serve {
        /// The web framework
        framework: serve::Framework,
        /// The framework's own handler, or the health checks
        side: serve::Side,
    },
    /// Measure the engine in this process; prints pairs of numbers as JSON
    Engine {
        /// Measure for a shorter time, to try it out
        #[arg(long)]
        quick: bool,
    },
    /// Call `Check` of the gRPC server at this address as fast as it answers, and print the number
    /// of answers
    Calls {
        /// The host and the port
        address: String,
        /// The duration in seconds
        seconds: u64,
    },
    /// Measure a fleet of replicas in this process; prints its numbers as JSON
    Fleet {
        /// The number of replicas
        replicas: u32,
        /// The duration of the measurement without an outage, in seconds
        seconds: u64,
    },
    /// Serve twenty checks with axum at /ht/ on a free port until killed, and print the address
    Incident {
        /// The state of the checks
        scene: incident::Scene,
    },
    /// Serve a trivial check by `health_axum::listen` on a free port until killed, and print the
    /// address
    Listen,
    /// Serve the health of one PostgreSQL server at /ht/ on a free port until killed, and print the
    /// address
    Peer {
        /// The code that serves it
        peer: peers::Peer,
        /// The URL of the server
        url: String,
    },
    /// Print the number of transactions that a PostgreSQL server has committed in a database
    Transactions {
        /// The URL of the database
        url: String,
    },
    /// Run checks many times; at the start, after a tenth and at the end, print the number of
    /// checks and tasks, and wait for a line
    Runs {
        /// The number of runs
        count: u32,
        /// A configuration of checks; without it, ten checks that return at once
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

fn main() -> Outcome {
    match Args::parse().command {
        Command::Serve { framework, side } => serve::run(framework, side),
        Command::Engine { quick } => engine::run(&runtime()?, quick),
        Command::Calls { address, seconds } => runtime()?.block_on(calls::run(address, seconds)),
        Command::Fleet { replicas, seconds } => fleet::run(&runtime()?, replicas, seconds),
        Command::Incident { scene } => runtime()?.block_on(incident::serve(scene)),
        Command::Listen => serve::listen(&runtime()?),
        Command::Peer { peer, url } => runtime()?.block_on(peers::serve(peer, &url)),
        Command::Transactions { url } => runtime()?.block_on(peers::transactions(&url)),
        Command::Runs { count, config } => runs::run(&runtime()?, count, config.as_deref()),
    }
}

/// Returns the number of workers of every server and every measurement: one per core.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
}
