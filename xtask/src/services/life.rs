//! Starts and stops services.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::account::Account;
use super::catalogue::ALL;
use super::install;
use super::process::{self, Process};
use super::service::{self, Service};
use super::state::{self, Home};
use crate::Outcome;

/// The maximum time until a server answers. A machine that compiles at the same time is slow.
const START: Duration = Duration::from_secs(90);

/// The maximum time for a server to exit before it is killed.
const STOP: Duration = Duration::from_secs(8);

type Services<'a> = &'a [&'static dyn Service];

/// Installs and starts services. Those that need others start after them; all others start at the
/// same time.
pub(super) fn up(services: Services<'_>) -> Outcome {
    install_packages(services)?;
    if are_all(services) {
        install::for_tests()?;
    }
    let first: Vec<_> = services
        .iter()
        .copied()
        .filter(|service| service.needs().is_empty())
        .collect();
    each(&first, &|service| {
        up_one(service)?;
        let then = services
            .iter()
            .copied()
            .filter(|other| other.needs().contains(&service.name()));
        each(&then.collect::<Vec<_>>(), &up_one)
    })
}

/// Stops services. Those that need others stop before them.
pub(super) fn down(services: Services<'_>) -> Outcome {
    // A worker does not exit while it waits for a broker that is frozen.
    services
        .iter()
        .filter_map(|service| running(*service))
        .for_each(Process::resume);
    let (first, then): (Vec<_>, Vec<_>) = services
        .iter()
        .copied()
        .partition(|service| !service.needs().is_empty());
    each(&first, &down_one).and(each(&then, &down_one))
}

/// Returns the server's process if it runs. A frozen process counts as running.
pub(super) fn running(service: &dyn Service) -> Option<Process> {
    Process::recorded(&Home::load(service.name()).file("process"))
}

/// Returns `true` if these are all services. They are needed to run all tests, and some tests need
/// programs that are not services.
fn are_all(services: Services<'_>) -> bool {
    services.len() == ALL.len()
}

/// Installs the missing packages of stopped services and of the other tests with one call of the
/// package manager. An error names those that need them.
fn install_packages(services: Services<'_>) -> Outcome {
    let stopped = services
        .iter()
        .filter(|service| running(**service).is_none());
    let missing = stopped.map(|service| (service.name(), install::missing(service.tools())));
    let others = install::FOR_TESTS.into_iter().filter(|_| are_all(services));
    let others = others.map(|(who, tools)| (who, install::missing(tools)));
    let missing: Vec<_> = missing
        .chain(others)
        .filter(|(_, packages)| !packages.is_empty())
        .collect();
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let packages = missing
        .iter()
        .flat_map(|(_, packages)| packages)
        .copied()
        .collect();
    install::packages(&packages).map_err(|error| format!("{}: {error}", names.join(", ")))
}

/// Calls `act` for all services at the same time, and returns the errors of those that failed.
fn each(services: Services<'_>, act: &(dyn Fn(&'static dyn Service) -> Outcome + Sync)) -> Outcome {
    let failures: Vec<String> = thread::scope(|scope| {
        let start = |service: &&'static dyn Service| {
            let service = *service;
            scope.spawn(move || act(service))
        };
        let threads: Vec<_> = services.iter().map(start).collect();
        let ends = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a panic".to_owned())));
        ends.filter_map(Result::err).collect()
    });
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

fn up_one(service: &'static dyn Service) -> Outcome {
    let begin = Instant::now();
    let named = |error| format!("{}: {error}", service.name());
    let home = service::home(service).map_err(named)?;
    let _one_at_a_time = home.lock().map_err(named)?;
    let known = Process::recorded(&home.file("process"));
    if known.is_some() && home.file("ready").exists() {
        say("runs", service, &home);
        return Ok(());
    }
    let process = known
        .map_or_else(|| start(service, &home), Ok)
        .map_err(named)?;
    answered(service, &home, process).map_err(named)?;
    say(
        &format!("started in {:.1} s", begin.elapsed().as_secs_f32()),
        service,
        &home,
    );
    Ok(())
}

fn say(what: &str, service: &dyn Service, home: &Home) {
    println!("{:<13} {:<16} {what}", service.name(), home.address());
}

fn start(service: &'static dyn Service, home: &Home) -> Result<Process, String> {
    service.install()?;
    let _none_at_first = fs::remove_file(home.file("ready"));
    Process::bury(&home.file("process"))?;
    process::end_strays(&home.place(), program(home).as_deref())?;
    if program(home).is_none() {
        make_place(service, home)?;
        service.initialise(home)?;
    }
    service.prepare(home)?;
    let process = Process::start(&mut service.command(home)?, &home.file("log"))?;
    process.record(&home.file("process"))?;
    Ok(process)
}

/// Returns the server's program if the server has answered before; until then, its data are not
/// complete. Returns `None` if its folder is gone, since a folder for temporary files may have been
/// emptied.
fn program(home: &Home) -> Option<PathBuf> {
    let program = fs::read_to_string(home.file("complete"))
        .ok()
        .map(PathBuf::from);
    program.filter(|_| home.place().exists())
}

/// Creates an empty folder for the server. Removes what an interrupted first start left there.
fn make_place(service: &dyn Service, home: &Home) -> Outcome {
    let place = home.place();
    let _none_at_first = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    Account::of(service.account())?.map_or(Ok(()), |account| account.owns(&place))
}

/// Waits until the server answers. Kills a server that does not, so that the next `up` starts it
/// again.
fn answered(service: &dyn Service, home: &Home, process: Process) -> Outcome {
    let mut silence = String::new();
    let answer = process::wait(START, || match service.answers(home) {
        Ok(()) => Some(true),
        Err(_) if !process.is_alive() => Some(false),
        Err(error) => {
            silence = error;
            None
        }
    });
    let wrong = match answer {
        Some(true) => return mark_ready(home, process),
        Some(false) => "it ended".to_owned(),
        None => format!("no answer after {} s: {silence}", START.as_secs()),
    };
    process.kill()?;
    let log = fs::read(home.file("log")).unwrap_or_default();
    Err(format!(
        "{wrong}; its log ends with\n{}",
        process::last_lines(&String::from_utf8_lossy(&log))
    ))
}

fn mark_ready(home: &Home, process: Process) -> Outcome {
    let program = process.program().unwrap_or_default().display().to_string();
    state::write_secret(&home.file("complete"), &program)?;
    state::write_secret(&home.file("ready"), "")
}

fn down_one(service: &'static dyn Service) -> Outcome {
    let home = Home::load(service.name());
    if !home.file("state").exists() {
        return Ok(());
    }
    let _one_at_a_time = home.lock()?;
    let process = Process::recorded(&home.file("process"));
    let stopped = process.map_or(Ok(()), |process| process.stop(service.stop_signal(), STOP));
    let strays = program(&home).map_or(Ok(()), |program| {
        process::end_strays(&home.place(), Some(&program))
    });
    if process.is_some() {
        say("ended", service, &home);
    }
    stopped
        .and(strays)
        .and(service.clean_up(&home))
        .map_err(|error| format!("{}: {error}", service.name()))
}
