use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use crate::outcome::{HEALTHY, Outcome};
use crate::screen::{self, Screen};
use crate::subject::{Again, Subject, SubjectArgs};
use crate::values::duration;
use crate::view::View;

/// The maximum wait for a report: longer than most timeouts of checks.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Show the checks of an endpoint or of a file as they change
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  health watch                                   the file in HEALTH_CONFIG
  health watch http://127.0.0.1:8000/ht/
  health watch --config health.toml --group ready
  health watch http://127.0.0.1:8000/ht/ >> changes.log

Checks of a file run again after each interval, however long their ttl is: the longer the interval,
the less they cost.

On a terminal, the command shows a table until Ctrl-C. Otherwise it prints a line for each change.

Exit status: 0 stopped, whatever the checks reported; 2 wrong usage or configuration.")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Wait this long between two reads: 500ms, 5s, or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    interval: Duration,
}

pub(crate) async fn watch(args: &WatchArgs) -> Outcome {
    let subject = Subject::open(&args.subject).await?;
    let shown = async {
        if screen::can_move() && io::stdout().is_terminal() {
            table(&subject, args.interval).await
        } else {
            lines(&subject, args.interval).await
        }
    };
    match shown.await {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(HEALTHY), // the reader has closed the pipe
    }
}

async fn table(subject: &Subject, interval: Duration) -> io::Result<()> {
    let mut screen = Screen::enter()?;
    let mut view = View::new(subject.name());
    let mut pause = Duration::ZERO;
    loop {
        let mut look = pin!(async move {
            tokio::time::sleep(pause).await;
            subject.look(Again::All, MAX_WAIT).await
        });
        Screen::draw(&view.text(interval))?;
        let seen = loop {
            tokio::select! {
                seen = &mut look => break seen,
                needs_redraw = screen.needs_redraw() => needs_redraw?,
            }
            Screen::draw(&view.text(interval))?;
        };
        view.take(seen);
        pause = interval;
    }
}

async fn lines(subject: &Subject, interval: Duration) -> io::Result<()> {
    let mut view = View::new(subject.name());
    loop {
        let changes = view.take(subject.look(Again::All, MAX_WAIT).await);
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let mut stdout = anstream::stdout().lock();
        for row in changes {
            let style = row.style();
            writeln!(
                stdout,
                "{time} {:<24} ... {style}{}{style:#}",
                row.name, row.text
            )?;
        }
        stdout.flush()?;
        drop(stdout);
        tokio::time::sleep(interval).await;
    }
}
