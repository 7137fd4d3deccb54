use std::time::Duration;

use health_checks::config::Config;
use health_core::Selection;

use crate::args::{Source, duration};
use crate::exit::ExitArgs;
use crate::load::load;
use crate::row::Row;
use crate::{HEALTHY, Outcome, UNHEALTHY, nagios, row};

/// Run the checks once and print a line each
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health check
  health check --config health.toml --group ready
  health check --config health.toml --format json DatabaseBackend CacheBackend
  health check --config health.toml --exit nagios

Exit status: 0 healthy, 1 unhealthy, 2 wrong usage or configuration; see --exit for others.")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    source: Source,
    /// Only the checks of this group
    #[arg(long, short)]
    group: Option<String>,
    /// Not this check; may be given several times
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
    /// The longest that each check may take, whatever the file says: 500ms, 5s, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// The output format: html, json, text [default: text]
    #[arg(long, short)]
    format: Option<String>,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
    /// Only these checks
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) async fn check(args: &CheckArgs) -> Outcome {
    let loaded = load(&args.source, args.timeout, Config::build).await?;
    let format = args.exit.format(args.format.as_deref())?;
    let renderers = loaded.health.renderers();
    let Some(renderer) = renderers.get(format) else {
        let formats: Vec<_> = renderers.formats().collect();
        return Err(format!("no format is named \"{format}\"; there are: {}", formats.join(", ")).into());
    };
    let report = loaded.health.read(&selection(args)).await?;
    let rows: Vec<_> = report.checks.iter().map(Row::from).collect();
    if args.exit.is_nagios() {
        return Ok(nagios::report(report.healthy, &rows, None));
    }
    if format == "text" {
        anstream::print!("{}", row::lines(&rows));
    } else {
        let mut output = String::new();
        renderer.render(&report, &mut output)?;
        // The last line of JSON and HTML has no end of its own.
        anstream::print!("{output}{}", if output.ends_with('\n') { "" } else { "\n" });
    }
    Ok(if report.healthy { HEALTHY } else { UNHEALTHY })
}

fn selection(args: &CheckArgs) -> Selection {
    let mut selection = Selection::default();
    if let Some(group) = &args.group {
        selection = selection.group(group);
    }
    let selection = args.names.iter().fold(selection, Selection::only);
    args.skip.iter().fold(selection, Selection::skip)
}
