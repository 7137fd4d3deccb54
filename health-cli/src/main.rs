//! `health`: the checks of a service from the command line.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod ask;
mod check;
mod list;
mod load;
mod log;
mod probe;
mod row;
mod serve;
mod subject;
mod wait;

use args::{Args, Command};

/// Healthy, unhealthy, and could not tell: wrong usage or configuration.
const HEALTHY: u8 = 0;
const UNHEALTHY: u8 = 1;
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    log::init(&args.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return wrong(&error),
    };
    let outcome = runtime.block_on(async {
        match args.command {
            Command::Check(args) => tokio::select! {
                outcome = check::check(&args) => outcome,
                () = interrupted() => Err("interrupted".into()), // and what it had made is cleaned up
            },
            Command::Probe(args) => probe::probe(&args).await,
            Command::Wait(args) => tokio::select! {
                outcome = wait::wait(&args) => outcome,
                () = interrupted() => Err("interrupted".into()),
            },
            Command::Serve(args) => serve::serve(&args).await,
            Command::List(args) => list::list(&args),
        }
    });
    runtime.shutdown_background(); // a check that is stuck must not hold up the end
    outcome.map_or_else(|error| wrong(&*error), ExitCode::from)
}

/// Ends when the process is asked to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn wrong(error: &dyn std::error::Error) -> ExitCode {
    anstream::eprintln!("error: {error}");
    ExitCode::from(WRONG)
}

/// What a command ends with: an exit code, or what is wrong.
type Outcome = Result<u8, Box<dyn std::error::Error>>;
