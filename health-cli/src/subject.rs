//! The subject of `wait` and `watch`: an endpoint, or the checks of a file.

use std::error::Error;
use std::ffi::OsString;
use std::time::Duration;

use clap::ValueHint;
use health_core::{Secret, Selection};

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

/// The result of a read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) is_healthy: bool,
    /// `None` if an endpoint responds in a format without rows.
    pub(crate) rows: Option<Vec<Row>>,
    answer: Option<Answer>,
}

impl Subject {
    /// Opens the endpoint, or loads the file. Verdicts of the file's checks are at most `fresh`
    /// old, unless the file has another limit for a check.
    pub(crate) async fn open(args: &SubjectArgs, fresh: Duration) -> Result<Self, Box<dyn Error>> {
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
            return Err("--header is for a URL, and there is none".into());
        }
        if config.is_none() {
            return Err(
                "name what to look at: a URL, or a file with --config or HEALTH_CONFIG".into(),
            );
        }
        let source = Source { config };
        let loaded = load(&source, None, |mut config| {
            config.settings.ttl = config.settings.ttl.min(fresh);
            Ok(config.without_fleet().build()?)
        });
        let loaded = loaded.await?;
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

    /// Reads the subject once. The error is the reason why there is no result.
    pub(crate) async fn look(&self, max_wait: Duration) -> Result<Reading, String> {
        match self {
            Self::Endpoint(client) => {
                let sight = async { Reading::of(client.ask(None, max_wait).await?) };
                sight
                    .await
                    .map_err(|failure: ask::Failure| failure.what().to_owned())
            }
            Self::Checks(loaded, selection) => {
                let read = tokio::time::timeout(max_wait, loaded.health.read(selection)).await;
                let report = read
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
