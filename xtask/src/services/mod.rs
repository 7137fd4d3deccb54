//! Real servers for tests. They listen on free ports of 127.0.0.1, have their data below
//! `target/services`, and outlive the command. For Linux only, because the code reads `/proc`.
//!
//! If the variable `HEALTH_SERVICES` is set, everything is below that folder: a test can have its
//! own servers, besides the shared ones.

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
mod grpc;
mod host;
mod install;
mod kafka;
mod life;
mod nats;
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

/// Start and stop the real servers for tests.
#[derive(Debug, Subcommand)]
pub(crate) enum Services {
    /// Start services and those that they need, and wait until they answer; running services are
    /// left alone
    Up {
        /// The services; all of them if none is named
        #[arg(value_parser = names())]
        names: Vec<String>,
    },
    /// Stop services; their data, ports and passwords stay for the next `up`
    Down {
        /// The services; all of them if none is named
        #[arg(value_parser = names())]
        names: Vec<String>,
    },
    /// Print the variables for the services that run: eval "$(cargo xtask services env)"
    Env {
        /// The services; all of them if none is named
        #[arg(value_parser = names())]
        names: Vec<String>,
        /// Include the services that do not run yet: their ports and passwords are chosen now
        #[arg(long)]
        planned: bool,
    },
    /// Print a line for each service: its name, its state, its process, its address
    Status {
        /// The services; all of them if none is named
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

/// Runs a subcommand.
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
            let process =
                life::running(named(&name)?).ok_or_else(|| format!("{name} does not run"))?;
            println!("{}", process.pid);
            Ok(())
        }
        Services::Exec { name, command } => exec(named(&name)?, &command),
    }
}

/// Does the work with these services up, all of them if none is named. Afterwards, stops the
/// services that it has started, even if the work fails.
pub(crate) fn during<T>(
    names: &[String],
    work: impl FnOnce(Env) -> Result<T, String>,
) -> Result<T, String> {
    let started: Vec<_> = ALL
        .iter()
        .copied()
        .filter(|service| life::running(*service).is_none())
        .collect();
    let outcome = up(names).and_then(|()| work(environment(ALL)));
    let ended = life::down(&started);
    outcome.and_then(|value| ended.map(|()| value))
}

fn up(names: &[String]) -> Outcome {
    let mut wanted: BTreeSet<_> = chosen(names)?.into_iter().map(Service::name).collect();
    for name in wanted.clone() {
        wanted.extend(named(name)?.needs());
    }
    copy_self()?;
    life::up(
        &ALL.iter()
            .copied()
            .filter(|service| wanted.contains(service.name()))
            .collect::<Vec<_>>(),
    )
}

/// Returns the services with these names, or all services if there are no names.
fn chosen(names: &[String]) -> Result<Vec<&'static dyn Service>, String> {
    if names.is_empty() {
        Ok(ALL.to_vec())
    } else {
        names.iter().map(|name| named(name)).collect()
    }
}

/// Returns the variables for the services that run, for the programs that tests run themselves, and
/// for this program, which a test calls to restart what it has killed.
fn environment(services: &[&'static dyn Service]) -> Env {
    let running = services
        .iter()
        .filter(|service| life::running(**service).is_some());
    let mut env: Env = running
        .flat_map(|service| service.env(&Home::load(service.name())))
        .collect();
    env.push(("HEALTH_XTASK", own_copy().display().to_string()));
    env.extend(install::env_of_tests());
    env
}

fn print_environment(services: &[&'static dyn Service], planned: bool) -> Outcome {
    let env = if planned {
        planned_environment(services)?
    } else {
        environment(services)
    };
    for (name, value) in env {
        println!("export {name}='{value}'");
    }
    Ok(())
}

/// Returns the variables that these services have once they run.
fn planned_environment(services: &[&'static dyn Service]) -> Result<Env, String> {
    let homes = services
        .iter()
        .map(|service| service::home(*service).map(|home| service.env(&home)));
    Ok(homes.collect::<Result<Vec<_>, _>>()?.concat())
}

fn print_status(service: &'static dyn Service) {
    let process = life::running(service);
    let (state, pid) = process.map_or(("stopped", "-".to_owned()), |process| {
        ("running", process.pid.to_string())
    });
    println!(
        "{:<13} {state} {pid:>8}  {}",
        service.name(),
        Home::load(service.name()).address()
    );
}

/// Replaces this process with the command, which then has its own exit code and signals.
fn exec(service: &'static dyn Service, command: &[String]) -> Outcome {
    let [program, args @ ..] = command else {
        return Err("exec needs a command".to_owned());
    };
    let tool_env = service.tool_env(&Home::load(service.name()));
    let error = Command::new(program)
        .args(args)
        .envs(environment(ALL))
        .envs(tool_env)
        .exec();
    Err(format!("{program}: {error}"))
}

fn own_copy() -> PathBuf {
    state::all().join("xtask")
}

/// Copies this program, because tests call it while cargo may replace the original.
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
