use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Changes of the difference between the two clocks up to this many milliseconds are ignored.
const SLEW: i64 = 1_000;

/// Detects that the machine was suspended. The clock that ages are measured with stops during a
/// suspend and the date does not, so verdicts are older afterwards than they seem.
#[derive(Debug)]
pub(super) struct Awake {
    began: (Instant, SystemTime),
    /// The last recorded lead of the date over the other clock, in milliseconds.
    ahead: AtomicI64,
}

impl Awake {
    pub(super) fn new(clock: &dyn crate::Clock) -> Self {
        Self {
            began: (clock.now(), clock.time()),
            ahead: AtomicI64::new(0),
        }
    }

    /// Returns `true` if the date has jumped ahead by more than `limit` since the last call. A step
    /// of the system clock looks the same, and costs one run of each check.
    pub(super) fn has_slept(&self, now: Instant, time: SystemTime, limit: Duration) -> bool {
        let by_clock = milliseconds(now.saturating_duration_since(self.began.0));
        let by_date = match time.duration_since(self.began.1) {
            Ok(passed) => milliseconds(passed),
            Err(back) => -milliseconds(back.duration()),
        };
        let ahead = by_date - by_clock;
        let known = self.ahead.load(Ordering::Relaxed);
        if (ahead - known).abs() <= SLEW {
            return false; // without a write, because threads share the value
        }
        // If several threads detect the same jump, only one of them reports it.
        let is_first = self
            .ahead
            .compare_exchange(known, ahead, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        let has_slept = is_first && ahead - known > milliseconds(limit).max(SLEW);
        if has_slept {
            tracing::info!(target: "health_check", seconds = (ahead - known) / 1000, "the date has jumped ahead: verdicts from before are old");
        }
        has_slept
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;
    use crate::clock::SystemClock;

    #[test]
    fn a_jump_of_the_date_is_seen_once_and_a_slew_is_not() {
        let clock = SystemClock;
        let second = Duration::from_secs(1);
        let awake = Awake::new(&clock);
        let limit = 30 * second;
        let now = clock.now();
        let time = clock.time();
        assert!(
            !awake.has_slept(now + 3600 * second, time + 3600 * second, limit),
            "an hour has passed for both"
        );
        assert!(
            !awake.has_slept(now + 3600 * second, time + 3620 * second, limit),
            "a small step"
        );
        assert!(
            !awake.has_slept(now + 3600 * second, time, limit),
            "a step back"
        );
        assert!(awake.has_slept(now + 3601 * second, time + 60 * second, limit));
        assert!(
            !awake.has_slept(now + 3602 * second, time + 61 * second, limit),
            "told once"
        );
    }
}
