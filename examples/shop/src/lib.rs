//! Code that the example services share, whatever their framework: the arguments, the health, and a
//! page.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they are programs that say where they listen"
)]

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use health_checks::config::{Config, Options, Scratch};
use health_core::{
    CheckExt, Findings, Health, HealthCheck, Result, ResultExt, ServiceWarning, Unit,
};

/// The README of the workspace, whose first example is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The page of the service itself.
pub const PAGE: &str = include_str!("page.html");

/// A small shop with health checks.
#[derive(Debug, Parser)]
struct Args {
    /// The file with the checks; without it, default checks that need no server
    #[arg(long, value_name = "FILE", env = "HEALTH_CONFIG")]
    config: Option<PathBuf>,
    /// The address to listen on; port 0 means any free port
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "HEALTH_LISTEN",
        default_value = "127.0.0.1:8000"
    )]
    listen: SocketAddr,
}

/// The address and the health of a service of this shop.
#[derive(Debug)]
pub struct Shop {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The health of the service.
    pub health: Health,
    /// Keeps what the default checks work on.
    _scratch: Option<Scratch>,
}

impl Shop {
    /// Reads the arguments and builds the health: the checks of the file, and one of the shop's
    /// own.
    ///
    /// # Errors
    /// Fails if the configuration is invalid.
    pub async fn from_args() -> Result<Self, Box<dyn Error>> {
        let args = Args::parse();
        let log = tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal());
        let _ = log.try_init(); // a framework may have its own log
        let variables = |name: &str| std::env::var_os(name);
        let (config, scratch) = if let Some(file) = &args.config {
            (
                Config::from_file(file, &variables, &Options::default())?,
                None,
            )
        } else {
            let (config, scratch) = Config::embedded(&variables, &Options::default()).await?;
            (config, Some(scratch))
        };
        let spool = std::env::temp_dir();
        let mailroom = Mailroom { spool }.named("mailroom").non_critical();
        let health = config.into_builder().check(mailroom).build()?;
        health.start();
        Ok(Self {
            listen: args.listen,
            health,
            _scratch: scratch,
        })
    }

    /// Prints the address, once the service listens.
    pub fn listens_at(address: SocketAddr) {
        println!("http://{address}/");
    }
}

/// A check of the shop itself: letters that wait to be sent.
#[derive(Debug)]
struct Mailroom {
    spool: PathBuf,
}

impl HealthCheck for Mailroom {
    async fn check_status(&self, findings: &Findings) -> Result {
        let mut files = tokio::fs::read_dir(&self.spool)
            .await
            .or_unavailable("spool folder is missing")?;
        let mut waiting = 0_u32;
        while let Some(file) = files.next_entry().await.or_unknown()? {
            waiting += u32::from(
                file.path()
                    .extension()
                    .is_some_and(|extension| extension == "letter"),
            );
        }
        findings.observe("waiting", waiting, Unit::Count);
        if waiting > 100 {
            findings.add_error(ServiceWarning::new("more than 100 letters are waiting"));
        }
        Ok(())
    }
}
