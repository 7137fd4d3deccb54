//! Tests the checks that measure this machine and this process.

#![cfg(all(
    feature = "config",
    feature = "cpu",
    feature = "file",
    feature = "limits",
    feature = "temperature"
))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs::{File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use health_checks::config::{Config, Options};
use health_core::{CheckReport, FailureKind, Health, Status};

fn health(table: &str) -> Health {
    let text = format!("[settings]\nttl = 0\n[[checks]]\n{table}");
    Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap()
}

async fn row(health: &Health) -> CheckReport {
    health.report().await.checks[0].clone()
}

fn refused(table: &str) -> String {
    let text = format!("[[checks]]\n{table}");
    Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap_err()
        .to_string()
}

fn observed(row: &CheckReport, name: &str) -> Option<f64> {
    row.observations
        .iter()
        .find(|seen| seen.name == name)
        .map(|seen| seen.value)
}

/// Creates a file of this size that was changed this long ago.
fn file(path: &Path, size: u64, age: Duration) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::now() - age))
        .unwrap();
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn the_newest_file_of_a_pattern_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let pattern = path("*.dump").display().to_string();
    let backup = health(&format!(
        "kind = \"file\"\npath = \"{pattern}\"\nage_max = \"26h\"\nsize_min = 1000\n"
    ));
    let missing = row(&backup).await;
    assert_eq!(missing.pretty_status(), "warning: there is no such file");
    assert_eq!(missing.errors[0].kind, FailureKind::NotFound);
    file(&path("monday.dump"), 5000, 50 * HOUR);
    file(&path("other.txt"), 5000, HOUR);
    let old = row(&backup).await;
    assert_eq!(
        old.pretty_status(),
        "warning: the file is 2days 2h old, and the limit is 1day 2h"
    );
    assert_eq!(old.errors[0].kind, FailureKind::Expired);
    file(&path("tuesday.dump"), 12, 2 * HOUR);
    assert_eq!(
        row(&backup).await.pretty_status(),
        "warning: the file has 12 bytes, fewer than 1000"
    );
    file(&path("wednesday.dump"), 1000, HOUR);
    std::fs::create_dir(path("folder.dump")).unwrap();
    let good = row(&backup).await;
    assert_eq!(good.pretty_status(), "working");
    assert_eq!(observed(&good, "size"), Some(1000.0));
    assert!(
        (3600.0..3700.0).contains(&observed(&good, "age").unwrap()),
        "{:?}",
        good.observations
    );
    let future = File::options()
        .write(true)
        .open(path("wednesday.dump"))
        .unwrap();
    future
        .set_times(FileTimes::new().set_modified(SystemTime::now() + 5 * HOUR))
        .unwrap();
    assert_eq!(
        observed(&row(&backup).await, "age"),
        Some(0.0),
        "a clock was set"
    );
}

#[tokio::test]
async fn a_file_that_is_being_written_does_not_count_yet() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let of = |name: &str, keys: &str| {
        let path = path(name).display().to_string();
        health(&format!(
            "kind = \"file\"\npath = \"{path}\"\nage_max = \"26h\"\n{keys}"
        ))
    };
    let backup = of("*.dump", "size_min = 1000\n");
    file(&path("monday.dump"), 5000, 20 * HOUR);
    file(&path("tuesday.dump"), 12, Duration::ZERO);
    assert_eq!(row(&backup).await.pretty_status(), "working");
    file(&path("monday.dump"), 5000, 30 * HOUR);
    assert!(
        row(&backup)
            .await
            .line()
            .contains("the file is 1day 6h old")
    );
    std::fs::remove_file(path("monday.dump")).unwrap();
    let alone = row(&backup).await;
    assert_eq!(
        alone.pretty_status(),
        "warning: the file has 12 bytes, fewer than 1000"
    );

    std::fs::create_dir(path("[shop]")).unwrap();
    file(&path("[shop]/db7.dump"), 5000, HOUR);
    assert_eq!(
        row(&of("[shop]/db7.dump", "")).await.pretty_status(),
        "working",
        "it is no class"
    );
    file(&path("db7.sql"), 5000, HOUR);
    assert_eq!(
        row(&of("db[0-9].sql", "")).await.pretty_status(),
        "working",
        "and this is one"
    );

    std::fs::create_dir_all(path("pg/monday")).unwrap();
    for name in ["pg/*", "pg"] {
        let folders = row(&of(name, "size_min = 1000\n")).await;
        assert_eq!(folders.pretty_status(), "working", "{name}");
        assert_eq!(observed(&folders, "size"), None);
    }
    let day = File::open(path("pg/monday")).unwrap();
    day.set_times(FileTimes::new().set_modified(SystemTime::now() - 50 * HOUR))
        .unwrap();
    let old = row(&of("pg/*", "")).await;
    assert!(
        old.line().contains("the file is 2days 2h old"),
        "{}",
        old.line()
    );
    file(&path("pg/today"), 5, HOUR);
    assert_eq!(
        row(&of("pg/*", "")).await.pretty_status(),
        "working",
        "files come first"
    );
}

#[test]
fn what_can_not_be_is_refused_by_name() {
    for (table, message) in [
        (
            "kind = \"file\"\npath = \"/a/***\"",
            "checks[1].path: expected a path, or a pattern",
        ),
        (
            "kind = \"file\"\npath = \"\"",
            "checks[1].path: expected a path, or a pattern",
        ),
        (
            "kind = \"file\"\npath = \"/a\"\nage_max = 0",
            "checks[1].age_max: expected more than 0",
        ),
        (
            "kind = \"limits\"\nusage_max = 101",
            "checks[1].usage_max: expected a percentage",
        ),
        (
            "kind = \"cpu\"\npressure_max = 200",
            "checks[1].pressure_max: expected a percentage",
        ),
        ("kind = \"temperature\"\nmax = true", "checks[1].max: "),
        (
            "kind = \"temperature\"\nmax = 900",
            "checks[1].max: expected at most 150",
        ),
    ] {
        assert!(
            refused(table).contains(message),
            "{table}: {}",
            refused(table)
        );
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn open_files_count_against_their_limit() {
    let limits = health("kind = \"limits\"\n");
    let before = row(&limits).await;
    assert_eq!(before.pretty_status(), "working");
    let held: Vec<_> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
    let after = row(&limits).await;
    let more = observed(&after, "open_files").unwrap() - observed(&before, "open_files").unwrap();
    assert!(
        (45.0..=60.0).contains(&more),
        "{more} for {} files",
        held.len()
    );
    assert!(observed(&after, "open_files_max").unwrap() >= 256.0);
    // All tasks of the user count against the limit, and none of root's.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    match observed(&after, "threads") {
        Some(threads) => assert!(threads >= 2.0),
        None => assert!(own.contains("\nUid:\t0\t") || observed(&after, "threads_max").is_none()),
    }
    let strict = row(&health("kind = \"limits\"\nusage_max = 0.0001\n")).await;
    assert!(
        strict
            .line()
            .contains("% of the open files that are allowed exceeds 0.0001%"),
        "{}",
        strict.line()
    );
    assert_eq!(strict.errors[0].kind, FailureKind::Saturated);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_cpus_are_measured_in_the_first_run_and_between_runs() {
    let cpu = health("kind = \"cpu\"\nusage_max = 0.001\nload_max = 100000\n");
    let first = observed(&row(&cpu).await, "used").unwrap();
    assert!((0.0..=100.0).contains(&first), "{first}");
    let began = std::time::Instant::now();
    let mut number = 1_u64;
    while began.elapsed() < Duration::from_millis(300) {
        number = number.wrapping_mul(31); // uses CPU time
    }
    let second = row(&cpu).await;
    let used = observed(&second, "used").unwrap();
    assert!(used > 0.0 && used <= 100.0, "{used} {number}");
    assert_eq!(second.status, Status::Warning);
    assert!(
        second.line().contains("% CPU usage exceeds 0.001%"),
        "{}",
        second.line()
    );
    assert!(
        observed(&second, "load_per_cpu").is_some(),
        "{:?}",
        second.observations
    );
}

#[tokio::test]
async fn a_machine_without_sensors_says_so() {
    let temperature = row(&health("kind = \"temperature\"\nmax = 150\n")).await;
    match observed(&temperature, "hottest_celsius") {
        Some(_) => assert_eq!(temperature.pretty_status(), "working"),
        None => assert_eq!(
            temperature.pretty_status(),
            "warning: the machine has no sensor that can be read"
        ),
    }
}
