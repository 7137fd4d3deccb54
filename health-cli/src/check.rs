use std::time::Duration;

use health_checks::config::Config;
use health_core::{CheckInfo, Health, Renderer, Selection};

use crate::exit::ExitArgs;
use crate::load::load;
use crate::nagios;
use crate::outcome::{HEALTHY, Outcome, UNHEALTHY};
use crate::output;
use crate::progress::Progress;
use crate::row::Row;
use crate::show;
use crate::values::{Source, duration};

/// Run the checks once and print the report
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health check
  health check --config health.toml --group ready
  health check --config health.toml --format json DatabaseBackend CacheBackend
  health check --config health.toml --format table
  health check --config health.toml --exit nagios

Exit status: 0 healthy, 1 unhealthy, 2 wrong usage or configuration; see --exit for others.")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    source: Source,
    /// Run only the checks of this group
    #[arg(long, short)]
    group: Option<String>,
    /// Skip this check; may be given several times
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
    /// Override the timeout of every check: 500ms, 5s, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Print the report in this format: table, text, or one of the endpoint's, such as json or html
    /// [default: text]
    #[arg(long, short)]
    format: Option<String>,
    #[command(flatten)]
    pub(crate) exit: ExitArgs,
    /// Run only these checks
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) async fn check(args: &CheckArgs) -> Outcome {
    let format = args.exit.format(args.format.as_deref())?;
    let progress = Progress::default();
    let build = |config: Config| {
        Ok(config
            .without_fleet()
            .build_with(|builder| builder.listener(progress.listener()))?)
    };
    let loaded = load(&args.source, args.timeout, build).await?;
    let health = &loaded.health;
    let renderer = renderer(health, format)?;
    let selection = args.selection();
    let read = progress
        .show(&args.names_of(health), health.read(&selection))
        .await;
    let report = read.map_err(|error| {
        match args
            .names
            .iter()
            .find(|name| std::path::Path::new(name).is_file())
        {
            Some(file) => format!("{error}; {file} is a file: write --config {file}"),
            None => error.to_string(),
        }
    })?;
    let rows: Vec<_> = report.checks.iter().map(Row::from).collect();
    if args.exit.is_nagios() {
        return Ok(nagios::report(report.healthy, &rows, None));
    }
    let printed = match renderer {
        Some(renderer) => {
            let mut output = String::new();
            renderer.render(&report, &mut output)?;
            // JSON and HTML do not end with a newline.
            output::print(format_args!(
                "{output}{}",
                if output.ends_with('\n') { "" } else { "\n" }
            ))
        }
        None => show::print(&rows, format),
    };
    args.exit.printed(printed);
    Ok(if report.healthy { HEALTHY } else { UNHEALTHY })
}

/// Returns the renderer of a format, or `None` for the formats that the command line prints itself.
fn renderer<'h>(health: &'h Health, format: &str) -> Result<Option<&'h dyn Renderer>, String> {
    if show::FORMATS.contains(&format) {
        return Ok(None);
    }
    let renderers = health.renderers();
    renderers.get(format).map(Some).ok_or_else(|| {
        let mut formats: Vec<_> = renderers.formats().chain(show::FORMATS).collect();
        formats.sort_unstable();
        formats.dedup();
        format!(
            "no format is named \"{format}\"; there are: {}",
            formats.join(", ")
        )
    })
}

impl CheckArgs {
    fn selection(&self) -> Selection {
        let mut selection = Selection::default();
        if let Some(group) = &self.group {
            selection = selection.group(group);
        }
        let selection = self.names.iter().fold(selection, Selection::only);
        self.skip.iter().fold(selection, Selection::skip)
    }

    /// Returns the identifiers of the selected checks.
    fn names_of(&self, health: &Health) -> Vec<String> {
        let is_in = |check: &CheckInfo| {
            self.group
                .as_ref()
                .is_none_or(|group| check.groups.contains(group))
        };
        let names = health.checks().filter(is_in).map(|check| check.identifier);
        names
            .filter(|name| {
                (self.names.is_empty() || self.names.contains(name)) && !self.skip.contains(name)
            })
            .collect()
    }
}
