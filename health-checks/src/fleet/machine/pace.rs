//! When a replica probes for itself.

use std::time::{Duration, Instant};

use super::{AGAIN, Machine, Reach, Standing};

/// The longest time between two probes of a replica that can't rely on the others.
const LONGEST: Duration = Duration::from_secs(15);

/// The time of a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Due {
    Now,
    At(Instant),
    /// Later than any time.
    Never,
}

impl Due {
    pub(super) fn after(now: Instant, pause: Duration) -> Self {
        now.checked_add(pause).map_or(Self::Never, Self::At)
    }

    pub(super) fn is_past(self, now: Instant) -> bool {
        match self {
            Self::Now => true,
            Self::At(at) => now >= at,
            Self::Never => false,
        }
    }

    pub(super) fn earlier(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, _) | (_, Self::Now) => Self::Now,
            (Self::At(one), Self::At(two)) => Self::At(one.min(two)),
            (due, Self::Never) | (Self::Never, due) => due,
        }
    }

    /// Returns the time, unless it is now or never.
    pub(super) fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            _ => None,
        }
    }
}

/// Returns a duration multiplied by this factor. One that is too long stays the longest.
pub(super) fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

impl Machine {
    /// Returns the time from an own probe to the next one. `drawn` is a random number between 0 and
    /// 1.
    pub(super) fn pause(&mut self, now: Instant, drawn: f64) -> Duration {
        let ttl = self.sharing.ttl;
        let own = self.sharing.own;
        let soon = ttl.max(AGAIN);
        if self.peers <= 1 {
            return ttl;
        }
        let is_cut_off = self.reach != Reach::Answers || !self.is_recent(now);
        let fleet_works = self.seen.as_ref().is_none_or(|seen| seen.ok);
        match self.standing {
            _ if is_cut_off => scaled(self.spread(), 0.9 + 0.2 * drawn),
            // It fails, and the others do not: it tries again, with growing pauses.
            Standing::Fails { since }
            | Standing::Refuted { since, .. }
            | Standing::Alone { since }
                if fleet_works =>
            {
                let failing = now.saturating_duration_since(since);
                scaled(
                    soon.max(failing / 2).min(LONGEST.max(soon)),
                    1.0 + 0.5 * drawn,
                )
            }
            _ if !self.has_worked => scaled(self.spread(), 0.9 + 0.2 * drawn),
            _ if std::mem::replace(&mut self.is_spread, true) => scaled(own, 0.95 + 0.1 * drawn),
            _ => scaled(own, drawn).max(soon),
        }
    }

    /// Returns the interval at which all replicas together probe about once per TTL.
    pub(super) fn spread(&self) -> Duration {
        let ttl = self.sharing.ttl;
        ttl.saturating_mul(self.peers.max(1)).min(LONGEST.max(ttl))
    }
}
