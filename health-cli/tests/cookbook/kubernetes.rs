//! Kubernetes: the API's schemas accept the manifests, the numbers fit together, and the paths
//! respond.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::support::{HEALTH, Served, config, get, outcome, recipe, run};
use crate::yaml::yaml;

const LONGEST_REQUEST: i64 = 20;

/// Validates a manifest against the schemas of the oldest API in use and of the newest one: unknown
/// fields and values of another type are errors.
fn validated(manifest: &str) -> (bool, String) {
    let program = std::env::var("KUBERNETES_VALIDATE").unwrap_or_else(|_| {
        panic!("KUBERNETES_VALIDATE is not set: run `cargo xtask test`, which installs it")
    });
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(manifest.as_bytes()).unwrap();
    outcome(
        Command::new(program)
            .args(["--strict", "-k", "1.25", "-k", "1.37"])
            .arg(file.path()),
    )
}

#[test]
fn kubernetes_api_has_schemas_that_take_the_manifest_and_not_a_wrong_one() {
    let manifest = recipe("kubernetes.yaml");
    let (is_valid, said) = validated(&manifest);
    assert!(is_valid, "{said}");
    for (from, to, what) in [
        (
            "failureThreshold: 3",
            "failureTreshold: 3",
            "failureTreshold",
        ),
        (
            "terminationGracePeriodSeconds: 30",
            "terminationGracePeriodSeconds: 30s",
            "30s",
        ),
        ("httpGet:", "httpget:", "httpget"),
        (
            "  selector:\n    matchLabels:\n      app: shop\n",
            "",
            "selector",
        ),
    ] {
        let (is_valid, said) = validated(&manifest.replacen(from, to, 1));
        assert!(!is_valid && said.contains(what), "{to}: {said}");
    }
}

#[test]
fn kubernetes_api_takes_the_probes_that_validate_prints() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.toml");
    let other = "[settings]\ndrain_delay = 0\ntoken = \"t0ken\"\nprobe_budget = 3\n";
    for (config, flag, port) in [
        ("", "--port", "8000"),
        (other, "--port", "http"),
        (other, "--grpc", "50051"),
    ] {
        fs::write(&file, format!("{config}[[checks]]\nkind = \"cache\"\n")).unwrap();
        let mut command = Command::new(HEALTH);
        command
            .env_clear()
            .args(["validate", "--kubernetes", flag, port, "--config"])
            .arg(&file);
        let printed = run(&mut command);
        let (pod, container) = printed.split_once("# In the container's spec:\n").unwrap();
        let (is_valid, said) = validated(&deployment(pod, container));
        assert!(is_valid, "{printed}{said}");
        assert!(
            ["liveness", "readiness", "startup"]
                .iter()
                .all(|name| container.contains(&format!("{name}Probe:")))
        );
        let wrong = container.replacen("periodSeconds", "period", 1);
        assert!(!validated(&deployment(pod, &wrong)).0);
    }
}

/// Returns a deployment with these fragments in the specs of its pod and of its container.
fn deployment(pod: &str, container: &str) -> String {
    let indented = |text: &str, by: usize| {
        format!("\n{}", text.trim_end()).replace('\n', &format!("\n{:by$}", ""))
    };
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  selector:\n    matchLabels:\n      \
         app: shop\n  template:\n    metadata:\n      labels:\n        app: shop\n    spec:{}\n      containers:\n        \
         - name: shop\n          image: shop:1.0\n          ports:\n            - name: http\n              \
         containerPort: 8000{}\n",
        indented(pod, 6),
        indented(container, 10)
    )
}

#[test]
fn kubernetes_probes_have_paths_that_answer() {
    let deployment = yaml(&recipe("kubernetes.yaml"));
    assert_eq!(deployment["apiVersion"], "apps/v1");
    assert_eq!(deployment["kind"], "Deployment");
    let template = &deployment["spec"]["template"];
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        template["metadata"]["labels"]
    );
    let container = &template["spec"]["containers"][0];
    let port = &container["ports"][0]["name"];
    let served = Served::start(&config());
    for (name, path) in [
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
        ("startupProbe", "/ht/startup/"),
    ] {
        let probe = &container[name];
        assert_eq!(probe["httpGet"]["path"], path, "{name}");
        assert_eq!(&probe["httpGet"]["port"], port, "{name}");
        // The budget of all three groups is 0.8 s.
        assert_eq!(probe["timeoutSeconds"], 1, "{name}");
        // The API only accepts 1 for the other two probes.
        let success = probe["successThreshold"].as_i64().unwrap_or(1);
        assert!(success == 1 || name == "readinessProbe", "{name}");
        assert_eq!(get(&served.address, path).0, 200, "{path}");
    }
}

#[test]
fn kubernetes_waits_for_the_drain_and_the_longest_request() {
    let spec = &yaml(&recipe("kubernetes.yaml"))["spec"]["template"]["spec"];
    let whole = |value: &Value| value.as_i64().unwrap();
    let drain = recipe("health.toml").lines().find_map(|line| {
        let seconds = line.strip_prefix("drain_delay = \"")?.strip_suffix("s\"")?;
        seconds.parse::<i64>().ok()
    });
    let drain = drain.unwrap();
    assert!(whole(&spec["terminationGracePeriodSeconds"]) > drain + LONGEST_REQUEST);
    let ready = &spec["containers"][0]["readinessProbe"];
    let unready = whole(&ready["periodSeconds"]) * whole(&ready["failureThreshold"])
        + whole(&ready["timeoutSeconds"]);
    assert!(
        unready < drain,
        "a pod stops before its readiness probe has failed"
    );
}
