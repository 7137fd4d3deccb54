//! Real servers for tests: started on free ports of 127.0.0.1, with their data below `target/services`, as processes
//! that outlive the command. For Linux: it reads `/proc`.
//!
//! With `HEALTH_SERVICES` in the environment all of it is below that folder: servers of a test's own, beside the others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use crate::Outcome;
use catalogue::{ALL, named};
use host::Env;
use service::Service;
use state::Home;

mod account;
mod brokers;
mod catalogue;
mod celery;
mod cluster;
mod databases;
mod dns;
mod host;
mod install;
mod life;
mod pgbouncer;
mod probe;
mod process;
mod rabbitmq;
mod s3;
mod sentinel;
mod service;
mod smtp;
mod state;
mod tls;
mod venv;

/// Real servers for tests.
#[derive(Debug, Subcommand)]
pub(crate) enum Services {
    /// Start them, with what they need, and wait until they answer; what runs is left alone
    Up {
        /// Which services: all without a name
        #[arg(value_parser = names())]
        names: Vec<String>,
    },
    /// End them; their data, ports and passwords stay for the next `up`
    Down {
        /// Which services: all without a name
        #[arg(value_parser = names())]
        names: Vec<String>,
    },
    /// Print how to reach those that run: eval "$(cargo xtask services env)"
    Env {
        /// Which services: all without a name
        #[arg(value_parser = names())]
        names: Vec<String>,
        /// Also those that do not run yet: their ports and passwords are chosen now
        #[arg(long)]
        planned: bool,
    },
    /// Print a line for each: its name, whether it runs, its process, its address
    Status {
        /// Which services: all without a name
        #[arg(value_parser = names())]
        names: Vec<String>,
    },
    /// Print the id of the server's process, to freeze it or to kill it
    Pid {
        /// The service
        #[arg(value_parser = names())]
        name: String,
    },
    /// Run a command with the environment that the server's own tools need
    Exec {
        /// The service
        #[arg(value_parser = names())]
        name: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|service| service.name()))
}

/// Does what the command line asks for.
pub(crate) fn run(command: Services) -> Outcome {
    match command {
        Services::Up { names } => up(&names),
        Services::Down { names } => life::down(&chosen(&names)?),
        Services::Env { names, planned } => print_environment(&chosen(&names)?, planned),
        Services::Status { names } => {
            chosen(&names)?.into_iter().for_each(print_status);
            Ok(())
        }
        Services::Pid { name } => {
            let process = life::running(named(&name)?).ok_or_else(|| format!("{name} does not run"))?;
            println!("{}", process.pid);
            Ok(())
        }
        Services::Exec { name, command } => exec(named(&name)?, &command),
    }
}

/// Runs tests with all services: those that this started end with it, also when the tests fail.
pub(crate) fn during(tests: impl FnOnce(Env) -> Outcome) -> Outcome {
    let started: Vec<_> = ALL.iter().copied().filter(|service| life::running(*service).is_none()).collect();
    let outcome = up(&[]).and_then(|()| tests(environment(ALL)));
    let ended = life::down(&started);
    outcome.and(ended)
}

fn up(names: &[String]) -> Outcome {
    let mut wanted: BTreeSet<_> = chosen(names)?.into_iter().map(Service::name).collect();
    for name in wanted.clone() {
        wanted.extend(named(name)?.needs());
    }
    copy_self()?;
    life::up(&ALL.iter().copied().filter(|service| wanted.contains(service.name())).collect::<Vec<_>>())
}

/// The services of these names, all without a name.
fn chosen(names: &[String]) -> Result<Vec<&'static dyn Service>, String> {
    if names.is_empty() { Ok(ALL.to_vec()) } else { names.iter().map(|name| named(name)).collect() }
}

/// How to reach those of the services that run, what tests run by themselves, and this program: a test calls it for what it
/// killed.
fn environment(services: &[&'static dyn Service]) -> Env {
    let running = services.iter().filter(|service| life::running(**service).is_some());
    let mut env: Env = running.flat_map(|service| service.env(&Home::load(service.name()))).collect();
    env.push(("HEALTH_XTASK", own_copy().display().to_string()));
    env.extend(install::env_of_tests());
    env
}

fn print_environment(services: &[&'static dyn Service], planned: bool) -> Outcome {
    let env = if planned { planned_environment(services)? } else { environment(services) };
    for (name, value) in env {
        println!("export {name}='{value}'");
    }
    Ok(())
}

/// How to reach these services once they run.
fn planned_environment(services: &[&'static dyn Service]) -> Result<Env, String> {
    let homes = services.iter().map(|service| service::home(*service).map(|home| service.env(&home)));
    Ok(homes.collect::<Result<Vec<_>, _>>()?.concat())
}

fn print_status(service: &'static dyn Service) {
    let process = life::running(service);
    let (state, pid) = process.map_or(("stopped", "-".to_owned()), |process| ("running", process.pid.to_string()));
    println!("{:<13} {state} {pid:>8}  {}", service.name(), Home::load(service.name()).address());
}

/// Becomes the command: its exit code and its signals are its own.
fn exec(service: &'static dyn Service, command: &[String]) -> Outcome {
    let [program, args @ ..] = command else { return Err("exec needs a command".to_owned()) };
    let tool_env = service.tool_env(&Home::load(service.name()));
    let error = Command::new(program).args(args).envs(environment(ALL)).envs(tool_env).exec();
    Err(format!("{program}: {error}"))
}

fn own_copy() -> PathBuf {
    state::all().join("xtask")
}

/// Tests call this program while cargo may replace it.
fn copy_self() -> Outcome {
    let copy = || {
        let own = std::env::current_exe()?;
        if own != own_copy() {
            fs::create_dir_all(state::all())?;
            let new = own_copy().with_extension(std::process::id().to_string());
            fs::copy(own, &new)?;
            fs::rename(new, own_copy())?;
        }
        Ok(())
    };
    copy().map_err(|error: std::io::Error| format!("{}: {error}", own_copy().display()))
}
