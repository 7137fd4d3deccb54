//! The small charts of the page: a value against its limit, and the latency of the last hour.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::words::brief;
use crate::{Latency, Observation};

/// The width of a meter, in pixels.
const METER: f64 = 120.0;

/// An observation with a limit, drawn as a bar.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Meter {
    /// The text for screen readers and for the tooltip, such as `used: 54.4 % of 90 %`.
    summary: String,
    name: String,
    /// The width of the bar; at the limit, it fills the track.
    width: u32,
    track: u32,
    tone: &'static str,
}

impl Meter {
    /// Returns `None` for an observation without a limit.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "they are between 0 and 120"
    )]
    pub(super) fn of(seen: &Observation) -> Option<Self> {
        let limit = seen.limit.filter(|limit| *limit > 0.0)?;
        let share = (seen.value / limit).clamp(0.0, 1.0);
        let shown = Observation {
            value: limit,
            ..seen.clone()
        };
        Some(Self {
            summary: format!("{}: {seen} of {shown}", seen.name),
            name: seen.name.to_string(),
            width: (share * METER).round() as u32,
            track: METER as u32,
            tone: if seen.value >= limit { "bad" } else { "good" },
        })
    }
}

/// The width of a minute and the height of the plot, in pixels.
const STEP: u64 = 2;
const HEIGHT: f64 = 24.0;

/// The number of minutes of the plot.
const MINUTES: u64 = 60;

/// The slowest run of each minute of the last hour, as a line.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plot {
    /// The text for screen readers and for the tooltip.
    summary: String,
    width: u64,
    height: f64,
    /// The points of the line: `x,y x,y`.
    points: String,
}

impl Plot {
    /// Returns `None` for fewer than three minutes, because their line would show nothing.
    pub(super) fn of(latency: &Latency, now: SystemTime) -> Option<Self> {
        let ago =
            |minute: SystemTime| now.duration_since(minute).unwrap_or_default().as_secs() / 60;
        let minutes: Vec<_> = latency
            .minutes()
            .iter()
            .filter(|slowest| ago(slowest.minute) < MINUTES)
            .collect();
        let durations = || minutes.iter().map(|slowest| slowest.duration);
        let (least, most) = durations()
            .min()
            .zip(durations().max())
            .filter(|_| minutes.len() > 2)?;
        let point = |(minute, duration): (SystemTime, Duration)| {
            let x = (MINUTES - 1 - ago(minute)) * STEP;
            let share = duration.as_secs_f64() / most.as_secs_f64().max(f64::MIN_POSITIVE);
            format!("{x},{:.1}", (HEIGHT - 2.0) * (1.0 - share) + 1.0)
        };
        let points: Vec<String> = minutes
            .iter()
            .map(|slowest| point((slowest.minute, slowest.duration)))
            .collect();
        Some(Self {
            summary: format!(
                "slowest run of each minute of the last hour: {} to {}",
                brief(least),
                brief(most)
            ),
            width: MINUTES * STEP,
            height: HEIGHT,
            points: points.join(" "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PastRun, Status, Unit};

    #[test]
    fn a_meter_is_full_at_its_limit() {
        let meter = |value, limit| {
            Meter::of(&Observation {
                limit,
                ..Observation::new("used", value, Unit::Percent)
            })
        };
        let half = meter(45.0, Some(90.0)).expect("it has a limit");
        assert_eq!(half.width, 60);
        assert_eq!(half.tone, "good");
        assert_eq!(half.summary.as_str(), "used: 45 % of 90 %");
        let over = meter(99.0, Some(90.0)).expect("it has a limit");
        assert_eq!(over.width, 120);
        assert_eq!(over.tone, "bad");
        assert!(meter(45.0, None).is_none() && meter(45.0, Some(0.0)).is_none());
        assert_eq!(meter(-3.0, Some(90.0)).expect("it has a limit").width, 0);
    }

    #[test]
    fn a_plot_is_an_hour_wide_and_its_slowest_minute_is_at_the_top() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * 60);
        let run = |minute: u64, millis: u64| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(minute * 60);
            PastRun::new(Status::Working, Duration::from_millis(millis), at)
        };
        let runs = [run(10, 100), run(35, 100), run(60, 50)];
        let plot = Plot::of(&runs.into_iter().collect(), now).expect("three minutes");
        assert_eq!(plot.points.as_str(), "18,1.0 68,1.0 118,12.0");
        assert_eq!(plot.width, 120);
        assert_eq!(
            plot.summary,
            "slowest run of each minute of the last hour: 50 ms to 100 ms"
        );
        assert!(Plot::of(&runs[1..].iter().copied().collect(), now).is_none());
        let later = now + Duration::from_secs(7200);
        assert!(
            Plot::of(&runs.into_iter().collect(), later).is_none(),
            "it is over"
        );
    }
}
