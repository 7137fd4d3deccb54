use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// The time for which a failing check does not fail a group that holds.
///
/// A failover of a shared database must not take every replica of a service out of its balancer.
/// For this time, a group with a hold stays healthy although a check of scope
/// [`External`](crate::Scope::External) fails, provided that the check has worked before in this
/// process. The check's row shows its error, with the word `held`, and the report of all checks is
/// unhealthy at once.
///
/// Each check has an account. Failing time adds to it, from the start of the first failing run, and
/// working time subtracts from it. The account is full at the length of the hold, and the first run
/// that starts after that and fails ends the hold. Each process lengthens its holds by a random
/// part, up to a half, so that replicas do not leave the balancer at the same time.
///
/// ```
/// use health_core::{GroupSettings, Hold};
/// use std::time::Duration;
///
/// let ready = GroupSettings::default().hold(Duration::from_secs(60));
/// let never = GroupSettings::default().hold(Hold::FOREVER);
/// # let _ = (ready, never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold(Duration);

impl Hold {
    /// No hold: a failure fails the group at once.
    pub const NONE: Self = Self(Duration::ZERO);
    /// A hold without end: a failure never fails the group.
    pub const FOREVER: Self = Self(Duration::MAX);

    /// The default of the group `ready`.
    pub(crate) const OF_READY: Self = Self(Duration::from_secs(120));

    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Returns the length, plus `part` of its half. `part` is a number from 0 to 1.
    pub(crate) fn lengthened(self, part: f64) -> Duration {
        if self == Self::FOREVER {
            return Duration::MAX;
        }
        Duration::try_from_secs_f64(self.0.as_secs_f64() * (1.0 + part / 2.0))
            .unwrap_or(Duration::MAX)
    }
}

impl From<Duration> for Hold {
    fn from(length: Duration) -> Self {
        Self(length)
    }
}

impl<'de> Deserialize<'de> for Hold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HoldVisitor)
    }
}

struct HoldVisitor;

impl de::Visitor<'_> for HoldVisitor {
    type Value = Hold;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"30s\", 0 for no hold, or \"forever\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Hold, E> {
        if text.trim() == "forever" {
            return Ok(Hold::FOREVER);
        }
        crate::serde_duration::parse(text)
            .map(Hold)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Hold, E> {
        let length = Duration::try_from_secs_f64(seconds);
        length
            .map(Hold)
            .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Hold, E> {
        let seconds = u64::try_from(seconds)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
        self.visit_u64(seconds)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Hold, E> {
        Ok(Hold(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_a_duration_or_forever() {
        let read = |json: &str| serde_json::from_str::<Hold>(json).ok();
        assert_eq!(read("\"90s\""), Some(Hold(Duration::from_secs(90))));
        assert_eq!(read("0"), Some(Hold::NONE));
        assert_eq!(read("\"0s\""), Some(Hold::NONE));
        assert_eq!(read("1.5"), Some(Hold(Duration::from_millis(1500))));
        assert_eq!(read("\"forever\""), Some(Hold::FOREVER));
        for wrong in ["-1", "\"soon\"", "true", "[]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_hold_is_lengthened_by_up_to_a_half_and_forever_stays_forever() {
        let hold = Hold(Duration::from_secs(100));
        assert_eq!(
            [hold.lengthened(0.0), hold.lengthened(1.0)],
            [Duration::from_secs(100), Duration::from_secs(150)]
        );
        assert_eq!(Hold::NONE.lengthened(1.0), Duration::ZERO);
        assert_eq!(Hold::FOREVER.lengthened(0.5), Duration::MAX);
    }
}
