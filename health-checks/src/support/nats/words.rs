//! The messages for what a NATS server reports.

use health_core::{
    FailureKind, HealthCheckException, Result, ServiceReturnedUnexpectedResult, ServiceUnavailable,
};
use serde_json::Value;

/// The codes of JetStream, from `errors.json` of the server.
mod code {
    /// The cluster has no leader at present.
    pub(super) const NOT_AVAILABLE: u64 = 10008;
    pub(super) const NO_RESOURCES: u64 = 10023;
    pub(super) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    pub(super) const NOT_ENABLED: u64 = 10076;
}

/// Returns the error in an answer of JetStream.
pub(super) fn judge(answer: &Value) -> Result {
    use FailureKind as Kind;
    let Some(error) = answer.get("error") else {
        return Ok(());
    };
    let (kind, message) = match error.get("err_code").and_then(Value::as_u64) {
        Some(code::NOT_AVAILABLE) => (
            Kind::Lost,
            "JetStream is temporarily unavailable: its cluster has no leader",
        ),
        Some(code::NO_RESOURCES) => (
            Kind::Saturated,
            "JetStream has no resources left: memory or storage",
        ),
        Some(code::NOT_ENABLED | code::NOT_ENABLED_FOR_ACCOUNT) => return Err(no_responders()),
        _ => (Kind::Other, "JetStream reports an error"),
    };
    let error = ServiceUnavailable::new(message).with_kind(kind);
    Err(error.with_source(answer.to_string()).into())
}

/// Returns the error of a request to which nobody responds.
pub(super) fn no_responders() -> HealthCheckException {
    unavailable(FailureKind::NotFound, "JetStream is not enabled")
}

/// Returns `true` for an error after which the server keeps the connection: it closes it after all
/// others.
pub(super) fn is_answer(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.contains("permissions violation") || line.contains("invalid subject")
}

pub(super) fn unavailable(kind: FailureKind, message: &'static str) -> HealthCheckException {
    ServiceUnavailable::new(message).with_kind(kind).into()
}

pub(super) fn no_nats() -> HealthCheckException {
    ServiceReturnedUnexpectedResult::new("the server does not speak NATS").into()
}

/// Converts an error of the server: `-ERR 'Authorization Violation'`.
pub(super) fn of_server(line: &str) -> HealthCheckException {
    use FailureKind as Kind;
    let text = line.to_ascii_lowercase();
    let (kind, message) = match text.as_str() {
        text if text.contains("authentication expired") => {
            (Kind::Expired, "the credentials have expired")
        }
        text if text.contains("revoked") => (Kind::Authentication, "the credentials were revoked"),
        text if text.contains("authorization") || text.contains("authentication") => {
            (Kind::Authentication, "authentication failed")
        }
        text if text.contains("permissions violation") => (Kind::Forbidden, "permission denied"),
        text if text.contains("maximum") && text.contains("exceeded") => {
            (Kind::Saturated, "the server takes no more connections")
        }
        text if text.contains("stale connection") => (Kind::Lost, "connection lost"),
        text if text.contains("tls") => {
            (Kind::Tls, "the server wants TLS: write tls:// in the URL")
        }
        _ => (Kind::Other, "the server reports an error"),
    };
    ServiceUnavailable::new(message)
        .with_kind(kind)
        .with_source(line.to_owned())
        .into()
}
