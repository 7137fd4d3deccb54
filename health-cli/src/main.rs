//! The command `health`: runs, serves and queries the health checks of a service.

use std::process::ExitCode;
use std::time::Duration;

mod args;
mod ask;
mod check;
mod completions;
mod ending;
mod exit;
mod format;
mod grpc;
mod kubernetes;
mod list;
mod load;
mod log;
mod man;
mod nagios;
mod outcome;
mod output;
mod probe;
mod progress;
mod row;
mod schema;
mod screen;
mod serve;
mod show;
mod signal;
mod sockets;
mod subject;
mod systemd;
mod table;
mod validate;
mod values;
mod view;
mod wait;
mod watch;

use clap::CommandFactory as _;

use args::{Args, Command};
use exit::Exit;
use outcome::{HEALTHY, Outcome};
use signal::interrupted;

/// The maximum duration of the shutdown after a signal.
const STUCK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return exit::usage(error, std::env::args_os()),
    };
    let exit = args.command.exit();
    args.color.write_global();
    if exit == Some(Exit::Nagios) {
        output::be_quiet(); // Icinga shows stderr before the plugin's line
    }
    log::init(args.command.log());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::end(exit, Err(error.into())),
    };
    let outcome = runtime.block_on(async {
        let outcome = run(args.command).await;
        ending::end().await;
        outcome
    });
    runtime.shutdown_background(); // a check that hangs must not delay the exit
    exit::end(exit, outcome)
}

async fn run(command: Command) -> Outcome {
    let exit = command.exit();
    let ends_early = || Err("interrupted".into());
    match command {
        Command::Check(args) => unless_interrupted(exit, check::check(&args), ends_early()).await,
        Command::Probe(args) => probe::probe(&args).await,
        Command::Wait(args) => unless_interrupted(exit, wait::wait(&args), ends_early()).await,
        Command::Watch(args) => unless_interrupted(exit, watch::watch(&args), Ok(HEALTHY)).await,
        Command::Serve(args) => serve::serve(&args).await,
        Command::List(args) => list::list(&args),
        Command::Validate(args) => validate::validate(&args),
        Command::Schema(_) => schema::print(),
        Command::Completions(args) => completions::completions(&args, &mut Args::command()),
        Command::Man(args) => man::man(&args, Args::command()),
    }
}

/// Runs a command until it ends or a signal interrupts it. An interrupted command is dropped, which
/// cleans up after it.
async fn unless_interrupted(
    exit: Option<Exit>,
    command: impl Future<Output = Outcome>,
    otherwise: Outcome,
) -> Outcome {
    let code = otherwise
        .as_ref()
        .map_or_else(|_| exit::wrong(exit), |code| *code);
    tokio::spawn(async move {
        interrupted().await;
        tokio::time::sleep(STUCK).await;
        std::process::exit(code.into()); // the command may block in a write to a pipe that is not read
    });
    tokio::select! {
        biased; // handles signals before the command begins
        () = interrupted() => otherwise,
        outcome = command => outcome,
    }
}
