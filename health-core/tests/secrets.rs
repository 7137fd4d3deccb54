//! Tests that no secret of a check is shown or logged, whatever quotes it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{
    BoxCheck, CheckExt, Findings, Health, HealthCheck, Result, Secret, ServiceUnavailable,
    ServiceWarning, UnknownError, check_fn_with,
};
use tracing::field::{Field, Visit};
use tracing::span;

/// Writes down all fields of all events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = format!("{}: ", event.metadata().target());
        event.record(&mut Fields(&mut text));
        self.0.lock().unwrap().push(text);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Runs a check once. Returns its rows and the log.
async fn shown(check: impl HealthCheck) -> (String, String) {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let health = Health::builder()
        .check(check.timeout(Duration::from_secs(1)))
        .build()
        .unwrap();
    let rows = format!("{:?}", health.report().await.checks);
    drop(guard);
    (rows, log.0.lock().unwrap().join("\n"))
}

const SECRET: &str = "c4n4ry-0f-n0-us3";

fn url() -> Secret {
    format!("redis://app:{SECRET}@cache.internal/0").into()
}

/// A wrapper that knows nothing of secrets.
struct Wrapper<C>(C);

impl<C: HealthCheck> HealthCheck for Wrapper<C> {
    async fn check_status(&self, findings: &Findings) -> Result {
        self.0.check_status(findings).await
    }

    fn identifier(&self) -> Cow<'_, str> {
        self.0.identifier()
    }
}

#[tokio::test]
async fn what_a_check_conceals_is_in_no_row_and_in_no_log() {
    let check = check_fn_with("cache", |findings: Findings| async move {
        findings.add_error(ServiceWarning::new("slow").with_source(format!("'{SECRET}' is slow")));
        findings.conceal(&url());
        findings.add_error(ServiceUnavailable::new(format!("refused {SECRET}")));
        Err(
            UnknownError::caused_by(format!("unknown command 'HELLO': '3' 'AUTH' '{SECRET}'"))
                .into(),
        )
    });
    let (rows, log) = shown(Wrapper(Wrapper(check))).await;
    for text in [&rows, &log] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(rows.contains("refused ***"), "{rows}");
    for cause in ["'***' is slow", "unknown command 'HELLO': '3' 'AUTH' '***'"] {
        assert!(log.contains(cause), "{log}");
    }
    // The reference in the message is that of the cause in the log.
    let reference = rows.split("see log (ref ").nth(1).unwrap();
    let reference = &reference[..4];
    assert!(
        log.contains(&format!(
            "reference=\"{reference}\" cause=\"unknown command"
        )),
        "{reference}: {log}"
    );
}

#[tokio::test]
async fn what_a_box_conceals_is_concealed_in_each_run() {
    let check = check_fn_with("cache", |_| async {
        Err(ServiceUnavailable::new("refused")
            .with_source(format!("'{SECRET}'"))
            .into())
    });
    let check = BoxCheck::new(check).concealing([url()]);
    let (rows, log) = shown(Wrapper(BoxCheck::new(check))).await;
    assert!(
        !rows.contains(SECRET) && log.contains("cause=\"'***'\""),
        "{rows} {log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_early_conceals_as_well() {
    let quoting = |findings: &Findings| {
        findings.conceal(&url());
        findings.add_error(ServiceUnavailable::new("refused").with_source(format!("'{SECRET}'")));
    };
    let hangs = check_fn_with("hangs", move |findings: Findings| async move {
        quoting(&findings);
        std::future::pending().await
    });
    let panics = check_fn_with("panics", move |findings: Findings| async move {
        quoting(&findings);
        panic!("{SECRET}")
    });
    for (rows, log) in [shown(hangs).await, shown(panics).await] {
        assert!(
            !rows.contains(SECRET) && !log.contains(SECRET),
            "{rows} {log}"
        );
        assert!(log.contains("cause=\"'***'\""), "{log}");
    }
}

/// A password that is a word of a message does not change what monitors match on.
#[tokio::test]
async fn a_literal_message_stays_as_it_is() {
    let check = check_fn_with("cache", |findings: Findings| async move {
        findings.conceal(&"redis".into());
        Err(ServiceUnavailable::new("Unable to connect to Redis: Timeout.").into())
    });
    let (rows, _) = shown(check).await;
    assert!(
        rows.contains("Unable to connect to Redis: Timeout."),
        "{rows}"
    );
}

/// A password that is rotated does not make a new cause of an old one.
#[tokio::test]
async fn the_reference_does_not_depend_on_the_secret() {
    let references = ["first-password", "other-password"].map(|password| {
        let error = ServiceUnavailable::new("refused").with_source(format!("wrong {password}"));
        let error = health_core::HealthCheckException::from(error);
        error.conceal([&Secret::from(password)]).reference()
    });
    assert!(references[0].is_some());
    assert_eq!(references[0], references[1]);
}

#[test]
fn secrets_are_collected_wherever_they_are_in_settings() {
    #[derive(serde::Deserialize)]
    struct Settings {
        #[expect(dead_code)]
        url: Secret,
        #[expect(dead_code)]
        headers: BTreeMap<String, Secret>,
        #[expect(dead_code)]
        token: Option<Secret>,
    }
    let text = r#"{"url": "a", "headers": {"x": "b", "y": "c"}, "token": "d"}"#;
    let (settings, secrets) = Secret::collect(|| serde_json::from_str::<Settings>(text));
    assert!(settings.is_ok());
    let secrets: Vec<_> = secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["a", "b", "c", "d"]);
    assert!(Secret::collect(|| ()).1.is_empty());
}
