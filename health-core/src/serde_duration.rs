//! Durations in configuration: a string with a unit, or a number of seconds. This module is for the
//! crates of this workspace and not part of the API.
//!
//! ```
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     #[serde(with = "health_core::serde_duration")]
//!     timeout: std::time::Duration,
//! }
//!
//! let parsed: Settings = serde_json::from_str(r#"{"timeout": "1m 30s"}"#).unwrap();
//! assert_eq!(parsed.timeout.as_secs(), 90);
//! let parsed: Settings = serde_json::from_str(r#"{"timeout": 0.5}"#).unwrap();
//! assert_eq!(parsed.timeout.as_millis(), 500);
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Deserializer, Serializer, de};

/// Reads a duration.
///
/// # Errors
/// Fails unless it is a text such as `"5s"`, `"800ms"` or `"1m 30s"`, or a number of seconds that
/// is not negative.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Seconds)
}

/// Writes a duration as it is read: `5s`.
///
/// # Errors
/// Fails if the serializer does.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Durations that are optional, in the same form.
pub mod option {
    use super::{Deserializer, Duration, Serializer};

    /// Reads a duration.
    ///
    /// # Errors
    /// Fails as [`deserialize`](super::deserialize) does.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }

    /// Writes the duration, if there is one.
    ///
    /// # Errors
    /// Fails if the serializer does.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// Parses a text with units, or a number of seconds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

struct Seconds;

impl de::Visitor<'_> for Seconds {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"500ms\" or \"5s\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        // The error contains neither the text nor the message of humantime, because the value may
        // be a misplaced secret.
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        let positive = u64::try_from(seconds)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
        Ok(Duration::from_secs(positive))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }
}
