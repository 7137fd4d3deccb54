//! The binary as users run it: output, exit codes, sockets and signals.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::{Duration, Instant};

use support::{BROKEN, CACHE, Server, WARNING, folder, run, stderr, stdout};

/// Runs the checks of a file. Returns the exit code and stdout.
fn check(config: &str, args: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let folder = folder(config);
    let output = run(
        folder.path(),
        &[&["check", "--config", "health.toml"], args].concat(),
        variables,
    );
    (output.status.code().unwrap(), stdout(&output))
}

#[test]
fn without_a_file_six_checks_work_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let variables = [("TMPDIR", temporary.path().to_str().unwrap())];
    let output = run(folder.path(), &["check"], &variables);
    let expected = "\
CacheBackend             ... working
DatabaseBackend          ... working
DefaultFileStorageHealthCheck ... working
DiskUsage                ... working
MemoryUsage              ... working
MigrationsHealthCheck    ... working
";
    assert_eq!(stdout(&output).as_str(), expected, "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("No configuration file was given"),
        "{}",
        stderr(&output)
    );
    for path in [folder.path(), temporary.path()] {
        assert_eq!(
            std::fs::read_dir(path).unwrap().count(),
            0,
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_warning_is_unhealthy_unless_it_is_said_otherwise() {
    let (code, output) = check(WARNING, &[], &[]);
    assert_eq!(code, 1);
    assert!(
        output.contains("% disk usage exceeds 0.001%")
            && output.starts_with("DiskUsage                ... warning: ")
    );
    let (code, output) = check(WARNING, &[], &[("WARNINGS_AS_ERRORS", "false")]);
    assert_eq!(code, 0);
    assert!(output.contains("warning: "), "{output}");
    let (code, output) = check(
        &format!("[settings]\nwarnings_as_errors = false\n{WARNING}"),
        &[],
        &[],
    );
    assert_eq!(code, 0);
    assert!(output.contains("warning: "), "{output}");
}

#[test]
fn a_failure_is_shown_and_only_a_critical_one_counts() {
    let row = "DefaultFileStorageHealthCheck ... unavailable: storage folder is missing\n";
    assert_eq!(check(BROKEN, &[], &[]), (1, row.into()));
    assert_eq!(
        check(&format!("{BROKEN}critical = false\n"), &[], &[]),
        (0, row.into())
    );
}

#[test]
fn names_groups_and_formats() {
    let config = format!("[groups.a]\n{BROKEN}groups = [\"a\"]\n{CACHE}");
    let cache = "CacheBackend             ... working\n";
    assert_eq!(check(&config, &["CacheBackend"], &[]), (0, cache.into()));
    assert_eq!(
        check(&config, &["--skip", "DefaultFileStorageHealthCheck"], &[]),
        (0, cache.into())
    );
    assert_eq!(
        check(&config, &["--group", "ready"], &[]),
        (0, cache.into())
    );
    assert_eq!(check(&config, &["--group", "a"], &[]).0, 1);
    assert_eq!(
        check(&config, &["--group", "ready", "--format", "json"], &[]),
        (0, "{\"CacheBackend\": \"working\"}\n".into())
    );
    assert!(
        check(&config, &["--format", "html"], &[])
            .1
            .starts_with("<!DOCTYPE html>")
    );
    assert_eq!(check("", &[], &[]), (0, "no checks\n".into()));
    for args in [
        &["nope"][..],
        &["--skip", "nope"],
        &["--group", "nope"],
        &["--format", "nope"],
        &["--timeout", "0"],
    ] {
        let (code, output) = check(&config, args, &[]);
        assert_eq!(code, 2, "{args:?}");
        assert_eq!(output.as_str(), "", "{args:?}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_one_line() {
    let folder = folder("[[checks]]\nkind = \"disk\"\nusage_mx = 3\n");
    for (args, variables, message) in [
        (
            &["check", "--config", "health.toml"][..],
            &[][..],
            "error: health.toml:3: checks[1].usage_mx: unknown key; did you mean \"usage_max\"?\n",
        ),
        (
            &["check"],
            &[("HEALTH_CONFIG", "health.toml")],
            "error: health.toml:3: checks[1].usage_mx: unknown key; did you mean \"usage_max\"?\n",
        ),
        (
            &["serve", "--config", "gone.toml"],
            &[],
            "error: gone.toml: there is no such file\n",
        ),
        (
            &["list", "--config", "gone.toml"],
            &[],
            "error: gone.toml: there is no such file\n",
        ),
        (
            &["check"],
            &[("HEALTH_CONFIG", "gone.toml")],
            "error: gone.toml: there is no such file\n",
        ),
        (
            &["check"],
            &[("MEMORY_MIN", "much")],
            "error: environment: MEMORY_MIN: expected a number above 0, or None, false or 0 to switch the limit off\n",
        ),
    ] {
        let output = run(folder.path(), args, variables);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stderr(&output).as_str(), message, "{args:?}");
        assert_eq!(stdout(&output), "");
    }
    assert_eq!(run(folder.path(), &["chekc"], &[]).status.code(), Some(2));
}

#[test]
fn list_is_for_programs_as_well() {
    let (code, output, error) = support::told(&["list", "--format", "json"], &[]);
    assert!(code == 0 && error.is_empty(), "{error}");
    let said: serde_json::Value = serde_json::from_str(&output).unwrap();
    let kinds = said["kinds"].as_array().unwrap();
    let key = |kind: &str, key: &str| {
        let kind = kinds.iter().find(|one| one["kind"] == kind).unwrap();
        kind["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["key"] == key)
            .unwrap()
            .clone()
    };
    assert_eq!(key("runtime", "lag_max")["default"], "1s");
    assert_eq!(
        key("database", "url")["variables"],
        serde_json::json!(["DATABASE_URL"])
    );
    assert_eq!(key("disk", "usage_max")["default"], 90.0);
    let folder = folder(CACHE);
    let checks = stdout(&run(
        folder.path(),
        &["list", "--config", "health.toml", "--format", "json"],
        &[],
    ));
    let checks: serde_json::Value = serde_json::from_str(&checks).unwrap();
    assert_eq!(checks["checks"][0]["check"], "CacheBackend");
    assert_eq!(checks["checks"][0]["timeout_seconds"], 5.0);
    let ready = &checks["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["group"] == "ready")
        .unwrap();
    assert_eq!(
        **ready,
        serde_json::json!({ "group": "ready", "grpc_services": ["", "ready"], "checks": ["CacheBackend"] })
    );
    let valid = stdout(&run(
        folder.path(),
        &["validate", "--config", "health.toml", "--format", "json"],
        &[],
    ));
    let valid: serde_json::Value = serde_json::from_str(&valid).unwrap();
    assert_eq!(valid["valid"], true);
    assert_eq!(valid["groups"]["ready"], 1);
    std::fs::write(
        folder.path().join("health.toml"),
        "[[checks]]\nkind = \"dsk\"\n",
    )
    .unwrap();
    let output = run(
        folder.path(),
        &["validate", "--config", "health.toml", "--format", "json"],
        &[],
    );
    let wrong: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(wrong["valid"], false);
    assert_eq!(wrong["error"]["line"], 2);
    assert_eq!(wrong["error"]["key"], "checks[1].kind");
}

#[test]
fn list_shows_kinds_and_checks() {
    let folder = folder(&format!(
        "{BROKEN}name = \"media\"\ncritical = false\ntimeout = 2\n"
    ));
    let kinds = stdout(&run(folder.path(), &["list"], &[]));
    for word in [
        "cache:",
        "database:",
        "disk:",
        "memory:",
        "migrations:",
        "storage:",
        "usage_max",
        "90",
        "DISK_USAGE_MAX",
    ] {
        assert!(kinds.contains(word), "{word} in {kinds}");
    }
    let checks = stdout(&run(
        folder.path(),
        &["list", "--config", "health.toml"],
        &[],
    ));
    assert!(
        checks.contains("media") && checks.contains("external") && checks.contains("2s"),
        "{checks}"
    );
    assert!(
        checks.contains("gRPC services") && checks.contains("\"\", ready"),
        "{checks}"
    );
}

#[test]
fn serve_answers_page_json_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    for path in ["/ht/", "/ht"] {
        let (status, page) = server.get(path);
        assert!(
            status == 200 && page.contains("All systems working"),
            "{page}"
        );
        assert!(page.contains("No configuration file was given"), "{page}");
    }
    assert!(
        server
            .get("/ht/?format=json")
            .1
            .starts_with(r#"{"CacheBackend": "working", "DatabaseBackend": "working", "#)
    );
    assert!(
        server
            .get("/ht/ready/?format=text")
            .1
            .starts_with("CacheBackend             ... working\n")
    );
    assert_eq!(server.get("/elsewhere").0, 404);
    support::signal(&server.process, "INT");
    let (took, code) = support::wait(&mut server.process);
    assert!(
        took < Duration::from_secs(2) && code == Some(0),
        "{took:?} {code:?}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn sigterm_drains_and_then_stops() {
    let folder = folder(&format!("[settings]\ndrain_delay = \"700ms\"\n{CACHE}"));
    let mut server = Server::start(folder.path(), &["--config", "health.toml"]);
    assert_eq!(server.get("/ht/ready/").0, 200);
    support::signal(&server.process, "TERM");
    let began = Instant::now();
    while server.get("/ht/ready/?format=json").0 == 200 {
        assert!(began.elapsed() < Duration::from_millis(500), "still ready");
    }
    let draining = (
        500,
        "{\"CacheBackend\": \"working\", \"Draining\": \"unavailable: shutting down\"}".to_owned(),
    );
    assert_eq!(server.get("/ht/ready/?format=json"), draining);
    assert_eq!(server.get("/ht/live/").0, 200);
    let (took, code) = support::wait(&mut server.process);
    assert!(
        took < Duration::from_secs(2) && code == Some(0),
        "{took:?} {code:?}"
    );
}

#[test]
fn an_address_that_is_taken_says_so() {
    let folder = folder(CACHE);
    let taken = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let listener = std::net::TcpListener::bind(&taken).unwrap();
    let output = run(
        folder.path(),
        &["serve", "--config", "health.toml", "--listen", &taken],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains(&format!("can't listen at {taken}: ")),
        "{}",
        stderr(&output)
    );
    drop(listener);
}

#[test]
fn no_secret_is_printed_at_any_level() {
    let config = "[settings]\ntoken = \"hunter2\"\n[[checks]]\nkind = \"database\"\nurl = \"sqlite:///no/hunter2/x.db\"\n";
    let folder = folder(config);
    let output = run(
        folder.path(),
        &["check", "--config", "health.toml"],
        &[("RUST_LOG", "trace")],
    );
    let all = stdout(&output) + &stderr(&output);
    assert!(
        all.contains("does not exist") && !all.contains("hunter2"),
        "{all}"
    );
}
