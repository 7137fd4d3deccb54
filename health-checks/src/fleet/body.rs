//! The verdict of a run as text, for the other replicas. The text of another replica is not
//! trusted, so its size is limited.

use std::time::{Duration, Instant, SystemTime};

use health_core::{
    ErrorReport, HealthCheckException, Observation, ServiceUnavailable, ServiceWarning, Status,
    Verdict,
};
use serde::{Deserialize, Serialize};

/// The maximum number of bytes of a verdict.
const MOST: usize = 2048;

/// The maximum number of characters of a message, and of a name.
const MOST_CHARACTERS: usize = 300;

const MOST_ERRORS: usize = 4;
const MOST_OBSERVATIONS: usize = 8;

/// The length of the random part of a replica's name, with its dash.
const SUFFIX: usize = 17;

/// The longest duration of a run that is believed, in seconds.
const LONGEST: f64 = 3600.0;

/// A verdict of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Body {
    /// The name of the replica that has run the check.
    pub(super) by: String,
    status: Status,
    /// The duration of the run, in seconds.
    duration: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    observations: Vec<Observation>,
}

impl Body {
    pub(super) fn of(verdict: &Verdict, me: &str) -> Self {
        Self {
            by: me.to_owned(),
            status: verdict.status,
            duration: verdict.duration.as_secs_f64(),
            errors: verdict.errors.clone(),
            observations: verdict.observations.clone(),
        }
    }

    /// Returns the text, cut to what every replica accepts.
    pub(super) fn to_text(&self) -> String {
        let mut body = self.clone().capped();
        loop {
            let text = serde_json::to_string(&body).unwrap_or_default();
            if text.len() <= MOST {
                return text;
            }
            if body.observations.pop().is_none()
                && (body.errors.len() < 2 || body.errors.pop().is_none())
            {
                body.errors
                    .iter_mut()
                    .for_each(|error| error.message = capped(&error.message, MOST_CHARACTERS / 4));
                return serde_json::to_string(&body).unwrap_or_default();
            }
        }
    }

    /// Reads the text of a replica. Returns `None` if it is unreadable, or contradicts what the
    /// fleet says about it.
    pub(super) fn from_text(text: &str, ok: bool) -> Option<Self> {
        let body: Self = if text.len() <= MOST {
            serde_json::from_str(text).ok()?
        } else {
            return None;
        };
        let mut body = body.capped();
        let is_ok = body.status <= Status::Warning;
        if is_ok != ok || body.status == Status::Unknown {
            return None;
        }
        if body.status == Status::Working {
            body.errors.clear();
        } else if body.errors.is_empty() {
            let message = "another replica gives no reason";
            let error: HealthCheckException = if is_ok {
                ServiceWarning::new(message).into()
            } else {
                ServiceUnavailable::new(message).into()
            };
            body.errors.push(ErrorReport::from(&error));
        }
        Some(body)
    }

    /// Returns the name of the machine that has run the check.
    pub(super) fn host(&self) -> &str {
        let end = self
            .by
            .len()
            .checked_sub(SUFFIX)
            .filter(|&end| self.by.is_char_boundary(end));
        end.map_or(&self.by, |end| &self.by[..end])
    }

    /// Returns the verdict of a run that ended at this time.
    pub(super) fn verdict(&self, finished: Instant, finished_at: SystemTime) -> Verdict {
        let mut verdict = Verdict::new(self.status, finished, finished_at);
        verdict.errors.clone_from(&self.errors);
        verdict.observations.clone_from(&self.observations);
        verdict.duration = Duration::try_from_secs_f64(self.duration).unwrap_or_default();
        verdict
    }

    fn capped(mut self) -> Self {
        self.by = capped(&self.by, MOST_CHARACTERS);
        self.duration = self.duration.clamp(0.0, LONGEST);
        self.errors.truncate(MOST_ERRORS);
        for error in &mut self.errors {
            error.message = capped(&error.message, MOST_CHARACTERS);
            let is_reference = |text: &String| {
                text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            error.reference = error.reference.take().filter(is_reference);
        }
        self.observations.truncate(MOST_OBSERVATIONS);
        self.observations.retain(|observation| {
            observation.value.is_finite()
                && observation.name.chars().count() <= MOST_CHARACTERS
                && !observation.name.contains(is_unsafe)
        });
        self
    }
}

/// Removes the characters of a text that could change what is around it, and cuts it to `most`
/// characters.
fn capped(text: &str, most: usize) -> String {
    text.chars().filter(|c| !is_unsafe(*c)).take(most).collect()
}

/// Returns `true` for control characters, and for those that change the direction of text.
fn is_unsafe(c: char) -> bool {
    let is_bidirectional = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    is_bidirectional || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(messages: usize, length: usize) -> Body {
        let error = ErrorReport::from(&ServiceUnavailable::new("é".repeat(length)).into());
        let mut verdict = Verdict::new(Status::Unavailable, Instant::now(), SystemTime::now());
        verdict.errors = vec![error; messages];
        Body::of(&verdict, "web-7-0123456789abcdef")
    }

    #[test]
    fn a_verdict_comes_back_as_it_was() {
        let body = failed(1, 20);
        assert_eq!(Body::from_text(&body.to_text(), false), Some(body.clone()));
        assert_eq!(body.host(), "web-7");
    }

    #[test]
    fn a_long_verdict_is_cut_to_what_is_accepted() {
        for (messages, length) in [(100, 10), (1, 100_000), (100, 100_000)] {
            let text = failed(messages, length).to_text();
            assert!(text.len() <= MOST, "{}", text.len());
            assert!(Body::from_text(&text, false).is_some());
        }
    }

    #[test]
    fn an_unreadable_text_is_no_verdict() {
        let text = failed(1, 3).to_text();
        let long = format!("{}{}", text, " ".repeat(MOST));
        for wrong in [
            "",
            "{}",
            "null",
            "[1]",
            "\u{0}",
            &text[..text.len() - 1],
            &long,
        ] {
            assert_eq!(Body::from_text(wrong, false), None, "{wrong:?}");
        }
        assert_eq!(
            Body::from_text(&text, true),
            None,
            "it says that it works, and that it does not"
        );
        assert_eq!(
            Body::from_text(
                &text.replace("unavailable\",\"dur", "unknown\",\"dur"),
                false
            ),
            None
        );
    }

    #[test]
    fn the_text_of_an_untrusted_replica_is_capped() {
        let text = r#"{"by":"a\u001b[31m\u202e","status":"unavailable","duration":1e9,"errors":[{"message_type":"unavailable",
            "message":"a\nb\u0007\u2066c\u200f","kind":"refused","reference":"<script>"}],
            "observations":[{"name":"a\u202eb","value":1,"unit":"count"},{"name":"c","value":1,"unit":"count"}]}"#;
        let body = Body::from_text(text, false).expect("it is readable");
        assert_eq!(body.by.as_str(), "a[31m");
        assert_eq!(body.errors[0].message.as_str(), "abc");
        assert_eq!(body.errors[0].reference.as_ref(), None);
        assert_eq!(body.observations.len(), 1);
        let verdict = body.verdict(Instant::now(), SystemTime::now());
        assert_eq!(verdict.duration, Duration::from_hours(1));
        let empty = r#"{"by":"a","status":"unavailable","duration":-1}"#;
        let body = Body::from_text(empty, false).expect("it is readable");
        assert_eq!(body.errors.len(), 1);
        assert_eq!(body.duration.to_bits(), 0.0_f64.to_bits());
    }
}
