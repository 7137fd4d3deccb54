use std::time::{Duration, Instant};

use crate::exit;
use crate::outcome::{HEALTHY, Outcome, UNHEALTHY};
use crate::output;
use crate::row::without_digits;
use crate::subject::{Again, Reading, Subject, SubjectArgs};
use crate::values::duration;

/// The maximum number of checks that are named. Further checks are counted.
const NAMED: usize = 5;

/// Wait until an endpoint or the checks of a file are healthy
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health wait http://127.0.0.1:8000/ht/ --group ready
  health wait --config health.toml && ./start           start a service after its dependencies
  health wait http://web:8000/ht/ --timeout 5m --interval 5s

Checks of a file that fail run again after each interval, however long their ttl is.

The checks that are not healthy yet are printed to stderr, in a line for each change. RUST_LOG=warn
adds their causes. The command also waits while connections are refused, and while the status of
the response is unexpected, such as 404 or 502.

Exit status: 0 healthy; 1 not healthy in time, with the last report; 2 wrong usage or configuration.")]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Give up after this time: 500ms, 60s, 5m, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    timeout: Duration,
    /// Wait this long between two reads
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    interval: Duration,
}

pub(crate) async fn wait(args: &WaitArgs) -> Outcome {
    let began = Instant::now();
    let subject = Subject::open(&args.subject).await?;
    let left = || args.timeout.saturating_sub(began.elapsed());
    let mut told = LastMessage::default();
    while !left().is_zero() {
        let seen = subject.look(Again::Failing, left()).await;
        if seen.as_ref().is_ok_and(|sight| sight.is_healthy) {
            output::note(format_args!(
                "healthy after {:.1} s",
                began.elapsed().as_secs_f64()
            ));
            return Ok(HEALTHY);
        }
        told.take(seen, subject.name(), left().is_zero());
        tokio::time::sleep(left().min(args.interval)).await;
    }
    if let Some(sight) = told.last {
        exit::printed(sight.print());
    }
    output::note(format_args!(
        "not healthy within {}",
        humantime::format_duration(args.timeout)
    ));
    Ok(UNHEALTHY)
}

/// The last message, and the last report.
#[derive(Default)]
struct LastMessage {
    what: String,
    last: Option<Reading>,
}

impl LastMessage {
    /// Prints what the command is waiting for, if that has changed. A last read that failed because
    /// the time was up is not a change.
    fn take(&mut self, seen: Result<Reading, String>, place: &str, is_end: bool) {
        let what = what(&seen, place);
        let is_cut = is_end && seen.is_err() && !self.what.is_empty();
        if without_digits(&what) != without_digits(&self.what) && !is_cut {
            output::note(format_args!("waiting for {what}"));
            self.what = what;
        }
        if let Ok(sight) = seen {
            self.last = Some(sight);
        }
    }
}

/// Describes what the command is waiting for: the checks with their texts, or the subject.
fn what(seen: &Result<Reading, String>, place: &str) -> String {
    let sight = match seen {
        Ok(sight) => sight,
        Err(why) => return format!("{place} ({why})"),
    };
    let rows: Vec<_> = sight
        .failing_rows()
        .map(|row| format!("{} ({})", row.name, row.text))
        .collect();
    match rows.len() {
        0 => format!("{place} (unhealthy)"),
        1..=NAMED => rows.join(", "),
        many => format!("{} and {} more", rows[..NAMED].join(", "), many - NAMED),
    }
}
