//! The subject of `wait` and `watch`: an endpoint, or the checks of a file.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use clap::ValueHint;
use futures::future::join_all;
use health_core::{CheckReport, Health, Report, Secret, Selection, UnknownName};

use crate::ask::{self, Answer, Client, RequestArgs};
use crate::load::{Loaded, load};
use crate::row::Row;
use crate::show;
use crate::values::{FileParser, Source, secret};

const CONFIG: &str = "Without a URL, run the checks of this file (- is standard input), or else of the file in HEALTH_CONFIG";

#[derive(Debug, clap::Args)]
pub(crate) struct SubjectArgs {
    #[arg(value_name = "URL", value_parser = secret, help = ask::URL)]
    url: Option<Secret>,
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = FileParser, conflicts_with = "url", help = CONFIG)]
    config: Option<OsString>,
    /// Read only this group; its name is appended to the URL's path, or is the gRPC service
    #[arg(long, short)]
    group: Option<String>,
    #[command(flatten)]
    asked: RequestArgs,
}

pub(crate) enum Subject {
    Endpoint(Client),
    Checks(Loaded, Selection),
}

/// The checks of a file that run anew for a read, however fresh their verdicts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    All,
    Failing,
}

/// The maximum wait for one response of an endpoint.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The result of a read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) is_healthy: bool,
    /// `None` if an endpoint responds in a format without rows.
    pub(crate) rows: Option<Vec<Row>>,
    answer: Option<Answer>,
}

impl Subject {
    /// Opens the endpoint, or loads the file.
    pub(crate) async fn open(args: &SubjectArgs) -> Result<Self, Box<dyn Error>> {
        if let Some(url) = &args.url {
            return Ok(Self::Endpoint(Client::new(
                url,
                args.group.as_deref(),
                &args.asked,
            )?));
        }
        let config = args
            .config
            .clone()
            .or_else(|| std::env::var_os("HEALTH_CONFIG").filter(|path| !path.is_empty()));
        if !args.asked.is_nothing() {
            return Err("--header, --status and --json are for a URL, and there is none".into());
        }
        if config.is_none() {
            return Err(
                "name what to look at: a URL, or a file with --config or HEALTH_CONFIG".into(),
            );
        }
        let source = Source { config };
        let loaded = load(&source, None, |config| {
            Ok(config.without_fleet().build()?)
        })
        .await?;
        let mut selection = Selection::default();
        if let Some(group) = &args.group {
            let groups: Vec<_> = loaded.health.groups().collect();
            if !groups.contains(&&**group) {
                return Err(format!(
                    "no group is named \"{group}\"; there are: {}",
                    groups.join(", ")
                )
                .into());
            }
            selection = selection.group(group);
        }
        Ok(Self::Checks(loaded, selection))
    }

    /// Returns the name of the subject for messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Endpoint(client) => client.address(),
            Self::Checks(..) => "the checks",
        }
    }

    /// Reads the subject once. The error is the reason why there is no result. Checks of a file run
    /// anew, all or those that fail, however fresh their verdicts are.
    pub(crate) async fn look(&self, again: Again, max_wait: Duration) -> Result<Reading, String> {
        match self {
            Self::Endpoint(client) => {
                let sight = async { Reading::of(client.ask(None, max_wait.min(MAX_WAIT)).await?) };
                sight
                    .await
                    .map_err(|failure: ask::Failure| failure.what().to_owned())
            }
            Self::Checks(loaded, selection) => {
                let read = run_again(&loaded.health, selection, again);
                let report = tokio::time::timeout(max_wait, read)
                    .await
                    .map_err(|_| ask::late(max_wait))?
                    .map_err(|error| error.to_string())?;
                Ok(Reading::new(
                    report.healthy,
                    report.checks.iter().map(Row::from).collect(),
                ))
            }
        }
    }
}

/// Reads the checks of a selection. Runs those again whose verdicts are from before, with the
/// checks that block them.
async fn run_again(
    health: &Health,
    selection: &Selection,
    again: Again,
) -> Result<Report, UnknownName> {
    let began = SystemTime::now();
    let report = health.read(selection).await?;
    let is_old = |row: &&CheckReport| row.last_run.is_none_or(|run| run < began);
    let is_asked = |row: &&CheckReport| again == Again::All || !row.errors.is_empty();
    let old = report.checks.iter().filter(is_old).filter(is_asked);
    let names: BTreeSet<&str> = old
        .flat_map(|row| [Some(row.identifier.as_str()), row.blocked_by.as_deref()])
        .flatten()
        .collect();
    if names.is_empty() {
        return Ok(report);
    }
    // The rows of the engine itself are no checks, and one that the application reports has no run.
    join_all(names.into_iter().map(|name| health.run_check(name))).await;
    health.read(selection).await
}

impl Reading {
    pub(crate) fn new(is_healthy: bool, rows: Vec<Row>) -> Self {
        Self {
            is_healthy,
            rows: Some(rows),
            answer: None,
        }
    }

    fn of(answer: Answer) -> Result<Self, ask::Failure> {
        Ok(Self {
            is_healthy: answer.is_healthy()?,
            rows: answer.rows(),
            answer: Some(answer),
        })
    }

    /// Prints the report to stdout.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        match (&self.rows, &self.answer) {
            (Some(rows), _) => show::print(rows, "text")?,
            (None, Some(answer)) => answer.print()?,
            (None, None) => {}
        }
        Ok(())
    }

    /// Returns the rows that make the report unhealthy. For an endpoint without the format
    /// `report`, these are all rows that do not work.
    pub(crate) fn failing_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten().filter(|row| {
            row.fails_report
                .unwrap_or(row.status != health_core::Status::Working)
        })
    }
}
