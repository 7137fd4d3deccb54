//! The answers that the caller takes for healthy.

use std::str::FromStr;

use serde_json::Value;

/// The status codes and the values of the JSON that a healthy endpoint has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(super) statuses: Vec<u16>,
    pub(super) json: Vec<Member>,
}

/// A value of the JSON, and its place as a JSON Pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pointer: String,
    value: String,
}

impl FromStr for Member {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pointer, value) = text
            .split_once('=')
            .ok_or("expected POINTER=VALUE, such as /status=green")?;
        if !pointer.starts_with('/') {
            return Err("expected a pointer that begins with /, such as /status=green");
        }
        Ok(Self {
            pointer: pointer.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl Member {
    fn is_in(&self, json: &Value) -> bool {
        json.pointer(&self.pointer)
            .is_some_and(|found| match found {
                Value::String(text) => *text == self.value,
                other => format!("{other}") == self.value,
            })
    }
}

impl Expected {
    /// Returns `true` if the caller has named values, so that no other word of the JSON counts.
    pub(super) fn has_json(&self) -> bool {
        !self.json.is_empty()
    }

    /// Returns the verdict about an answer that is no report; `None` if the caller expects nothing.
    pub(super) fn judge(&self, status: u16, json: Option<&Value>) -> Option<bool> {
        if self.statuses.is_empty() && self.json.is_empty() {
            return None;
        }
        let is_status = match self.statuses.as_slice() {
            [] => (200..300).contains(&status),
            wanted => wanted.contains(&status),
        };
        let has_all = self
            .json
            .iter()
            .all(|member| json.is_some_and(|json| member.is_in(json)));
        Some(is_status && has_all)
    }
}
