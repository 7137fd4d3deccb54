//! Tests of the counters of the feature `metrics`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use health_core::{CheckExt, Health, ServiceUnavailable, check_fn};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

#[test]
fn runs_and_transitions_are_counted() {
    let recorder = DebuggingRecorder::new();
    let counters = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let runs = AtomicU32::new(0);
            let queue = check_fn("queue", move || {
                let fails = runs.fetch_add(1, Ordering::Relaxed) >= 2;
                async move {
                    if fails {
                        Err(ServiceUnavailable::new("gone").into())
                    } else {
                        Ok(())
                    }
                }
            });
            let health = Health::builder()
                .check(queue.ttl(Duration::ZERO))
                .build()
                .unwrap();
            for _ in 0..5 {
                health.report().await;
            }
        });
    });
    let counted: BTreeMap<String, u64> = counters
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key
                .key()
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let DebugValue::Counter(value) = value else {
                panic!("{key:?} is no counter")
            };
            (format!("{} {}", key.key().name(), labels.join(" ")), value)
        })
        .collect();
    let expected = [
        ("health_check_runs_total check=queue status=unavailable", 3),
        ("health_check_runs_total check=queue status=working", 2),
        (
            "health_check_transitions_total check=queue status=unavailable",
            1,
        ),
        (
            "health_check_transitions_total check=queue status=working",
            1,
        ),
    ];
    assert_eq!(
        counted,
        expected
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    );
}
