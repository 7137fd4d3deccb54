//! Times and durations in serialised reports.

use std::time::{Duration, SystemTime};

use serde::{Deserializer, Serializer, de};

/// The last time that RFC 3339 can write, in seconds of the Unix epoch: the end of the year 9999.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// Returns `true` for a time that every format can write.
pub(crate) fn is_a_date(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|since| since <= LAST)
}

/// RFC 3339 in UTC, to the nanosecond. A time before 1970 or after the year 9999 becomes the
/// nearest one that can be written.
pub(crate) mod rfc3339 {
    use super::{Deserializer, LAST, Serializer, SystemTime, de};
    use serde::Deserialize as _;

    pub(crate) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .min(LAST);
        serializer.collect_str(&humantime::format_rfc3339_nanos(
            SystemTime::UNIX_EPOCH + since,
        ))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text)
            .map_err(|_| de::Error::custom("expected a time as RFC 3339 writes it, in UTC"))
    }

    pub(crate) mod option {
        use super::{Deserializer, Serializer, SystemTime};
        use serde::Deserialize as _;

        #[derive(serde::Serialize, serde::Deserialize)]
        struct Time(#[serde(with = "super")] SystemTime);

        #[expect(clippy::ref_option, reason = "the signature that serde calls")]
        pub(crate) fn serialize<S: Serializer>(
            time: &Option<SystemTime>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            serde::Serialize::serialize(&time.map(Time), serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<SystemTime>, D::Error> {
            Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
        }
    }
}

/// Seconds as a number; exact to the nanosecond for durations below a month.
pub(crate) mod seconds {
    use super::{Deserializer, Duration, Serializer, de};
    use serde::Deserialize as _;

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(de::Error::custom("expected a number of seconds, 0 or more"));
        }
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    pub(crate) mod option {
        use super::{Deserializer, Duration, Serializer};
        use serde::Deserialize as _;

        #[derive(serde::Serialize, serde::Deserialize)]
        struct Seconds(#[serde(with = "super")] Duration);

        #[expect(clippy::ref_option, reason = "the signature that serde calls")]
        pub(crate) fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            serde::Serialize::serialize(&duration.map(Seconds), serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Seconds>::deserialize(deserializer)?.map(|Seconds(duration)| duration))
        }
    }
}
