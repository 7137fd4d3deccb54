//! The words with which other programs say how they are: Spring Boot, ASP.NET, the draft of
//! application/health+json, gRPC, Elasticsearch, etcd, Kibana, and what people write by hand.

use health_core::Status;
use serde_json::Value;

/// Words for a service that works.
const UP: [&str; 21] = [
    "alive",
    "available",
    "green",
    "health_ok",
    "healthy",
    "live",
    "normal",
    "ok",
    "okay",
    "online",
    "operational",
    "pass",
    "passed",
    "passing",
    "ready",
    "running",
    "serving",
    "success",
    "true",
    "up",
    "working",
];

/// Words for one that works, though not as it should.
const DEGRADED: [&str; 6] = [
    "degraded",
    "health_warn",
    "partial",
    "warn",
    "warning",
    "yellow",
];

/// Words for one that does not work.
const DOWN: [&str; 22] = [
    "bad",
    "critical",
    "dead",
    "disabled",
    "down",
    "err",
    "error",
    "fail",
    "failed",
    "failing",
    "failure",
    "false",
    "fatal",
    "health_err",
    "not_ready",
    "not_serving",
    "offline",
    "out_of_service",
    "outage",
    "red",
    "unavailable",
    "unhealthy",
];

/// The members of a JSON object that tell how a program is.
const MEMBERS: [&str; 13] = [
    "status", "health", "healthy", "ok", "state", "overall", "level", "alive", "live", "ready",
    "up", "success", "working",
];

/// The depth up to which objects within objects are read.
const DEPTH: u8 = 4;

/// Returns what a word says; `None` if it is no word for that.
pub(crate) fn status(word: &str) -> Option<Status> {
    let word = word.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    let word = word.as_str();
    if UP.contains(&word) {
        Some(Status::Working)
    } else if DEGRADED.contains(&word) {
        Some(Status::Warning)
    } else {
        DOWN.contains(&word).then_some(Status::Unavailable)
    }
}

/// Returns what a JSON document says of the program as a whole, the worst of its members; `None` if
/// none of them is understood.
pub(super) fn verdict(document: &Value) -> Option<Status> {
    said(document, DEPTH)
}

fn said(value: &Value, depth: u8) -> Option<Status> {
    match value {
        Value::Bool(true) => Some(Status::Working),
        Value::Bool(false) => Some(Status::Unavailable),
        Value::String(word) => status(word),
        Value::Object(members) => {
            let depth = depth.checked_sub(1)?;
            let known = MEMBERS.iter().filter_map(|name| {
                let found = members
                    .iter()
                    .find(|(own, _)| own.eq_ignore_ascii_case(name));
                said(found?.1, depth)
            });
            known.max()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_says_what_its_worst_member_says() {
        let cases = [
            (json!({"status": "UP"}), Some(Status::Working)),
            (
                json!({"Status": "Healthy", "TotalDuration": "0.1"}),
                Some(Status::Working),
            ),
            (
                json!({"status": "out of service"}),
                Some(Status::Unavailable),
            ),
            (
                json!({"healthy": true, "status": "degraded"}),
                Some(Status::Warning),
            ),
            (
                json!({"status": {"overall": {"level": "unavailable"}}}),
                Some(Status::Unavailable),
            ),
            (json!({"health": "false"}), Some(Status::Unavailable)),
            (
                json!({"ok": false, "error": "x"}),
                Some(Status::Unavailable),
            ),
            (
                json!({"health": {"status": "HEALTH_WARN"}}),
                Some(Status::Warning),
            ),
            (json!({"status": 200}), None),
            (json!({"status": "unavailable: refused"}), None),
            (json!({"version": "up"}), None),
            (json!(["down"]), None),
        ];
        for (document, expected) in cases {
            assert_eq!(verdict(&document), expected, "{document}");
        }
        let deep = json!({"status": {"status": {"status": {"status": {"status": "down"}}}}});
        assert_eq!(verdict(&deep), None, "no deeper than a program writes it");
    }
}
