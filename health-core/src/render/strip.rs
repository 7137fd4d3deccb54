use std::time::Duration;

use serde::Serialize;

use super::words::{brief, tone};
use crate::{History, PastRun, Status};

/// The width of a bar and of the gap after it, in pixels.
const STEP: usize = 6;

/// The height of the strip, in pixels.
const HEIGHT: u16 = 24;

/// A check's last runs as bars. The height of a bar shows how long the run took compared with the
/// others, its colour the status of the run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Strip {
    /// The text for screen readers and for the tooltip.
    summary: String,
    width: usize,
    height: u16,
    bars: Vec<Bar>,
}

#[derive(Debug, Clone, Serialize)]
struct Bar {
    x: usize,
    y: u16,
    height: u16,
    status: Status,
    tone: &'static str,
}

impl Strip {
    /// Returns `None` if there are fewer than two runs to compare.
    pub(super) fn of(history: &History) -> Option<Self> {
        let runs = history.runs();
        let longest = runs
            .iter()
            .map(|run| run.duration)
            .max()
            .filter(|_| runs.len() > 1)?;
        let bar = |(position, run): (usize, &PastRun)| {
            let height = height(run.duration, longest);
            Bar {
                x: position * STEP,
                y: HEIGHT - height,
                height,
                status: run.status,
                tone: tone(run.status),
            }
        };
        let bars: Vec<Bar> = runs.iter().enumerate().map(bar).collect();
        Some(Self {
            summary: summary(runs, longest),
            width: bars.len() * STEP,
            height: HEIGHT,
            bars,
        })
    }
}

/// Returns the height of a bar: at least a quarter, so that each run is visible.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between 6 and 24"
)]
fn height(duration: Duration, longest: Duration) -> u16 {
    let share = duration.as_secs_f64() / longest.as_secs_f64().max(f64::MIN_POSITIVE);
    let height = f64::from(HEIGHT);
    (height / 4.0 + share.clamp(0.0, 1.0) * height * 0.75).round() as u16
}

/// Returns a summary such as `last 20 runs: 18 passed, 2 failed; the longest took 1.2 s`. It
/// contains no name of a status, because it is possible that no check has that status now.
fn summary(runs: &[PastRun], longest: Duration) -> String {
    let statuses = [
        (Status::Working, "passed"),
        (Status::Warning, "passed with a remark"),
        (Status::Unknown, "without a result"),
        (Status::Unavailable, "failed"),
    ];
    let counts = statuses
        .map(|(status, word)| (word, runs.iter().filter(|run| run.status == status).count()));
    let counts: Vec<_> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    format!(
        "last {} runs: {}; the longest took {}",
        runs.len(),
        counts.join(", "),
        brief(longest)
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn bars_are_as_tall_as_runs_took_long() {
        let run = |status, millis| {
            PastRun::new(
                status,
                Duration::from_millis(millis),
                SystemTime::UNIX_EPOCH,
            )
        };
        let strip = |runs: &[PastRun]| Strip::of(&runs.iter().copied().collect());
        assert!(strip(&[]).is_none() && strip(&[run(Status::Working, 5)]).is_none());
        let three = [
            run(Status::Working, 0),
            run(Status::Unavailable, 2000),
            run(Status::Working, 1000),
        ];
        let strip = strip(&three).expect("there are three");
        assert_eq!(
            strip.summary,
            "last 3 runs: 2 passed, 1 failed; the longest took 2 s"
        );
        let bars: Vec<_> = strip
            .bars
            .iter()
            .map(|bar| (bar.x, bar.y, bar.height))
            .collect();
        assert_eq!(bars, [(0, 18, 6), (6, 0, 24), (12, 9, 15)]);
    }
}
