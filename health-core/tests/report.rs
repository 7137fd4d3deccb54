//! The format `report` reads back without loss.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, SystemTime};

use health_core::{
    CheckReport, Endpoint, ErrorReport, FailureKind, Health, HealthCheckException, Observation,
    PastRun, Renderer as _, Report, ReportFormat, Scope, ServiceUnavailable, ServiceWarning,
    Status, Unit, UnknownError, check_fn,
};
use proptest::prelude::*;

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Working),
        Just(Status::Warning),
        Just(Status::Unknown),
        Just(Status::Unavailable)
    ]
}

/// A time between 1970 and the year 9999, to the nanosecond.
fn time() -> impl Strategy<Value = SystemTime> {
    (0..253_402_300_799_u64, 0..1_000_000_000_u32)
        .prop_map(|(s, n)| SystemTime::UNIX_EPOCH + Duration::new(s, n))
}

/// A duration of up to a month, to the nanosecond.
fn duration() -> impl Strategy<Value = Duration> {
    (0..2_600_000_u64, 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n))
}

fn error() -> impl Strategy<Value = ErrorReport> {
    let message = any::<String>();
    (message, 0..4_u8).prop_map(|(message, kind)| {
        let error: HealthCheckException = match kind {
            0 => ServiceWarning::new(message).into(),
            1 => ServiceUnavailable::new(message)
                .with_kind(FailureKind::TimedOut)
                .into(),
            2 => ServiceUnavailable::new("a").with_source(message).into(),
            _ => UnknownError::new(message).into(),
        };
        ErrorReport::from(&error)
    })
}

fn observation() -> impl Strategy<Value = Observation> {
    let unit = prop_oneof![
        Just(Unit::Percent),
        Just(Unit::Bytes),
        Just(Unit::Seconds),
        Just(Unit::Count)
    ];
    let value = any::<f64>().prop_filter("finite", |value| value.is_finite());
    (any::<String>(), value, unit)
        .prop_map(|(name, value, unit)| Observation::new(name, value, unit))
}

prop_compose! {
    fn row()(
        identifier in any::<String>(), statuses in (status(), status()), errors in prop::collection::vec(error(), 0..3),
        observations in prop::collection::vec(observation(), 0..3), flags in any::<[bool; 3]>(),
        names in prop::collection::btree_set(any::<String>(), 0..3), labels in prop::collection::btree_map(any::<String>(), any::<String>(), 0..3),
        duration in prop::option::of(duration()), times in prop::option::of((time(), time())), blocked in prop::option::of(any::<String>()),
        runs in prop::collection::vec((status(), duration(), time()), 0..25),
    ) -> CheckReport {
        let mut row = CheckReport::new(identifier);
        (row.status, row.raw_status) = statuses;
        (row.errors, row.observations, row.groups, row.labels, row.duration, row.blocked_by) = (errors, observations, names, labels, duration, blocked);
        [row.critical, row.fails_report, row.stale] = flags;
        (row.last_run, row.since, row.scope) = (times.map(|times| times.0), times.map(|times| times.1), Scope::Instance);
        row.history = runs.into_iter().map(|(status, duration, at)| PastRun::new(status, duration, at)).collect();
        row
    }
}

prop_compose! {
    fn report()(
        rows in prop::collection::vec(row(), 0..4), texts in any::<[Option<String>; 4]>(), redacted in any::<bool>(),
        times in (time(), time()), duration in duration(), excludes in prop::collection::vec(any::<String>(), 0..2),
        services in prop::collection::btree_map(any::<String>(), any::<String>(), 0..3),
    ) -> Report {
        let mut report = Report::new(rows);
        [report.group, report.notice, report.instance, report.version] = texts;
        (report.generated_at, report.built_at) = times;
        (report.duration, report.unknown_excludes, report.redacted) = (duration, excludes, redacted);
        report.grpc_services = services;
        report
    }
}

fn written(report: &Report) -> String {
    let mut text = String::new();
    ReportFormat.render(report, &mut text).unwrap();
    text
}

proptest! {
    #[test]
    fn a_report_reads_back_as_itself(report in report()) {
        prop_assert_eq!(serde_json::from_str::<Report>(&written(&report)).unwrap(), report);
    }

    #[test]
    fn a_text_that_is_no_report_is_an_error_and_no_panic(text in any::<String>(), report in report(), cut in any::<prop::sample::Index>()) {
        prop_assume!(serde_json::from_str::<serde_json::Value>(&text).is_err());
        prop_assert!(serde_json::from_str::<Report>(&text).is_err());
        let whole = written(&report);
        let end = whole.floor_char_boundary(cut.index(whole.len()));
        prop_assert!(serde_json::from_str::<Report>(&whole[..end]).is_err());
    }
}

#[test]
fn a_report_of_another_version_is_read_as_far_as_it_is_known() {
    let text = r#"{"healthy": false, "news": 1, "checks": [{"identifier": "a", "status": "unavailable", "raw_status": "unavailable",
        "errors": [{"message_type": "bad omen", "message": "m", "kind": "eclipse"}], "mood": "low"}]}"#;
    let report: Report = serde_json::from_str(text).unwrap();
    assert!(!report.healthy);
    assert_eq!(report.checks[0].errors[0].kind, FailureKind::Other);
    assert_eq!(report.checks[0].pretty_status(), "unknown error: m");
    let unknown = text.replace("\"status\": \"unavailable\"", "\"status\": \"so-so\"");
    let error = serde_json::from_str::<Report>(&unknown)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("not a status: expected one of working, warning, unknown, unavailable"),
        "{error}"
    );
}

#[test]
fn times_and_durations_that_can_not_be_written_become_the_nearest_ones() {
    let mut report = Report::new([]);
    report.generated_at = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    report.built_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    report.duration = Duration::MAX;
    let read: Report = serde_json::from_str(&written(&report)).unwrap();
    assert_eq!(read.generated_at, SystemTime::UNIX_EPOCH);
    assert_eq!(
        read.built_at,
        SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799)
    );
    assert_eq!(read.duration, Duration::MAX);
}

#[tokio::test]
async fn an_endpoint_answers_with_the_report_of_its_health() {
    let queue = check_fn("queue", || async {
        Err(ServiceUnavailable::new("refused")
            .with_source("secret cause")
            .into())
    });
    let health = Health::builder().check(queue).build().unwrap();
    let endpoint = Endpoint::new("/ht/", health.clone());
    let request = http::Request::get("/ht/")
        .header("accept", ReportFormat::MEDIA_TYPE)
        .body(())
        .unwrap();
    let answer = endpoint.respond(&request).await;
    assert_eq!(answer.headers()["content-type"], ReportFormat::MEDIA_TYPE);
    let text = std::str::from_utf8(answer.body()).unwrap();
    assert!(!text.contains("secret cause"), "{text}");
    assert_eq!(
        serde_json::from_str::<Report>(text).unwrap(),
        *health.report().await
    );
}
