//! `--exit nagios` and `--exit docker` of `health check` and `health probe`.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use support::{
    BROKEN, CACHE, Server, WARNING, answering, folder, frozen, http, nobody, run, stderr, stdout,
    told,
};

fn check(config: &str, args: &[&str]) -> (i32, String, String) {
    let folder = folder(config);
    let output = run(
        folder.path(),
        &[&["check", "--config", "health.toml"], args].concat(),
        &[],
    );
    (
        output.status.code().unwrap(),
        stdout(&output),
        stderr(&output),
    )
}

fn probe(url: &str, exit: &str) -> (i32, String, String) {
    told(&["probe", url, "--exit", exit, "--timeout", "400ms"], &[])
}

/// Replaces the values of the figures: `a_time=0.000123s` becomes `a_time=Ns`.
fn without_figures(line: &str) -> String {
    let mut shape = String::new();
    let mut before = ' ';
    for c in line.chars() {
        let is_number = c.is_ascii_digit() || c == '.';
        if !is_number {
            shape.push(c);
        } else if before == '=' {
            shape.push('N');
        } else if !shape.ends_with('N') {
            shape.push(c);
        }
        before = c;
    }
    shape
}

#[test]
fn nagios_has_a_state_a_sum_figures_and_the_rows() {
    let (code, output, error) = check(&format!("{CACHE}{BROKEN}"), &["--exit", "nagios"]);
    let said = "HEALTH CRITICAL - 1 of 2 checks failed: DefaultFileStorageHealthCheck\n\
                DefaultFileStorageHealthCheck ... unavailable: storage folder is missing\n\
                CacheBackend             ... working | CacheBackend_time=Ns DefaultFileStorageHealthCheck_time=Ns\n";
    assert_eq!(code, 2);
    assert_eq!(without_figures(&output).as_str(), said);
    assert_eq!(error.as_str(), "");
}

/// NRPE only forwards the first kilobyte.
#[test]
fn the_first_kilobyte_has_the_reasons_and_whole_figures() {
    let many: Vec<_> = (0..30)
        .map(|n| format!("{CACHE}name = \"cache-number-{n}\"\n"))
        .collect();
    let many = many.concat();
    let (code, output, _) = check(&format!("{many}{BROKEN}"), &["--exit", "nagios"]);
    let (first, rest) = output.split_at(1024);
    assert_eq!(code, 2);
    let reason = first
        .find("unavailable: storage folder is missing")
        .unwrap();
    let bar = first.find(" | ").unwrap();
    assert!(reason < bar, "{first}");
    assert!(
        first.contains("\n... and ") && first.contains(" more"),
        "{first}"
    );
    let figures =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let seen = figures(&first[bar + 3..]);
    let behind = figures(rest);
    for figure in seen.iter().chain(&behind) {
        assert!(
            figure.contains("_time=0.") && figure.ends_with('s'),
            "{figure} in {output}"
        );
    }
    assert!(
        seen.len() > 5 && seen.len() + behind.len() == 31,
        "{output}"
    );
}

#[test]
fn a_plugin_logs_no_causes_for_icinga_shows_them_before_the_line() {
    let without_folder =
        "[[checks]]\nkind = \"database\"\nurl = \"sqlite:///no/such/folder/shop.db\"\n";
    let (_, _, error) = check(without_folder, &[]);
    assert!(error.contains("cause of a failed check"), "{error}");
    let (code, output, error) = check(without_folder, &["--exit", "nagios"]);
    assert!(
        code == 2 && output.starts_with("HEALTH CRITICAL - ") && error.is_empty(),
        "{code} {output}{error}"
    );
}

#[test]
fn the_states_of_a_check() {
    let not_critical = format!("{BROKEN}critical = false\n{CACHE}");
    let relaxed = format!("[settings]\nwarnings_as_errors = false\n{WARNING}");
    for (config, code, start) in [
        (
            CACHE,
            0,
            "HEALTH OK - 1 check working\nCacheBackend             ... working | CacheBackend_time=",
        ),
        ("", 0, "HEALTH OK - no checks\n"),
        (
            WARNING,
            1,
            "HEALTH WARNING - 1 of 1 checks not working: DiskUsage\n",
        ),
        (
            &relaxed,
            1,
            "HEALTH WARNING - 1 of 1 checks not working: DiskUsage\n",
        ),
        (
            &not_critical,
            1,
            "HEALTH WARNING - 1 of 2 checks not working: DefaultFileStorageHealthCheck\n",
        ),
        (
            &format!("{BROKEN}{WARNING}"),
            2,
            "HEALTH CRITICAL - 1 of 2 checks failed: DefaultFileStorageHealthCheck\n",
        ),
        (
            "[[checks]]\nkind = \"dsk\"\n",
            3,
            "HEALTH UNKNOWN - health.toml:2: checks[1].kind: unknown kind",
        ),
    ] {
        let (exit, output, error) = check(config, &["--exit", "nagios"]);
        assert!(
            exit == code && output.starts_with(start) && error.is_empty(),
            "{exit} {output}{error}"
        );
    }
    let disk = check(WARNING, &["--exit", "nagios"]).1;
    assert!(
        disk.contains(" DiskUsage_used=") && disk.contains("% DiskUsage_available="),
        "{disk}"
    );
    let named = check(
        &format!("{CACHE}name = \"a | 'b'=c\"\n"),
        &["--exit", "nagios"],
    )
    .1;
    assert_eq!(named.matches('|').count(), 1, "{named}");
    assert!(
        named.contains(" | 'a _ _b__c_time'=")
            && named.starts_with("HEALTH OK - 1 check working\n"),
        "{named}"
    );
}

#[test]
fn the_states_of_an_endpoint() {
    for (status, body, code, start) in [
        (
            "200 OK",
            r#"{"a": "working"}"#,
            0,
            "HEALTH OK - 1 check working",
        ),
        (
            "200 OK",
            r#"{"a": "unavailable: b"}"#,
            1,
            "HEALTH WARNING - 1 of 1 checks not working: a",
        ),
        (
            "500 E",
            r#"{"a": "unavailable: b", "c": "working"}"#,
            2,
            "HEALTH CRITICAL - 1 of 2 checks failed: a",
        ),
        (
            "503 E",
            r#"{"a": "warning: b"}"#,
            1,
            "HEALTH WARNING - 1 of 1 checks not working: a",
        ),
        (
            "503 E",
            r#"{"a": "unavailable: no result yet"}"#,
            3,
            "HEALTH UNKNOWN - 1 of 1 checks without a result: a",
        ),
        ("503 E", "down", 2, "HEALTH CRITICAL - unhealthy"),
        ("200 OK", "up", 0, "HEALTH OK - no checks"),
        ("404 Not Found", "", 3, "HEALTH UNKNOWN - "),
    ] {
        let (address, _) = answering(move |_| http(status, "", body));
        let (exit, output, error) = probe(&format!("http://{address}/"), "nagios");
        assert!(
            exit == code && output.starts_with(start) && error.is_empty(),
            "{status} {body}: {exit} {output}{error}"
        );
    }
}

#[test]
fn an_endpoint_that_is_down_is_critical_and_a_wrong_command_is_unknown() {
    let nobody = nobody();
    let (_listener, frozen) = frozen();
    let refused = format!("HEALTH CRITICAL - {nobody}: connection refused\n");
    assert_eq!(
        probe(&format!("http://{nobody}/"), "nagios"),
        (2, refused, String::new())
    );
    let late = format!("HEALTH CRITICAL - {frozen}: no answer within 400ms\n");
    assert_eq!(
        probe(&format!("http://{frozen}/"), "nagios"),
        (2, late, String::new())
    );
    assert_eq!(probe("nope", "nagios").0, 3);
    for args in [
        &["check", "--exit", "nagios", "--nope"][..],
        &["check", "--nope", "--exit=nagios"],
        &["check", "--exit", "nagios", "--format", "json"],
        &["check", "--exit", "nagios", "--config", "/no/such/file"],
    ] {
        let (code, output, _) = told(args, &[]);
        assert!(
            code == 3 && output.starts_with("HEALTH UNKNOWN - "),
            "{args:?} {output}"
        );
    }
    assert_eq!(told(&["check", "--exit", "nagios", "--help"], &[]).0, 0);
}

#[test]
fn docker_gets_0_or_1_and_the_same_output() {
    let report = "DefaultFileStorageHealthCheck ... unavailable: storage folder is missing\n";
    let (code, output, error) = check(BROKEN, &["--exit", "docker"]);
    assert_eq!(code, 1);
    assert_eq!(output.as_str(), report);
    assert!(
        error.contains("cause of a failed check"),
        "docker inspect shows it: {error}"
    );
    assert_eq!(check(CACHE, &["--exit", "docker"]).0, 0);
    assert_eq!(check("nope", &["--exit", "docker"]).0, 1);
    let nothing = "warning: health.toml: there are no checks, so nothing is looked at\n";
    assert_eq!(
        check("", &["--exit", "docker", "--format", "json"]),
        (0, "{}\n".into(), nothing.into())
    );
    assert_eq!(probe(&Server::of(CACHE).url("/ht/"), "docker").0, 0);
    let nobody = nobody();
    let refused = (
        1,
        String::new(),
        format!("error: {nobody}: connection refused\n"),
    );
    assert_eq!(probe(&format!("http://{nobody}/"), "docker"), refused);
    assert_eq!(told(&["check", "--exit=docker", "--nope"], &[]).0, 1);
    assert_eq!(told(&["check", "--exit=nope"], &[]).0, 2);
}

#[test]
fn half_of_a_header_whose_quotes_were_forgotten_is_not_repeated() {
    for args in [
        &["probe", "--header", "Authorization:", "Bearer", "hunter2"][..],
        &["wait", "http://127.0.0.1:1/", "hunter2"],
        &["watch", "http://127.0.0.1:1/", "hunter2"],
    ] {
        let (code, _, error) = told(args, &[]);
        assert!(
            code == 2 && error.contains("unexpected argument '***'") && !error.contains("hunter2"),
            "{error}"
        );
    }
    assert!(
        told(&["serve", "nope"], &[])
            .2
            .contains("unexpected argument 'nope'")
    );
}
