//! The health protocol of gRPC, read by Python's grpcio-health-checking.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::shop::python;
use crate::support::{BROKEN, CACHE, Running, folder, health, stderr};

/// Serves checks by gRPC. Returns what Python's client reads.
fn read(config: &str) -> Value {
    let folder = folder(config);
    let mut command = health(folder.path());
    command.args(["serve", "--config", "health.toml", "--listen", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
    let mut server = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let output = std::io::BufReader::new(server.stdout.take().unwrap());
    let lines: Vec<String> = std::io::BufRead::lines(output).take(2).map(Result::unwrap).collect();
    let address = lines[1].strip_prefix("grpc://").unwrap();
    let mut command = Command::new(python());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/read_grpc.py")).arg(address).env_clear();
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn pythons_client_reads_check_watch_and_list() {
    let healthy = json!({ "": "SERVING", "live": "SERVING", "ready": "SERVING", "startup": "SERVING" });
    let mut check = healthy.clone();
    check["nothing"] = "NOT_FOUND".into();
    let expected = json!({ "check": check, "watch": { "": "SERVING", "nothing": "SERVICE_UNKNOWN" }, "list": healthy });
    assert_eq!(read(CACHE), expected);
    let unhealthy = read(&format!("{CACHE}{BROKEN}"));
    assert_eq!((&unhealthy["check"][""], &unhealthy["check"]["live"]), (&"NOT_SERVING".into(), &"SERVING".into()));
    assert_eq!((&unhealthy["watch"][""], &unhealthy["list"]["ready"]), (&"NOT_SERVING".into(), &"NOT_SERVING".into()));
}
