//! Tests an example service as a separate process. The four services answer the same requests with
//! the same bytes, and end in the same way. Each of them has a test that includes this file.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::PROGRAM;
use bytes::Bytes;
use health_testkit::conformance::Connection;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response};
use rustix::process::{Pid, Signal, kill_process};

/// A running service. It is killed when a test fails.
struct Service {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args([
            "--config",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../shop/served.toml"),
            "--listen",
            "127.0.0.1:0",
        ]);
        command
            .env("SERVED_FOLDER", folder.path())
            .env("ROCKET_LOG_LEVEL", "off");
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix('/')?.parse().ok());
        Self {
            process,
            address: address.expect("it says where it listens"),
            _folder: folder,
        }
    }

    fn ask(&self, method: &str, target: &str, accept: &str) -> Response<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(ACCEPT, accept);
        Connection::open(self.address)
            .unwrap()
            .ask(&request.body(Bytes::new()).unwrap())
            .unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Returns the exit status, if the service ends within ten seconds.
    fn end(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/", "*/*"),
    ("GET", "/ht/", "text/html"),
    ("GET", "/ht/", "application/json"),
    ("GET", "/ht", "text/plain"),
    ("GET", "/ht/?format=json", "*/*"),
    ("HEAD", "/ht/?format=json", "*/*"),
    ("OPTIONS", "/ht/", "*/*"),
    ("POST", "/ht/", "*/*"),
    ("PROPFIND", "/ht/", "*/*"),
    ("GET", "/ht/live/?format=json", "*/*"),
    ("GET", "/ht/ready/?format=text", "*/*"),
    ("GET", "/ht/startup/?format=text", "*/*"),
    ("GET", "/ht/batch/?format=json", "*/*"),
    ("GET", "/ht/nowhere/", "*/*"),
    ("GET", "/ht/?format=yaml", "*/*"),
    ("GET", "/ht/", "image/png"),
];

#[test]
fn it_answers_as_the_others_do() {
    let service = Service::start(PROGRAM);
    let mut shown = String::new();
    for (method, target, accept) in REQUESTS {
        let answer = service.ask(method, target, accept);
        let _ = writeln!(
            shown,
            "# {method} {target}, {accept}\n{}",
            answer.status().as_u16()
        );
        let is_page = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        for name in [
            "allow",
            "cache-control",
            "content-length",
            "content-security-policy",
            "content-type",
            "vary",
        ] {
            // The page shows times and durations, so its length is not always the same.
            for value in answer
                .headers()
                .get_all(name)
                .iter()
                .filter(|_| !(is_page && name == "content-length"))
            {
                let _ = writeln!(shown, "{name}: {}", value.to_str().unwrap());
            }
        }
        let body = String::from_utf8_lossy(answer.body());
        let body = if is_page {
            without_numbers(&body)
        } else {
            body.into_owned()
        };
        let _ = writeln!(shown, "\n{}\n", body.trim_end());
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../shop/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("served", shown));
}

fn without_numbers(page: &str) -> String {
    let marked = page.replace(|character: char| character.is_ascii_digit(), "#");
    let mut marked = marked.replace("#.#", "#");
    while marked.contains("##") {
        marked = marked.replace("##", "#");
    }
    marked
        .replace("#.#", "#")
        .replace("just now", "# s ago")
        .replace("# ms", "# s")
}

#[test]
fn sigterm_drains_it_and_then_it_ends() {
    let mut service = Service::start(PROGRAM);
    assert!(
        !String::from_utf8_lossy(service.ask("GET", "/ht/ready/?format=text", "*/*").body())
            .contains("Draining")
    );
    service.signal(Signal::TERM);
    sleep(Duration::from_millis(500));
    let ready = service.ask("GET", "/ht/ready/?format=text", "*/*");
    assert_eq!(ready.status(), 500);
    let rows = String::from_utf8_lossy(ready.body()).into_owned();
    assert!(
        rows.contains("Draining                 ... unavailable: shutting down"),
        "{rows}"
    );
    assert_eq!(
        service.ask("GET", "/", "*/*").status(),
        200,
        "it still serves"
    );
    assert_eq!(
        service.ask("GET", "/ht/live/", "*/*").status(),
        200,
        "it must not be restarted"
    );
    assert!(service.end().expect("it ends").success());
}

#[test]
fn sigint_ends_it_at_once() {
    let mut service = Service::start(PROGRAM);
    service.ask("GET", "/", "*/*"); // it has started
    let started = Instant::now();
    service.signal(Signal::INT);
    assert!(service.end().expect("it ends").success());
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}
