//! Prometheus: its configuration, its alerts and its stored series; Grafana: its queries.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Process, Served, ask, config, folder, free_port, outcome, program, recipe, replaced, run, until,
};

const MAX_WAIT: Duration = Duration::from_secs(30);
/// A check that fails and is not critical.
const BROKEN: &str =
    "[[checks]]\nkind = \"storage\"\npath = \"/no/such/folder\"\ncritical = false\n";

fn promtool() -> Command {
    let mut promtool = program("promtool", "prometheus");
    promtool.current_dir(folder());
    promtool
}

#[test]
fn prometheus_takes_the_configuration_and_the_alerts_fire_as_they_should() {
    let checked = run(promtool().args(["check", "config", "prometheus.yml"]));
    assert!(checked.contains("1 rule files found"), "{checked}");
    let checked = run(promtool().args(["check", "rules", "health-rules.yml"]));
    assert!(checked.contains("8 rules found"), "{checked}");
    run(promtool().args(["test", "rules", "health-rules-test.yml"]));
}

/// A Prometheus with the files of the recipe, which scrapes `target` every second.
struct Prometheus {
    address: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let every_second = [
            ("shop:8000", target),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
        ];
        let changes = [
            &every_second[..],
            &[("scrape_timeout: 10s", "scrape_timeout: 1s")],
            more,
        ]
        .concat();
        let place = |name: &str| folder.path().join(name);
        fs::write(
            place("prometheus.yml"),
            replaced(&recipe("prometheus.yml"), &changes),
        )
        .unwrap();
        fs::write(place("health-rules.yml"), recipe("health-rules.yml")).unwrap();
        let mut command = program("prometheus", "prometheus");
        command.arg(option("--config.file", &place("prometheus.yml")));
        command.arg(option("--storage.tsdb.path", &place("data")));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(&mut command, &place("log"));
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// Returns the labels and the value of each series, or nothing while Prometheus does not
    /// respond.
    fn query(&self, expression: &str) -> Vec<(Value, String)> {
        let path = format!("/api/v1/query?query={expression}");
        let Ok((200, body)) = ask(&self.address, &path, "") else {
            return Vec::new();
        };
        let answer: Value = serde_json::from_str(&body).unwrap();
        let series = answer["data"]["result"].as_array().unwrap();
        series
            .iter()
            .map(|one| {
                (
                    one["metric"].clone(),
                    one["value"][1].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

#[test]
fn prometheus_scrapes_and_grafanas_queries_are_answered() {
    let served = Served::start(&(config() + BROKEN));
    let prometheus = Prometheus::start(&served.address, &[]);
    let rows = until("health_check_healthy is stored", MAX_WAIT, || {
        Some(prometheus.query("health_check_healthy")).filter(|rows| !rows.is_empty())
    });
    let rows: Vec<_> = rows
        .iter()
        .map(|(labels, value)| (labels["check"].as_str().unwrap(), value.as_str()))
        .collect();
    for expected in [
        ("CacheBackend", "1"),
        ("DefaultFileStorageHealthCheck", "0"),
        ("DiskUsage", "1"),
        ("MemoryUsage", "1"),
    ] {
        assert!(rows.contains(&expected), "{expected:?} is not in {rows:?}");
    }
    let overall = prometheus.query("health_check_overall_healthy");
    assert_eq!(
        overall.first().map(|(_, value)| value.as_str()),
        Some("1"),
        "{overall:?}"
    );
    let rules = ask(&prometheus.address, "/api/v1/rules", "").unwrap().1;
    assert!(rules.contains("HealthVerdictOld"), "{rules}");

    dashboard_is_answered(&prometheus);
}

#[test]
fn prometheus_shows_the_token() {
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "from-a-password-manager").unwrap();
    let config = replaced(
        &config(),
        &[(
            "[settings]\n",
            "[settings]\ntoken = \"from-a-password-manager\"\n",
        )],
    );
    let served = Served::start(&config);
    let authorized = [
        ("# authorization:", "authorization:"),
        ("#   credentials_file", "  credentials_file"),
        ("/etc/prometheus/shop-token", token.path().to_str().unwrap()),
    ];
    let up = |more: &[(&str, &str)], expected: &str| {
        let prometheus = Prometheus::start(&served.address, more);
        until(&format!("up is {expected}"), MAX_WAIT, || {
            prometheus
                .query("up")
                .into_iter()
                .find(|(_, value)| value == expected)
        });
        prometheus.query("health_check_overall_healthy").len()
    };
    assert_eq!(up(&authorized, "1"), 1);
    assert_eq!(up(&[], "0"), 0);
}

fn dashboard_is_answered(prometheus: &Prometheus) {
    let dashboard: Value = serde_json::from_str(&recipe("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().replace("$job", "shop"))
        .collect();
    assert!(queries.len() >= 4, "{queries:?}");
    let url = format!("http://{}", prometheus.address);
    let query = |expression: &str| outcome(promtool().args(["query", "instant", &url, expression]));
    assert!(!query("sum(").0, "promtool takes anything for a query");
    for expression in queries {
        let (success, output) = query(&expression);
        assert!(success, "{expression}: {output}");
        assert!(
            !output.trim().is_empty(),
            "nothing is found by {expression}"
        );
    }
}
