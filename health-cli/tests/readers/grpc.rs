//! Tests the gRPC health protocol: grpcio reads `health serve`, and `health probe` reads a server
//! of grpcio.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::TcpListener;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::shop::python;
use crate::support::{
    BROKEN, CACHE, Running, folder, health, signal, stderr, told, variable, wait,
};

/// Starts a program, and returns the lines that it prints.
fn printing(command: &mut Command) -> (Running, Lines<BufReader<ChildStdout>>) {
    let mut program = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let output = BufReader::new(program.stdout.take().unwrap()).lines();
    (program, output)
}

/// Returns a command that runs a script of this folder in Python.
fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/readers")
                .join(name),
        )
        .env_clear();
    command
}

/// Serves checks. Returns the result of Python's client, which has to be the same on the port for
/// HTTP and on that for gRPC.
fn read(config: &str) -> Value {
    let folder = folder(config);
    let mut command = health(folder.path());
    command.args([
        "serve",
        "--config",
        "health.toml",
        "--listen",
        "127.0.0.1:0",
        "--grpc",
        "127.0.0.1:0",
    ]);
    let (_server, lines) = printing(&mut command);
    let lines: Vec<String> = lines.take(2).map(Result::unwrap).collect();
    let shared = lines[0]
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/ht/")
        .unwrap();
    let [shared, own] = [shared, lines[1].strip_prefix("grpc://").unwrap()].map(read_at);
    assert_eq!(shared, own);
    own
}

/// Returns the result of Python's client at this address.
fn read_at(address: &str) -> Value {
    let output = script("read_grpc.py").arg(address).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn pythons_client_reads_check_watch_and_list() {
    let healthy =
        json!({ "": "SERVING", "live": "SERVING", "ready": "SERVING", "startup": "SERVING" });
    let mut check = healthy.clone();
    check["nothing"] = "NOT_FOUND".into();
    let expected = json!({ "check": check, "watch": { "": "SERVING", "nothing": "SERVICE_UNKNOWN" }, "list": healthy });
    assert_eq!(read(CACHE), expected);
    let unhealthy = read(&format!("{CACHE}{BROKEN}"));
    assert_eq!(unhealthy["check"][""], "NOT_SERVING");
    assert_eq!(unhealthy["check"]["live"], "SERVING");
    assert_eq!(unhealthy["watch"][""], "NOT_SERVING");
    assert_eq!(unhealthy["list"]["ready"], "NOT_SERVING");
}

/// Reads the next line for a service, and skips the lines of others.
fn next(lines: &mut Lines<BufReader<ChildStdout>>, service: &str) -> String {
    let prefix = format!("{service} ");
    lines
        .find_map(|line| line.unwrap().strip_prefix(&prefix).map(str::to_owned))
        .unwrap()
}

/// Asserts that `Check` and `List` agree on the status of services.
fn both_say(address: &str, expected: &[(&str, &str)]) {
    let read = read_at(address);
    for (service, status) in expected {
        let said = (&read["check"][service], &read["list"][service]);
        assert_eq!(
            said,
            (&Value::from(*status), &Value::from(*status)),
            "{service:?}"
        );
    }
    assert_eq!(read["check"]["nothing"], "NOT_FOUND");
}

#[test]
fn pythons_client_reads_a_start_an_outage_and_a_drain() {
    let place = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let check = format!(
        "[settings]\ndrain_delay = \"2s\"\n[groups.ready]\nhold = 0\n[[checks]]\nkind = \"tcp\"\nname = \"orders\"\n\
         address = \"{place}\"\nttl = \"100ms\"\n[[checks]]\nkind = \"disk\"\npath = \"late\"\ninodes_max = false\ngroups = [\"startup\"]\n\
         ttl = \"100ms\"\n"
    );
    let folder = folder(&check);
    let mut command = health(folder.path());
    command.args([
        "serve",
        "--config",
        "health.toml",
        "--listen",
        "127.0.0.1:0",
    ]);
    let (mut server, mut lines) = printing(&mut command);
    let url = lines.next().unwrap().unwrap();
    let address = url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/ht/")
        .unwrap();
    let (_startup, mut startup) = printing(script("watch_grpc.py").args([address, "startup"]));
    assert_eq!(next(&mut startup, "startup"), "NOT_SERVING");
    both_say(address, &[("startup", "NOT_SERVING"), ("live", "SERVING")]);
    std::fs::create_dir(folder.path().join("late")).unwrap();
    // At the start, an outage elsewhere fails `ready` and not `startup`.
    assert_eq!(next(&mut startup, "startup"), "SERVING");
    both_say(
        address,
        &[
            ("startup", "SERVING"),
            ("ready", "NOT_SERVING"),
            ("", "NOT_SERVING"),
        ],
    );
    let (_unknown, mut unknown) = printing(script("watch_grpc.py").args([address, "nothing"]));
    assert_eq!(next(&mut unknown, "nothing"), "SERVICE_UNKNOWN");
    let (_live, mut live) = printing(script("watch_grpc.py").args([address, "live"]));
    assert_eq!(next(&mut live, "live"), "SERVING");
    let (_watch, mut whole) = printing(script("watch_grpc.py").args([address, ""]));
    assert_eq!(next(&mut whole, "whole"), "NOT_SERVING");
    for _ in 0..2 {
        let orders = TcpListener::bind(place).unwrap();
        assert_eq!(next(&mut whole, "whole"), "SERVING");
        drop(orders);
        assert_eq!(next(&mut whole, "whole"), "NOT_SERVING");
    }
    let _orders = TcpListener::bind(place).unwrap();
    assert_eq!(next(&mut whole, "whole"), "SERVING");
    both_say(address, &[("", "SERVING"), ("ready", "SERVING")]);
    let began = Instant::now();
    signal(&server, "TERM");
    assert_eq!(next(&mut whole, "whole"), "NOT_SERVING");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "before the streams end: {:?}",
        began.elapsed()
    );
    both_say(
        address,
        &[
            ("", "NOT_SERVING"),
            ("ready", "NOT_SERVING"),
            ("live", "SERVING"),
            ("startup", "SERVING"),
        ],
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "while the service drains: {:?}",
        began.elapsed()
    );
    for (lines, service) in [
        (&mut whole, "whole"),
        (&mut live, "live"),
        (&mut startup, "startup"),
        (&mut unknown, "nothing"),
    ] {
        assert_eq!(next(lines, service), "end");
    }
    assert_eq!(wait(&mut server).1, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "the streams do not hold the end: {:?}",
        began.elapsed()
    );
}

#[test]
fn probe_reads_a_server_of_grpcio() {
    let url = variable("GRPC_URL");
    let token = variable("GRPC_TOKEN");
    let address = url.strip_prefix("grpc://").unwrap();
    let header = format!("authorization: Bearer {token}");
    for (path, args, code, output, error) in [
        (
            "",
            vec![],
            0,
            "status                   ... working\n",
            String::new(),
        ),
        (
            "/down",
            vec![],
            1,
            "down                     ... unavailable: not serving\n",
            String::new(),
        ),
        (
            "",
            vec!["--group", "down"],
            1,
            "down                     ... unavailable: not serving\n",
            String::new(),
        ),
        (
            "/unsure",
            vec![],
            1,
            "unsure                   ... unavailable: the server does not know the status of the service\n",
            String::new(),
        ),
        (
            "/other",
            vec![],
            2,
            "",
            format!("error: {address}: the server does not know this service\n"),
        ),
        (
            "/missing",
            vec![],
            2,
            "",
            format!("error: {address}: the server has no gRPC health service\n"),
        ),
        (
            "/away",
            vec![],
            2,
            "",
            format!("error: {address}: the server answered UNAVAILABLE\n"),
        ),
        (
            "/guarded",
            vec!["--header", &header],
            0,
            "guarded                  ... working\n",
            String::new(),
        ),
        (
            "/guarded",
            vec![],
            2,
            "",
            format!(
                "error: {address}: the server answered UNAUTHENTICATED: it wants other metadata\n"
            ),
        ),
    ] {
        let said = told(
            &[&["probe", &format!("{url}{path}")], args.as_slice()].concat(),
            &[],
        );
        assert_eq!(said, (code, output.into(), error), "{path}");
    }
    let began = Instant::now();
    let (code, _, error) = told(&["probe", &format!("{url}/slow"), "--timeout", "1s"], &[]);
    assert_eq!(code, 2);
    assert_eq!(
        error.as_str(),
        &*format!("error: {address}: no answer within 1s\n")
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, _, error) = told(&["probe", &format!("grpc://{nobody}")], &[]);
    assert_eq!(code, 2);
    assert_eq!(
        error.as_str(),
        &*format!("error: {nobody}: connection refused\n")
    );
    let (code, _, error) = told(
        &[
            "wait",
            &format!("{url}/down"),
            "--timeout",
            "1s",
            "--interval",
            "200ms",
        ],
        &[],
    );
    assert!(
        code == 1 && error.contains("down (unavailable: not serving)"),
        "{code} {error}"
    );
    assert_eq!(told(&["wait", &url], &[]).0, 0);
    let (code, output, _) = told(&["probe", &format!("{url}/down"), "--exit", "nagios"], &[]);
    assert!(
        code == 2 && output.starts_with("HEALTH CRITICAL"),
        "{output}"
    );
}

#[test]
fn probe_reads_a_server_of_grpcio_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut other = params.clone();
    other.distinguished_name.push(DnType::CommonName, "other");
    let other = CertifiedIssuer::self_signed(other, KeyPair::generate().unwrap()).unwrap();
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    for (name, text) in [
        ("other.pem", other.pem()),
        ("ca.pem", authority.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(path(name), text).unwrap();
    }
    let (_server, mut lines) =
        printing(script("serve_grpc.py").args([path("server.pem"), path("server.key")]));
    let address = lines.next().unwrap().unwrap();
    let url = format!("grpcs://{address}");
    let probe = |url: &str, trusted: &str| {
        told(
            &["probe", url],
            &[
                ("SSL_CERT_FILE", trusted),
                ("SSL_CERT_DIR", "/no/such/folder"),
            ],
        )
    };
    assert_eq!(probe(&url, &path("ca.pem")).0, 0);
    assert_eq!(probe(&format!("{url}/down"), &path("ca.pem")).0, 1);
    let (code, _, error) = probe(&url, &path("other.pem"));
    assert_eq!(code, 2);
    assert_eq!(
        error.as_str(),
        &*format!("error: {address}: TLS failed: the certificate's issuer is not trusted\n")
    );
    let (code, _, error) = probe(&url.replace("grpcs:", "grpc:"), "/no/such/file");
    assert!(
        code == 2 && error.starts_with(&format!("error: {address}: ")),
        "{error}"
    );
}
