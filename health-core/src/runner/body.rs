//! The verdict of a run as text, for the other replicas. The text of another replica is not
//! trusted, so its size is limited.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::verdict::Verdict;
use crate::{ErrorReport, ErrorType, FailureKind, Observation, Status, serde_time};

/// The maximum number of bytes of a verdict.
const MOST: usize = 2048;

/// The maximum number of characters of a message, and of a name.
const MOST_CHARACTERS: usize = 300;

const MOST_ERRORS: usize = 4;
const MOST_OBSERVATIONS: usize = 8;

/// The length of the random part of a replica's name, with its dash.
const SUFFIX: usize = 17;

/// A verdict of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// The name of the replica that has run the check.
    pub(crate) by: String,
    status: Status,
    #[serde(with = "serde_time::seconds")]
    duration: Duration,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    observations: Vec<Observation>,
}

impl Body {
    pub(crate) fn of(verdict: &Verdict, me: &str) -> Self {
        Self {
            by: me.to_owned(),
            status: verdict.status,
            duration: verdict.duration,
            errors: verdict.errors.clone(),
            observations: verdict.observations.clone(),
        }
    }

    /// Returns the text, cut to what every replica accepts.
    pub(crate) fn to_text(&self) -> String {
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
    pub(crate) fn from_text(text: &str, ok: bool) -> Option<Self> {
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
            body.errors.push(ErrorReport {
                message_type: if is_ok {
                    ErrorType::Warning
                } else {
                    ErrorType::Unavailable
                },
                message: "another replica gives no reason".into(),
                kind: FailureKind::Other,
                reference: None,
            });
        }
        Some(body)
    }

    /// Returns the name of the machine that has run the check.
    pub(crate) fn host(&self) -> &str {
        let end = self
            .by
            .len()
            .checked_sub(SUFFIX)
            .filter(|&end| self.by.is_char_boundary(end));
        end.map_or(&self.by, |end| &self.by[..end])
    }

    /// Returns the verdict of a run that ended at this time.
    pub(crate) fn verdict(&self, at: Instant, now: Instant, sleeps: u64) -> Verdict {
        let age = now.saturating_duration_since(at);
        Verdict {
            status: self.status,
            errors: self.errors.clone(),
            causes: Vec::new(),
            observations: self.observations.clone(),
            duration: self.duration,
            started: at.checked_sub(self.duration).unwrap_or(at),
            finished: at,
            finished_at: SystemTime::now()
                .checked_sub(age)
                .unwrap_or(SystemTime::UNIX_EPOCH),
            sleeps,
        }
    }

    fn capped(mut self) -> Self {
        self.by = capped(&self.by, MOST_CHARACTERS);
        self.duration = self.duration.min(Duration::from_secs(3600));
        self.errors.truncate(MOST_ERRORS);
        for error in &mut self.errors {
            error.message = capped(&error.message, MOST_CHARACTERS);
            let is_reference = |text: &String| {
                text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            error.reference = error.reference.take().filter(is_reference);
        }
        self.observations.truncate(MOST_OBSERVATIONS);
        self.observations
            .retain(|observation| observation.name.chars().count() <= MOST_CHARACTERS);
        self
    }
}

/// Removes the control characters of a text, and cuts it to `most` characters.
fn capped(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(most)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceUnavailable;

    fn failed(messages: usize, length: usize) -> Body {
        let error = ErrorReport::from(&ServiceUnavailable::new("é".repeat(length)).into());
        let verdict = Verdict {
            errors: vec![error; messages],
            ..Verdict::of(Status::Unavailable)
        };
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
        let text = r#"{"by":"a\u001b[31m","status":"unavailable","duration":1e9,"errors":[{"message_type":"unavailable",
            "message":"a\nb\u0007","kind":"refused","reference":"<script>"}]}"#;
        let body = Body::from_text(text, false).expect("it is readable");
        assert_eq!(body.by.as_str(), "a[31m");
        assert_eq!(body.errors[0].message.as_str(), "ab");
        assert_eq!(body.errors[0].reference.as_ref(), None);
        assert_eq!(body.duration, Duration::from_secs(3600));
        let empty = r#"{"by":"a","status":"unavailable","duration":1}"#;
        assert_eq!(
            Body::from_text(empty, false)
                .expect("it is readable")
                .errors
                .len(),
            1
        );
    }
}
