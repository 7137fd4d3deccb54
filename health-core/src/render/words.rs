use std::time::{Duration, SystemTime};

use crate::Status;

/// The maximum number of characters of a name that stays in one piece. Such names fit, and keyword
/// monitors search the page for those of the built-in checks.
const FITS: usize = 32;

/// Formats a duration for people: `0.3 ms`, `12 ms`, `1.2 s`, `3 min`, `5 h`, `2 d`.
pub(super) fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 if seconds < 0.001 => format!("{:.1} ms", seconds * 1000.0),
        0 => format!("{:.0} ms", seconds * 1000.0),
        1..60 => format!("{} s", (seconds * 10.0).floor() / 10.0),
        whole @ 60..3_600 => format!("{} min", whole / 60),
        whole @ 3_600..172_800 => format!("{} h", whole / 3_600),
        whole => format!("{} d", whole / 86_400),
    }
}

/// Formats the time that has passed since `then`: `3 s ago`, `just now`.
pub(super) fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then).unwrap_or_default() {
        age if age < Duration::from_secs(1) => "just now".into(),
        age if age < Duration::from_secs(60) => format!("{} s ago", age.as_secs()),
        age => format!("{} ago", brief(age)),
    }
}

/// Formats a time as RFC 3339, to the second, in UTC.
pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Splits a name into pieces: before each capital that begins a word, and after characters that are
/// neither letters nor digits.
pub(super) fn parts(name: &str) -> Vec<&str> {
    if name.chars().count() <= FITS {
        return vec![name];
    }
    let letters: Vec<(usize, char)> = name.char_indices().collect();
    let begins = letters.windows(2).filter_map(|pair| {
        let [(_, before), (at, letter)] = *pair else {
            return None;
        };
        let is_hump = before.is_lowercase() && letter.is_uppercase();
        (is_hump || (!before.is_alphanumeric() && letter.is_alphanumeric())).then_some(at)
    });
    let borders: Vec<usize> = [0].into_iter().chain(begins).chain([name.len()]).collect();
    borders
        .windows(2)
        .map(|border| &name[border[0]..border[1]])
        .collect()
}

/// Returns the class of a status in the page's style.
pub(super) fn tone(status: Status) -> &'static str {
    match status {
        Status::Working => "good",
        Status::Warning => "fair",
        Status::Unknown => "open",
        Status::Unavailable => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (millis, says) in [
            (0, "0.0 ms"),
            (12, "12 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_260, "1.2 s"),
            (59_990, "59.9 s"),
            (61_000, "1 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(brief(Duration::from_millis(millis)), says);
        }
        assert_eq!(brief(Duration::from_micros(340)), "0.3 ms");
        let then = SystemTime::UNIX_EPOCH;
        assert_eq!(ago(then, then + Duration::from_millis(1_900)), "1 s ago");
        assert_eq!(ago(then, then + Duration::from_secs(90 * 60)), "1 h ago");
        assert_eq!(
            ago(then + Duration::from_secs(5), then),
            "just now",
            "clocks may be set back"
        );
    }

    #[test]
    fn long_names_break_between_words() {
        let broken = |name: &'static str| parts(name).join("|");
        assert_eq!(
            broken("RecommendationsStorageHealthCheck"),
            "Recommendations|Storage|Health|Check"
        );
        assert_eq!(
            broken("recommendations_of_the_neighbours"),
            "recommendations_|of_|the_|neighbours"
        );
        assert_eq!(
            broken("S3StorageHealthCheck:eu-central-1"),
            "S3Storage|Health|Check:|eu-|central-|1"
        );
        assert_eq!(
            broken("ÜberraschendLangerNameVollerÄrger"),
            "Überraschend|Langer|Name|Voller|Ärger"
        );
        assert_eq!(
            broken("DefaultFileStorageHealthCheck"),
            "DefaultFileStorageHealthCheck",
            "it fits"
        );
        assert_eq!(broken(""), "");
    }
}
