//! `health probe` against real servers, misbehaving servers, and addresses without a server.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::{BROKEN, CACHE, Server, WARNING, answering, frozen, http, nobody, told};

fn probe(url: &str, args: &[&str]) -> (i32, String, String) {
    told(&[&["probe", url], args].concat(), &[])
}

#[test]
fn a_healthy_endpoint_is_0() {
    let server = Server::of(CACHE);
    let lines = "CacheBackend             ... working\n";
    for path in ["/ht/", "/ht", "/ht/ready/"] {
        assert_eq!(
            probe(&server.url(path), &[]),
            (0, lines.into(), String::new()),
            "{path}"
        );
    }
    assert_eq!(
        probe(&server.url("/ht/live/"), &[]),
        (0, "no checks\n".into(), String::new())
    );
    for (group, told) in [("ready", lines), ("live", "no checks\n")] {
        assert_eq!(
            probe(&server.url("/ht"), &["--group", group]),
            (0, told.into(), String::new()),
            "{group}"
        );
    }
    assert_eq!(probe(&server.url("/ht/"), &["--group", "nope"]).0, 2);
    let json = "{\"CacheBackend\": \"working\"}\n";
    assert_eq!(
        probe(&server.url("/ht/"), &["--format", "json"]),
        (0, json.into(), String::new())
    );
    assert!(
        probe(&server.url("/ht/"), &["--format", "html"])
            .1
            .starts_with("<!DOCTYPE html>")
    );
}

#[test]
fn the_verdict_of_a_report_goes_before_the_status_code() {
    let settings = "[settings]\nunhealthy_status = 418\ndegraded_status = 207\n";
    let unhealthy = Server::of(&format!("{settings}{CACHE}{BROKEN}"));
    let degraded = Server::of(&format!("{settings}{CACHE}{BROKEN}critical = false\n"));
    assert_eq!(probe(&unhealthy.url("/ht/"), &[]).0, 1);
    assert_eq!(probe(&degraded.url("/ht/"), &[]).0, 0);
    let (code, _, error) = probe(&unhealthy.url("/ht/"), &["--format", "json"]);
    assert!(
        code == 2 && error.contains("answered with 418 instead of 2xx, 500 or 503"),
        "{error}"
    );
}

#[test]
fn an_unhealthy_endpoint_is_1() {
    let lines = "CacheBackend             ... working\nDefaultFileStorageHealthCheck ... unavailable: storage folder is missing\n";
    for settings in ["", "[settings]\nunhealthy_status = 503\n"] {
        let server = Server::of(&format!("{settings}{CACHE}{BROKEN}"));
        assert_eq!(
            probe(&server.url("/ht/"), &[]),
            (1, lines.into(), String::new())
        );
        let (code, json, _) = probe(&server.url("/ht/"), &["--format", "json"]);
        assert!(
            code == 1 && json.ends_with("\"unavailable: storage folder is missing\"}\n"),
            "{code} {json}"
        );
    }
    let (code, output, _) = probe(&Server::of(WARNING).url("/ht/"), &[]);
    assert!(
        code == 1 && output.starts_with("DiskUsage                ... warning: "),
        "{output}"
    );
}

#[test]
fn the_token_goes_by_header_or_path_and_may_be_a_variable_or_a_file() {
    let server = Server::of(&format!("[settings]\ntoken = \"t0ken\"\n{CACHE}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t0ken\n").unwrap();
    let from_file = format!("Authorization: Bearer ${{file:{}}}", file.path().display());
    let url = server.url("/ht/");
    for args in [
        &["probe", &server.url("/ht/t0ken/")][..],
        &["probe", &server.url("/ht/${TOKEN}/")],
        &["probe", &url, "--header", "Authorization: Bearer t0ken"],
        &[
            "probe",
            &url,
            "--header",
            "X-A: b",
            "--header",
            "authorization:Bearer ${TOKEN}",
        ],
        &["probe", &url, "--header", &from_file],
    ] {
        assert_eq!(told(args, &[("TOKEN", "t0ken")]).0, 0, "{args:?}");
    }
    let message = "answered with 404: there is no such path or group, or the token is missing";
    assert_eq!(
        probe(&url, &[]),
        (
            2,
            String::new(),
            format!("error: {}: {message}\n", server.address)
        )
    );
    let (code, _, error) = probe(&url, &["--header", "Authorization: Bearer ${NO_TOKEN}"]);
    assert!(
        code == 2 && error.starts_with("error: --header: the variable NO_TOKEN is not set"),
        "{error}"
    );
}

#[test]
fn other_answers_are_2_and_say_which() {
    for (answer, message) in [
        (
            http("401 Unauthorized", "", ""),
            "answered with 401: it wants a token: --header 'Authorization: Bearer ...'",
        ),
        (
            http("502 Bad Gateway", "", "<p>"),
            "answered with 502 instead of 2xx, 500 or 503",
        ),
        (
            "SSH-2.0-OpenSSH_9.2p1\r\n".into(),
            "what answers there does not speak HTTP",
        ),
        (String::new(), "the connection was closed before the answer"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".into(),
            "the connection was closed before the answer",
        ),
        (
            http("200 OK", "", &"x".repeat(9 << 20)),
            "the answer is longer than 8 MiB",
        ),
        (
            http(
                "200 OK",
                "Content-Type: Text/HTML; charset=utf-8\r\n",
                "<form>please log in</form>",
            ),
            "answered with 200 and a web page, not a report: another service, a login or a proxy answers there",
        ),
    ] {
        let (address, _) = answering(move |_| answer.clone());
        let expected = (2, String::new(), format!("error: {address}: {message}\n"));
        assert_eq!(probe(&format!("http://{address}/"), &[]), expected);
    }
    let server = Server::of(CACHE);
    let (code, output, error) = probe(&server.url("/ht/"), &["--format", "nope"]);
    assert!(
        code == 2 && output.is_empty() && error.contains("answered with 400"),
        "{error}"
    );
}

#[test]
fn nobody_there_is_2_and_in_time() {
    let nobody = nobody();
    let refused = (
        2,
        String::new(),
        format!("error: {nobody}: connection refused\n"),
    );
    assert_eq!(probe(&format!("http://{nobody}/ht/"), &[]), refused);
    assert_eq!(probe(&format!("https://{nobody}/ht/"), &[]), refused);
    let (_listener, address) = frozen();
    for scheme in ["http", "https"] {
        let began = Instant::now();
        let output = probe(
            &format!("{scheme}://{address}/ht/"),
            &["--timeout", "300ms"],
        );
        assert_eq!(
            output,
            (
                2,
                String::new(),
                format!("error: {address}: no answer within 300ms\n")
            )
        );
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
    }
}

#[test]
fn what_is_wrong_with_the_command_is_2() {
    for args in [
        &["probe"][..],
        &["probe", "a/ht/"],
        &["probe", "ftp://a/"],
        &["probe", "http://a/", "--timeout", "0"],
    ] {
        let (code, output, error) = told(args, &[]);
        assert!(
            code == 2 && output.is_empty() && error.starts_with("error: "),
            "{args:?} {error}"
        );
    }
    for header in ["a", ": b", "a b: c", "a: \u{1}"] {
        let expected = (
            2,
            String::new(),
            "error: --header: expected NAME: VALUE\n".into(),
        );
        assert_eq!(
            probe("http://127.0.0.1:1/", &["--header", header]),
            expected,
            "{header:?}"
        );
    }
}

#[test]
fn it_says_what_it_wants_and_takes_other_servers_answers() {
    let (address, _) = answering(|request| {
        let request = request.to_lowercase();
        let is_right =
            request.starts_with("get /x?a=b http/1.1\r\n") && request.contains("\r\nx-mine: 1\r\n");
        let accepts = request.contains("\r\naccept: application/json");
        http(
            "200 OK",
            "",
            if is_right && accepts {
                r#"{"b": "working", "a": "warning: \u001b[31mhot\nicy"}"#
            } else {
                "no"
            },
        )
    });
    let lines = "a                        ... warning:  [31mhot; icy\nb                        ... working\n";
    let output = probe(
        &format!("http://{address}/x?a=b"),
        &["--header", "X-Mine: 1"],
    );
    assert_eq!(output, (0, lines.into(), String::new()));
    for body in ["pong", "{\"status\": {\"a\": 1}}", "[1]", "a\r\nb\n"] {
        let (address, _) = answering(move |_| http("503 Service Unavailable", "", body));
        let expected = format!("{}\n", body.trim_end_matches('\n'));
        assert_eq!(
            probe(&format!("http://{address}/"), &[]),
            (1, expected, String::new())
        );
    }
    // Programs with a status code that is always 200.
    for (status, code) in [
        ("DOWN", 1),
        ("fail", 1),
        ("Unhealthy", 1),
        ("OUT_OF_SERVICE", 1),
        ("UP", 0),
        ("pass", 0),
    ] {
        let (address, _) =
            answering(move |_| http("200 OK", "", &format!(r#"{{"status":"{status}"}}"#)));
        assert_eq!(
            probe(&format!("http://{address}/"), &[]).0,
            code,
            "{status}"
        );
    }
    let (address, _) = answering(|request| {
        let is_known = request
            .to_lowercase()
            .contains("\r\nauthorization: basic dtpwdw==\r\n");
        http(
            if is_known {
                "200 OK"
            } else {
                "401 Unauthorized"
            },
            "",
            "{}",
        )
    });
    assert_eq!(probe(&format!("http://u:pw@{address}/"), &[]).0, 0);
    let (address, _) = answering(|_| http("200 OK", "", ""));
    assert_eq!(
        probe(&format!("http://{address}/"), &[]),
        (0, String::new(), String::new())
    );
}

/// Every code and every word that other programs use, to people, to Nagios and to Docker.
#[test]
fn other_programs_say_how_they_are_in_their_own_words() {
    let cases = [
        ("200 OK", r#"{"status":"UP"}"#, (0, 0)),
        (
            "200 OK",
            r#"{"status":"Healthy","duration":"00:00:00.01"}"#,
            (0, 0),
        ),
        (
            "200 OK",
            r#"{"cluster_name":"x","status":"green","nodes":1}"#,
            (0, 0),
        ),
        ("200 OK", r#"{"health":"true"}"#, (0, 0)),
        ("200 OK", r#"{"version":3}"#, (0, 0)),
        (
            "200 OK",
            r#"{"db":"fine and dandy","version":"1.2"}"#,
            (0, 0),
        ),
        ("204 No Content", "", (0, 0)),
        ("202 Accepted", "", (0, 0)),
        (
            "200 OK",
            r#"{"cluster_name":"x","status":"yellow","nodes":1}"#,
            (0, 1),
        ),
        (
            "207 Multi-Status",
            r#"{"status":"warn","checks":{}}"#,
            (0, 1),
        ),
        (
            "200 OK",
            r#"{"cluster_name":"x","status":"red","nodes":1}"#,
            (1, 2),
        ),
        ("200 OK", r#"{"healthy":false,"issues":["queue"]}"#, (1, 2)),
        ("200 OK", r#"{"ok":false}"#, (1, 2)),
        (
            "200 OK",
            r#"{"status":{"overall":{"level":"unavailable"}}}"#,
            (1, 2),
        ),
        (
            "200 OK",
            r#"{"status":"NOT_SERVING","version":"1.2"}"#,
            (1, 2),
        ),
        ("207 Multi-Status", r#"{"status":"fail"}"#, (1, 2)),
        (
            "500 Internal Server Error",
            r#"{"db":"connection refused"}"#,
            (1, 2),
        ),
        ("429 Too Many Requests", "", (2, 3)),
    ];
    for (status, body, codes) in cases {
        let (address, _) = answering(move |_| http(status, "", body));
        let url = format!("http://{address}/");
        let plain = probe(&url, &[]).0;
        let (nagios, line, _) = probe(&url, &["--exit", "nagios"]);
        assert_eq!((plain, nagios), codes, "{status} {body}: {line}");
    }
}

#[test]
fn the_caller_may_say_what_is_healthy() {
    let (address, _) = answering(|_| http("429 Too Many Requests", "", r#"{"a":{"b":"c"},"n":3}"#));
    let url = format!("http://{address}/");
    for (args, code) in [
        (&["--status", "429"][..], 0),
        (&["--status", "200", "--status", "429"], 0),
        (&["--status", "200"], 1),
        (
            &["--status", "429", "--json", "/a/b=c", "--json", "/n=3"],
            0,
        ),
        (&["--status", "429", "--json", "/a/b=d"], 1),
        (&["--json", "/a/b=c"], 1),
        (&["--json", "a=b"], 2),
        (&["--status", "99"], 2),
    ] {
        assert_eq!(probe(&url, args).0, code, "{args:?}");
    }
    let grpc = probe("grpc://127.0.0.1:1", &["--status", "200"]);
    assert!(
        grpc.0 == 2 && grpc.2.contains("--status and --json are for HTTP"),
        "{grpc:?}"
    );
}

#[test]
fn redirects_stay_on_the_host() {
    let (elsewhere, asked) = answering(|_| http("200 OK", "", "{}"));
    let (address, _) = answering(move |request| match request.split(' ').nth(1).unwrap() {
        "/ht" => http("301 Moved Permanently", "Location: /ht/\r\n", ""),
        "/ht/" => http("200 OK", "", r#"{"a": "working"}"#),
        "/circle" => http("302 Found", "Location: /circle\r\n", ""),
        _ => http(
            "302 Found",
            &format!("Location: http://{elsewhere}/\r\n"),
            "",
        ),
    });
    assert_eq!(probe(&format!("http://{address}/ht"), &[]).0, 0);
    for path in ["/away", "/circle"] {
        let (code, output, error) = probe(
            &format!("http://{address}{path}"),
            &["--header", "X-Token: t0ken"],
        );
        let message = format!(
            "error: {address}: answered with 302: it redirects to another host or in a circle, which is not followed\n"
        );
        assert_eq!(code, 2, "{path}");
        assert_eq!(output.as_str(), "", "{path}");
        assert_eq!(error, message, "{path}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn this_machine_is_asked_directly_and_others_by_the_proxy() {
    let (proxy, asked) = answering(|request| {
        let is_other = request.starts_with("GET http://other.internal/ht/ ");
        http(
            if is_other {
                "200 OK"
            } else {
                "502 Bad Gateway"
            },
            "",
            "{}",
        )
    });
    let variables = [("http_proxy", &*format!("http://{proxy}"))];
    assert_eq!(
        told(&["probe", &Server::of(CACHE).url("/ht/")], &variables).0,
        0
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(
        told(&["probe", "http://other.internal/ht/"], &variables).0,
        0
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_asked_with_the_path_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            support::answer(stream.unwrap(), &|request: &str| match request
                .split(' ')
                .nth(1)
                .unwrap()
            {
                "/ht/" => http("200 OK", "", r#"{"a": "working"}"#),
                "/ht" => http(
                    "301 Moved Permanently",
                    "Location: http://localhost/ht/\r\n",
                    "",
                ),
                _ => http(
                    "500 Internal Server Error",
                    "",
                    r#"{"a": "unavailable: b"}"#,
                ),
            });
        }
    });
    let at = |path: &str| format!("unix:{}{path}", socket.display());
    for (path, code) in [
        (":/ht/", 0),
        (":/ht", 0),
        (":/ht/?format=json", 1),
        (":/other/", 1),
        ("", 1),
    ] {
        assert_eq!(probe(&at(path), &[]).0, code, "{path}");
    }
    let gone = folder.path().join("gone.sock").display().to_string();
    let expected = (
        2,
        String::new(),
        format!("error: unix:{gone}: there is no such socket\n"),
    );
    assert_eq!(probe(&format!("unix:{gone}:/ht/"), &[]), expected);
}

#[test]
fn nothing_secret_is_printed_whatever_happens() {
    let (_listener, frozen) = frozen();
    let (redirecting, _) = answering(|_| {
        http(
            "302 Found",
            "Location: http://hunter2@example.com/hunter2\r\n",
            "",
        )
    });
    let (refusing, _) = answering(|_| http("404 Not Found", "", "GET /hunter2 not found"));
    let served = Server::of(CACHE).address.clone();
    let urls = [&*nobody(), &frozen, &redirecting, &refusing, &served]
        .map(|place| format!("http://u:hunter2@{place}/hunter2?hunter2"));
    let wrong = [
        "http://u:hunter2@",
        "hunter2",
        "ftp://u:hunter2@a/",
        "unix:/gone:/hunter2",
        "https://u:hunter2@127.0.0.1:1/hunter2",
    ];
    for url in urls.iter().map(String::as_str).chain(wrong) {
        for header in ["A: hunter2", "hunter2"] {
            let args = ["probe", url, "--header", header, "--timeout", "300ms"];
            let (code, output, error) = told(&args, &[("RUST_LOG", "trace")]);
            assert!(
                code == 2 && !output.contains("hunter2") && !error.contains("hunter2"),
                "{url}: {output}{error}"
            );
        }
    }
}
