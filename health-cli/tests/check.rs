//! The output of `health check` for people: tables, colours and progress.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

mod support;

use std::process::{Command, Stdio};

use support::{BROKEN, CACHE, WARNING, folder, health, run, stderr, stdout};

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

#[test]
fn a_table_has_status_duration_and_message() {
    let folder = folder(&format!("{CACHE}{BROKEN}{WARNING}"));
    let output = stdout(&run(
        folder.path(),
        &["check", "--config", "health.toml", "--format", "table"],
        &[],
    ));
    let rows = lines(&output);
    assert_eq!(
        rows[0],
        "check                          status       duration  message"
    );
    assert!(
        rows[1].starts_with("CacheBackend                   working      ")
            && rows[1].ends_with(" ms"),
        "{output}"
    );
    assert!(
        rows[2].ends_with(" ms    storage folder is missing"),
        "{output}"
    );
    assert!(
        rows[3].contains(" warning ") && rows[3].ends_with("% disk usage exceeds 0.001%"),
        "{output}"
    );
    let wrong = stderr(&run(
        folder.path(),
        &["check", "--config", "health.toml", "--format", "tabel"],
        &[],
    ));
    assert!(
        wrong.starts_with("error: no format is named \"tabel\"; there are: "),
        "{wrong}"
    );
    for format in ["html", "json", "table", "text"] {
        assert!(wrong.contains(&format!(" {format}")), "{format}: {wrong}");
    }
}

#[test]
fn an_endpoint_s_report_as_a_table() {
    let server = support::Server::of(&format!("{CACHE}{BROKEN}"));
    let (code, output, _) =
        support::told(&["probe", &server.url("/ht/"), "--format", "table"], &[]);
    let lines = lines(&output);
    assert_eq!(code, 1, "{output}");
    assert_eq!(lines.len(), 3, "{output}");
    for (line, words) in lines.iter().zip([
        &["check", "status", "duration", "message"][..],
        &["CacheBackend", "working", " ms"],
        &[
            "DefaultFileStorageHealthCheck",
            "unavailable",
            " ms",
            "storage folder is missing",
        ],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
}

#[test]
fn colours_are_for_terminals_unless_it_is_said_otherwise() {
    let folder = folder(CACHE);
    let has_colour = |args: &[&str], variables: &[(&str, &str)]| {
        let args = [&["check", "--config", "health.toml"], args].concat();
        stdout(&run(folder.path(), &args, variables)).contains("\x1b[")
    };
    for format in ["text", "table"] {
        let with = |more: &'static [&'static str]| [&["--format", format], more].concat();
        assert!(!has_colour(&with(&[]), &[]));
        assert!(!has_colour(
            &with(&["--color", "never"]),
            &[("CLICOLOR_FORCE", "1")]
        ));
        assert!(has_colour(
            &with(&["--color", "always"]),
            &[("NO_COLOR", "1")]
        ));
        assert!(has_colour(&with(&[]), &[("CLICOLOR_FORCE", "1")]));
    }
}

#[test]
fn help_and_wrong_usage_have_colours_by_the_same_rules() {
    for args in [
        &["--help"][..],
        &["check", "--help"],
        &["nope"],
        &["check", "--nope"],
        &["probe"],
    ] {
        let has_colour = |color: &[&str], variables: &[(&str, &str)]| {
            let (_, output, error) = support::told(&[color, args].concat(), variables);
            (output + &error).contains("\x1b[")
        };
        assert!(!has_colour(&[], &[]), "{args:?}");
        assert!(has_colour(&[], &[("CLICOLOR_FORCE", "1")]), "{args:?}");
        assert!(
            !has_colour(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]),
            "{args:?}"
        );
        assert!(
            !has_colour(&["--color=never"], &[("CLICOLOR_FORCE", "1")]),
            "{args:?}"
        );
        assert!(
            has_colour(&["--color", "always"], &[("NO_COLOR", "1")]),
            "{args:?}"
        );
        assert!(has_colour(&["--color=always"], &[]), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
mod terminal {
    use super::*;
    use support::{Running, Terminal};

    fn check(folder: &std::path::Path, terminal: &Terminal) -> Command {
        let mut command = health(folder);
        command
            .args(["check", "--config", "health.toml"])
            .env("TERM", "xterm")
            .stderr(terminal.stdio());
        command
    }

    #[test]
    fn colours_on_a_terminal() {
        let folder = folder(CACHE);
        for (variables, wanted) in [
            (&[][..], "\x1b[32mworking"),
            (&[("NO_COLOR", "1")], "... working"),
        ] {
            let terminal = Terminal::open();
            let mut command = check(folder.path(), &terminal);
            let mut process = Running::new(
                command
                    .envs(variables.iter().copied())
                    .stdout(terminal.stdio()),
            );
            assert_eq!(support::wait(&mut process).1, Some(0));
            let text = terminal.await_text(wanted);
            assert!(!text.contains("done, waiting"), "{text:?}");
        }
    }

    /// Creates a file with a check of a locked SQLite database, which waits for the lock.
    fn slow(timeout: &str) -> (tempfile::TempDir, std::fs::File) {
        let migrations =
            "[[checks]]\nkind = \"migrations\"\nurl = \"sqlite://x.db\"\nsource = \".\"\n";
        let folder = folder(&format!(
            "{CACHE}{BROKEN}{migrations}timeout = \"{timeout}\"\n"
        ));
        let database = std::fs::File::create(folder.path().join("x.db")).unwrap();
        rustix::fs::fcntl_lock(&database, rustix::fs::FlockOperation::LockExclusive).unwrap();
        (folder, database)
    }

    #[test]
    fn an_interrupted_run_can_not_tell() {
        for (args, code, said) in [
            (&[][..], 2, ("", "error: interrupted\n")),
            (&["--exit", "docker"], 1, ("", "error: interrupted\n")),
            (
                &["--exit", "nagios"],
                3,
                ("HEALTH UNKNOWN - interrupted\n", ""),
            ),
        ] {
            let (folder, _lock) = slow("20s");
            let mut command = health(folder.path());
            command
                .args(["check", "--config", "health.toml"])
                .args(args)
                .env("RUST_LOG", "off");
            let process = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(400));
            support::signal(&process, "TERM");
            let output = process.wait_with_output().unwrap();
            let told = (stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(code), "{args:?}");
            assert_eq!((&*told.0, &*told.1), said, "{args:?}");
        }
    }

    #[test]
    fn a_slow_run_says_what_it_waits_for_on_a_terminal_alone() {
        let (folder, _lock) = slow("1200ms");
        let terminal = Terminal::open();
        let mut command = check(folder.path(), &terminal);
        command.env("RUST_LOG", "warn").stdout(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let report = stdout(&output);
        assert!(
            report.contains("\nMigrationsHealthCheck    ... unavailable: "),
            "{report}"
        );
        // The line is cleared before a log line is written.
        let text = terminal.await_text("\r\x1b[K\x1b[2m20");
        assert!(
            text.contains("\r2 of 3 done, waiting for MigrationsHealthCheck\x1b[K"),
            "{text:?}"
        );
        assert!(
            text.ends_with('\n') || text.ends_with("\r\x1b[K"),
            "{text:?}"
        );

        let piped = check(folder.path(), &Terminal::open())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(!stderr(&piped).contains("waiting"), "{}", stderr(&piped));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_with_few_files_to_open_says_so() {
    let folder = folder("[[checks]]\nkind = \"limits\"\nusage_max = 10\n");
    let mut command = std::process::Command::new("sh");
    let program = health(folder.path()).get_program().to_owned();
    command
        .args([
            "-c",
            "ulimit -n 64; exec \"$0\" check --config health.toml --format health",
        ])
        .arg(program);
    let output = command
        .current_dir(folder.path())
        .env_clear()
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let seen = |name: &str| {
        report["checks"][format!("ProcessLimits:{name}")][0]["observedValue"]
            .as_f64()
            .unwrap()
    };
    assert!(
        (seen("open_files_max") - 64.0).abs() < f64::EPSILON,
        "{report}"
    );
    assert!((7.0..30.0).contains(&seen("open_files")), "{report}");
    let text = stdout(&output);
    assert!(
        text.contains("% of the open files that are allowed exceeds 10%"),
        "{text}"
    );
}
