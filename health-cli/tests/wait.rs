//! `health wait` for endpoints that start late, never start, hang or turn healthy, and for the
//! checks of a file.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{
    BROKEN, CACHE, Running, Server, answering, folder, frozen, health, http, nobody, told,
};

fn wait(url: &str, timeout: &str) -> (i32, String, String) {
    told(
        &["wait", url, "--timeout", timeout, "--interval", "50ms"],
        &[],
    )
}

#[test]
fn a_server_that_starts_late_is_waited_for() {
    let address = nobody();
    let folder = folder(CACHE);
    let mut command = health(folder.path());
    command.args([
        "wait",
        &format!("http://{address}/ht/"),
        "--group",
        "ready",
        "--interval",
        "50ms",
    ]);
    let process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(400));
    let _server = Server::at(&address, folder.path(), &["--config", "health.toml"]);
    let output = process.wait_with_output().unwrap();
    let error = support::stderr(&output);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert_eq!(support::stdout(&output).as_str(), "", "{error}");
    assert_eq!(
        lines[0],
        format!("waiting for {address} (connection refused)")
    );
    assert!(
        lines.len() == 2 && lines[1].starts_with("healthy after "),
        "{error}"
    );
}

#[test]
fn a_healthy_one_is_not_waited_for() {
    let began = Instant::now();
    let (code, output, error) = wait(&Server::of(CACHE).url("/ht/"), "20s");
    assert!(
        code == 0 && output.is_empty() && error.starts_with("healthy after "),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn when_the_time_is_up_the_last_report_is_printed() {
    let server = Server::of(&format!("{CACHE}{BROKEN}"));
    let report = "CacheBackend             ... working\nDefaultFileStorageHealthCheck ... unavailable: storage folder is missing\n";
    let errors = "waiting for DefaultFileStorageHealthCheck (unavailable: storage folder is missing)\nnot healthy within 500ms\n";
    assert_eq!(
        wait(&server.url("/ht/"), "500ms"),
        (1, report.into(), errors.into())
    );
    let folder = folder(&format!("{CACHE}{BROKEN}"));
    let file = folder.path().join("health.toml").display().to_string();
    let args = ["wait", "--timeout", "500ms", "--interval", "50ms"];
    assert_eq!(
        told(&[&args[..], &["--config", &file]].concat(), &[]),
        (1, report.into(), errors.into())
    );
    assert_eq!(
        told(&args, &[("HEALTH_CONFIG", &file)]),
        (1, report.into(), errors.into())
    );
}

#[test]
fn each_change_is_a_line_and_each_poll_is_not() {
    let polls = AtomicUsize::new(0);
    let (address, _) = answering(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        poll @ 0..3 => http(
            "503 Service Unavailable",
            "",
            &format!(r#"{{"a": "working", "b": "warning: {poll} behind"}}"#),
        ),
        3..6 => http("500 Internal Server Error", "", "no"),
        6..9 => http("404 Not Found", "", ""),
        _ => http("200 OK", "", "{}"),
    });
    let (code, output, error) = wait(&format!("http://{address}/"), "20s");
    let lines: Vec<_> = error.lines().collect();
    let expected = [
        "waiting for b (warning: 0 behind)".to_owned(),
        format!("waiting for {address} (unhealthy)"),
        format!(
            "waiting for {address} (answered with 404: there is no such path or group, or the token is missing)"
        ),
    ];
    assert_eq!(code, 0, "{error}");
    assert_eq!(output.as_str(), "", "{error}");
    assert_eq!(lines[..3], expected);
    assert!(
        lines.len() == 4 && lines[3].starts_with("healthy after "),
        "{error}"
    );
}

#[test]
fn many_are_counted() {
    let rows: Vec<_> = (0..8)
        .map(|number| format!(r#""{number}": "unavailable: no""#))
        .collect();
    let body = format!("{{{}}}", rows.join(", "));
    let (address, _) = answering(move |_| http("500 Internal Server Error", "", &body));
    let (code, _, error) = wait(&format!("http://{address}/"), "200ms");
    assert!(
        code == 1 && error.contains("4 (unavailable: no) and 3 more\n"),
        "{error}"
    );
}

#[test]
fn what_hangs_or_stays_away_takes_no_longer_than_the_time() {
    let (_listener, frozen) = frozen();
    for (address, why) in [
        (nobody(), "connection refused"),
        (frozen, "no answer within "),
    ] {
        let began = Instant::now();
        let (code, output, error) = wait(&format!("http://{address}/"), "400ms");
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
        assert!(
            code == 1 && output.is_empty() && error.contains(why),
            "{error}"
        );
        assert!(error.ends_with("not healthy within 400ms\n"), "{error}");
    }
}

#[test]
fn a_file_turns_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let storage = folder.path().join("storage");
    let config = format!(
        "[settings]\nttl = \"1h\"\n[[checks]]\nkind = \"storage\"\npath = \"{}\"\n",
        storage.display()
    );
    fs::File::create(folder.path().join("health.toml"))
        .unwrap()
        .write_all(config.as_bytes())
        .unwrap();
    let mut command = health(folder.path());
    command.args([
        "wait",
        "--config",
        "health.toml",
        "--interval",
        "50ms",
        "--group",
        "ready",
    ]);
    let process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(400));
    fs::create_dir(&storage).unwrap();
    let output = process.wait_with_output().unwrap();
    let error = support::stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(
        error.starts_with("waiting for DefaultFileStorageHealthCheck (unavailable: "),
        "{error}"
    );
}

/// A mail server has a ttl of its own, 30 s, and the file may say `every`: neither is how often the
/// command looks.
#[test]
fn a_check_that_is_rarely_run_is_waited_for_as_often_as_the_command_says() {
    for extra in ["", "every = \"10m\"\n", "ttl = \"5m\"\n"] {
        let address = nobody();
        let file = folder(&format!(
            "[[checks]]\nkind = \"mail\"\nurl = \"smtp://{address}\"\n{extra}"
        ));
        let config = file.path().join("health.toml").display().to_string();
        let server = address.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(1500));
            smtp(&TcpListener::bind(server).unwrap());
        });
        let began = Instant::now();
        let args = [
            "wait",
            "--config",
            &config,
            "--timeout",
            "20s",
            "--interval",
            "200ms",
        ];
        let (code, _, error) = told(&args, &[]);
        assert_eq!(code, 0, "{extra}: {error}");
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{extra}: {:?}",
            began.elapsed()
        );
    }
}

/// A fake of a mail server, which answers everything.
fn smtp(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.write_all(b"220 mx ESMTP\r\n");
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let _ = stream.write_all(if line.starts_with("QUIT") {
                b"221 bye\r\n"
            } else {
                b"250 mx\r\n"
            });
        }
    }
}

#[test]
fn what_can_never_be_is_2_at_once() {
    let folder = folder(CACHE);
    let file = folder.path().join("health.toml").display().to_string();
    for args in [
        &["wait", "--config", "/no/such/file"][..],
        &["wait", "--config", &file, "--group", "nope"],
        &["wait", "--config", &file, "http://127.0.0.1:1/"],
        &["wait", "127.0.0.1:1"],
        &["wait", "http://127.0.0.1:1/", "--header", "nope"],
        &["wait", "http://127.0.0.1:1/", "--interval", "0"],
    ] {
        let began = Instant::now();
        let (code, output, error) = told(args, &[]);
        assert!(
            code == 2 && output.is_empty() && error.starts_with("error: "),
            "{args:?} {error}"
        );
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let (code, _, error) = told(
        &["wait", "http://127.0.0.1:1/", "--timeout", "100ms"],
        &[("HEALTH_CONFIG", "gone")],
    );
    assert!(code == 1, "a URL goes before the environment: {error}");
}

#[test]
fn it_can_be_interrupted_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut process = Running::new(
        health(folder.path())
            .args(["wait", &url])
            .stderr(Stdio::null()),
    );
    thread::sleep(Duration::from_millis(300));
    support::signal(&process, "TERM");
    let (took, code) = support::wait(&mut process);
    assert!(
        took < Duration::from_secs(2) && code == Some(2),
        "{took:?} {code:?}"
    );
}
