//! Kubernetes probes for a container that serves health checks, derived from the settings of the
//! health.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use health_core::{Anonymous, Endpoint, GroupSettings, Health};

/// The time that the kubelet's request needs beyond the endpoint's own budget: the network round
/// trip.
const WAY: Duration = Duration::from_millis(200);

/// The time that open requests have to end after `drain_delay`, as in `health serve`.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Probes {
    /// Set the path of the endpoint for --kubernetes [default: that of the file, or /ht/]
    #[arg(long, requires = "kubernetes")]
    path: Option<String>,
    /// Set the port of the container, a number or a name, for --kubernetes
    #[arg(long, default_value = "8000", requires = "kubernetes", value_parser = port)]
    port: String,
    /// Print gRPC probes for --kubernetes, at this port number
    #[arg(long, value_name = "PORT", requires = "kubernetes", conflicts_with_all = ["path", "port"], value_parser = clap::value_parser!(u16).range(1..))]
    grpc: Option<u16>,
}

/// Parses a number from 1 to 65535, or the name of a port in the syntax of Kubernetes.
fn port(text: &str) -> Result<String, &'static str> {
    let is_number = text.parse::<u16>().is_ok_and(|port| port > 0);
    let is_name = (1..=15).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--");
    let valid = is_number || is_name;
    valid
        .then(|| text.to_owned())
        .ok_or("expected a number from 1 to 65535, or the name of a port")
}

/// Returns two fragments of YAML, for the pod and for its container.
pub(crate) fn yaml(
    health: &Health,
    endpoints: &[Endpoint],
    groups: &BTreeMap<String, GroupSettings>,
    args: &Probes,
) -> String {
    let settings = health.settings();
    // A path that is given is that of a service of one's own, which may not have the endpoints for
    // probes.
    let given = args
        .path
        .as_ref()
        .map(|path| Endpoint::new(path, health.clone()));
    let whole = given
        .as_ref()
        .or(endpoints.iter().find(|endpoint| endpoint.group().is_none()));
    let base = whole.map_or("/ht", Endpoint::base);
    let mut yaml = format!(
        "# In the pod's spec: drain_delay, and {} s for what is still being answered.\n\
         terminationGracePeriodSeconds: {}\n\n# In the container's spec:\n",
        GRACE.as_secs(),
        seconds(settings.drain_delay + GRACE)
    );
    for probe in probes(settings.drain_delay) {
        let own = groups.get(probe.group).cloned().unwrap_or_default();
        let budget = own.budget.unwrap_or(settings.probe_budget);
        let is_hidden = settings.token.is_some()
            && own.anonymous.unwrap_or(settings.anonymous) == Anonymous::Nothing;
        let own = if args.path.is_none() { probe.own } else { None };
        if let Some(port) = args.grpc {
            probe.write(
                &mut yaml,
                &format!("grpc:\n    port: {port}\n    service: {}", probe.group),
                seconds(budget + WAY),
            );
            continue;
        }
        if is_hidden && own.is_none() {
            let group = probe.group;
            let _ = writeln!(
                yaml,
                "# The file has a token, which a probe can't keep secret: it gets a 404 as long as"
            );
            let _ = writeln!(
                yaml,
                "# [groups.{group}] does not have anonymous = \"status\"."
            );
        }
        let path = own.map_or_else(|| format!("{base}/{}/", probe.group), str::to_owned);
        let request = format!("httpGet:\n    path: \"{path}\"\n    port: {}", args.port);
        probe.write(&mut yaml, &request, seconds(budget + WAY));
    }
    yaml
}

struct Probe {
    name: &'static str,
    group: &'static str,
    /// The path of `health serve` that needs no token.
    own: Option<&'static str>,
    meaning: &'static str,
    period: u64,
    failures: u32,
}

fn probes(drain_delay: Duration) -> [Probe; 3] {
    // The readiness probe has to fail before the listener closes.
    let failures = if drain_delay < Duration::from_secs(2) {
        1
    } else {
        2
    };
    let period = (drain_delay.as_secs() / u64::from(failures)).clamp(1, 10);
    let ready = "gets no work while it fails, and fails while draining";
    let startup = "has two minutes to start; then the others begin";
    [
        Probe {
            name: "liveness",
            group: "live",
            own: Some("/livez"),
            meaning: "restarted after half a minute",
            period: 10,
            failures: 3,
        },
        Probe {
            name: "readiness",
            group: "ready",
            own: Some("/readyz"),
            meaning: ready,
            period,
            failures,
        },
        Probe {
            name: "startup",
            group: "startup",
            own: None,
            meaning: startup,
            period: 2,
            failures: 60,
        },
    ]
}

impl Probe {
    fn write(&self, yaml: &mut String, request: &str, timeout: u64) {
        let Self {
            name,
            meaning,
            period,
            failures,
            ..
        } = self;
        let _ = write!(
            yaml,
            "{name}Probe: # {meaning}\n  {request}\n  timeoutSeconds: {timeout}\n  periodSeconds: {period}\n  failureThreshold: {failures}\n"
        );
    }
}

/// Rounds up to whole seconds, because Kubernetes accepts no fractions.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
