//! `health watch`: a line for each change in a pipe, and a table on a terminal, which is restored
//! at the end.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::{BROKEN, CACHE, Running, answering, folder, health, http, nobody, told};

/// Starts a server whose response changes every three polls.
fn changing() -> String {
    let polls = AtomicUsize::new(0);
    let (address, _) = answering(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
        0..3 => http("200 OK", "", r#"{"a": "working", "b": "warning: 3 left"}"#),
        3..6 => http(
            "503 Service Unavailable",
            "",
            r#"{"a": "unavailable: timed out", "b": "warning: 2 left"}"#,
        ),
        6..9 => http("502 Bad Gateway", "", ""),
        _ => http("200 OK", "", r#"{"a": "working"}"#),
    });
    address
}

fn watch(url: &str) -> Command {
    let mut command = health(&std::env::temp_dir());
    command
        .args(["watch", url, "--interval", "30ms"])
        .env("TERM", "xterm");
    command
}

/// Returns the next lines of a process, without their times.
fn lines(process: &mut Child, count: usize) -> Vec<String> {
    let lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
    let without_time = |line: String| {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        rest.to_owned()
    };
    lines
        .take(count)
        .map(|line| without_time(line.unwrap()))
        .collect()
}

#[test]
fn a_pipe_gets_a_line_for_each_change() {
    let address = changing();
    let mut process = Running::new(watch(&format!("http://{address}/")).stdout(Stdio::piped()));
    let row = |name: &str, text: &str| format!("{name:<24} ... {text}");
    let expected = [
        row(&address, "healthy"),
        row("a", "working"),
        row("b", "warning: 3 left"),
        row(&address, "unhealthy"),
        row("a", "unavailable: timed out"),
        row(&address, "answered with 502 instead of 2xx, 500 or 503"),
        row(&address, "healthy"),
        row("a", "working"),
        row("b", "gone"),
    ];
    assert_eq!(lines(&mut process, expected.len()), expected);
    support::signal(&process, "TERM");
    let (took, code) = support::wait(&mut process);
    assert!(
        took < Duration::from_secs(2) && code == Some(0),
        "{took:?} {code:?}"
    );
}

#[test]
fn it_ends_with_its_reader() {
    let mut process =
        Running::new(watch(&format!("http://{}/", changing())).stdout(Stdio::piped()));
    drop(process.stdout.take());
    assert_eq!(support::wait(&mut process).1, Some(0));
}

#[test]
fn it_can_be_ended_while_its_reader_does_not_read() {
    let polls = AtomicUsize::new(0);
    let (address, _) = answering(move |_| {
        let text = if polls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            "x"
        } else {
            "y"
        };
        http(
            "200 OK",
            "",
            &format!(r#"{{"a": "{}"}}"#, text.repeat(100_000)),
        )
    });
    let mut process = Running::new(watch(&format!("http://{address}/")).stdout(Stdio::piped()));
    thread::sleep(Duration::from_millis(500));
    support::signal(&process, "TERM");
    let (took, code) = support::wait(&mut process);
    assert!(
        took < Duration::from_secs(5) && code == Some(0),
        "{took:?} {code:?}"
    );
}

#[test]
fn nobody_there_is_shown_and_waited_for() {
    let nobody = nobody();
    let mut process = Running::new(watch(&format!("http://{nobody}/")).stdout(Stdio::piped()));
    assert_eq!(
        lines(&mut process, 1),
        [format!("{nobody:<24} ... connection refused")]
    );
    support::signal(&process, "INT");
    assert_eq!(support::wait(&mut process).1, Some(0));
}

#[test]
fn what_is_wrong_with_the_command_is_2() {
    for args in [
        &["watch", "nope"][..],
        &["watch", "--config", "/no/such/file"],
        &["watch", "--interval", "0"],
    ] {
        let (code, output, error) = told(args, &[]);
        assert!(
            code == 2 && output.is_empty() && error.starts_with("error: "),
            "{args:?} {error}"
        );
    }
}

#[cfg(target_os = "linux")]
mod terminal {
    use super::*;
    use support::Terminal;

    const ENTER: &str = "\x1b[?1049h\x1b[?25l";
    const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

    #[test]
    fn a_terminal_gets_a_table_and_is_left_as_it_was() {
        for signal in ["INT", "TERM"] {
            let terminal = Terminal::open();
            let mut process =
                Running::new(watch(&format!("http://{}/", changing())).stdout(terminal.stdio()));
            let text = terminal.await_text("unavailable");
            assert!(text.starts_with(ENTER), "{text:?}");
            for part in [
                "healthy",
                "check",
                "status",
                "message",
                "\x1b[38;5;1munavailable",
                "timed out",
                "3 left",
                "\x1b[H",
            ] {
                assert!(text.contains(part), "{part:?} in {text:?}");
            }
            assert!(!text.contains("\x1b[2J"), "it would flicker: {text:?}");
            support::signal(&process, signal);
            assert_eq!(support::wait(&mut process).1, Some(0));
            assert!(terminal.await_text(LEAVE).ends_with(LEAVE));
        }
    }

    #[test]
    fn the_checks_of_a_file_are_shown_without_log_lines_between() {
        let terminal = Terminal::open();
        let folder = folder(&format!("{CACHE}{BROKEN}"));
        let mut command = health(folder.path());
        command
            .args(["watch", "--config", "health.toml"])
            .env("TERM", "xterm")
            .stdout(terminal.stdio())
            .stderr(terminal.stdio());
        let mut process = Running::new(&mut command);
        let text = terminal.await_text("storage folder is missing");
        assert!(
            text.contains("duration") && !text.contains("WARN"),
            "{text:?}"
        );
        support::signal(&process, "INT");
        assert_eq!(support::wait(&mut process).1, Some(0));
    }

    #[test]
    fn it_fits_into_the_terminal_and_follows_its_size() {
        let rows: Vec<_> = (0..30)
            .map(|number| format!(r#""row{number:02}": "working""#))
            .collect();
        let body = format!("{{{}}}", rows.join(", "));
        let (address, _) = answering(move |_| http("200 OK", "", &body));
        let terminal = Terminal::open();
        let mut process =
            Running::new(watch(&format!("http://{address}/")).stdout(terminal.stdio()));
        let text = terminal.await_text("... and 14 lines more");
        assert!(
            text.contains("row15") && !text.contains("row16"),
            "{text:?}"
        );
        terminal.resize(100, 10);
        support::signal(&process, "WINCH");
        terminal.await_text("... and 24 lines more");
        support::signal(&process, "INT");
        assert_eq!(support::wait(&mut process).1, Some(0));
    }

    #[test]
    fn without_colour_it_is_a_table_as_well_and_a_dumb_terminal_gets_lines() {
        let terminal = Terminal::open();
        let mut process = Running::new(
            watch(&format!("http://{}/", changing()))
                .env("NO_COLOR", "1")
                .stdout(terminal.stdio()),
        );
        let text = terminal.await_text("unavailable  ");
        assert!(
            text.starts_with(ENTER) && !text.contains("\x1b[38") && !text.contains("\x1b[31m"),
            "{text:?}"
        );
        support::signal(&process, "INT");
        assert_eq!(support::wait(&mut process).1, Some(0));
        let terminal = Terminal::open();
        let mut process = Running::new(
            watch(&format!("http://{}/", changing()))
                .env("TERM", "dumb")
                .stdout(terminal.stdio()),
        );
        let text = terminal.await_text("timed out");
        assert!(!text.contains('\x1b'), "{text:?}");
        support::signal(&process, "INT");
        assert_eq!(support::wait(&mut process).1, Some(0));
    }

    #[test]
    fn while_it_is_stopped_the_terminal_is_the_shells() {
        let terminal = Terminal::open();
        let mut process =
            Running::new(watch(&format!("http://{}/", changing())).stdout(terminal.stdio()));
        terminal.await_text("working");
        support::signal(&process, "TSTP");
        let stopped = terminal.await_text(LEAVE);
        assert!(stopped.ends_with(LEAVE), "{stopped:?}");
        thread::sleep(Duration::from_millis(100));
        assert_eq!(terminal.text(), stopped);
        support::signal(&process, "CONT");
        terminal.await_text(&format!("{LEAVE}{ENTER}"));
        support::signal(&process, "INT");
        assert_eq!(support::wait(&mut process).1, Some(0));
    }
}
