//! Kubernetes: the fields are the API's, the numbers fit together, and the paths answer.

use serde_json::Value;

use crate::support::{Served, config, get, recipe};
use crate::yaml::yaml;

/// The fields of a probe (`io.k8s.api.core.v1.Probe`) and of its `httpGet`.
const PROBE: &[&str] = &[
    "exec",
    "failureThreshold",
    "grpc",
    "httpGet",
    "initialDelaySeconds",
    "periodSeconds",
    "successThreshold",
    "tcpSocket",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
];
const HTTP_GET: &[&str] = &["host", "httpHeaders", "path", "port", "scheme"];
const LONGEST_REQUEST: i64 = 20;

fn names_are_of(allowed: &[&str], value: &Value) {
    let names = value.as_object().unwrap().keys();
    names.for_each(|name| assert!(allowed.contains(&name.as_str()), "there is no field {name}"));
}

#[test]
fn kubernetes_probes_have_the_fields_of_the_api_and_paths_that_answer() {
    let deployment = yaml(&recipe("kubernetes.yaml"));
    assert_eq!((&deployment["apiVersion"], &deployment["kind"]), (&"apps/v1".into(), &"Deployment".into()));
    let template = &deployment["spec"]["template"];
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]);
    let container = &template["spec"]["containers"][0];
    let port = &container["ports"][0]["name"];
    let served = Served::start(&config());
    for (name, path) in
        [("livenessProbe", "/ht/live/"), ("readinessProbe", "/ht/ready/"), ("startupProbe", "/ht/startup/")]
    {
        let probe = &container[name];
        names_are_of(PROBE, probe);
        names_are_of(HTTP_GET, &probe["httpGet"]);
        assert_eq!((&probe["httpGet"]["path"], &probe["httpGet"]["port"]), (&path.into(), port), "{name}");
        // The budget of the three is 0.8 s.
        assert_eq!(probe["timeoutSeconds"], 1, "{name}");
        // The API refuses anything but 1 for the other two.
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
    let unready = whole(&ready["periodSeconds"]) * whole(&ready["failureThreshold"]) + whole(&ready["timeoutSeconds"]);
    assert!(unready < drain, "a pod stops before its readiness probe has failed");
}
