//! `health completions`, `health man`, `--help` and the README.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::fs;

use support::{run, told};

const COMMANDS: [&str; 10] = [
    "check",
    "serve",
    "probe",
    "wait",
    "watch",
    "list",
    "validate",
    "schema",
    "completions",
    "man",
];

#[test]
fn every_shell_gets_its_completions() {
    for (shell, sign) in [
        ("bash", "complete -F _health"),
        ("zsh", "#compdef health"),
        ("fish", "complete -c health"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[health]"),
    ] {
        let (code, script, error) = told(&["completions", shell], &[]);
        assert!(
            code == 0 && error.is_empty() && script.contains(sign),
            "{shell}: {error}"
        );
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    assert_eq!(told(&["completions", "tcsh"], &[]).0, 2);
}

#[test]
fn a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("HEALTH_CONFIG", "hunter2"), ("HEALTH_LISTEN", "hunter2")];
    let output = run(folder.path(), &["man", "--dir", "share/man1"], &variables);
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let page =
        |name: &str| fs::read_to_string(folder.path().join("share/man1").join(name)).unwrap();
    let source = concat!("\"health ", env!("CARGO_PKG_VERSION"), "\"");
    assert!(
        page("health.1").contains(&format!("\n.TH health 1 \"\" {source} \"User Commands\"\n"))
    );
    for command in COMMANDS {
        let page = page(&format!("health-{command}.1"));
        assert!(
            page.contains("\n.SH \"EXIT STATUS\"\n") && !page.contains("hunter2"),
            "{command}"
        );
    }
    assert_eq!(told(&["man"], &[]).1, page("health.1"));
    assert_eq!(told(&["man", "--dir", "/dev/null/x"], &[]).0, 2);
}

#[test]
fn help_is_0_and_names_each_command() {
    let help = told(&["--help"], &[]).1;
    let readme = include_str!("../README.md");
    for command in COMMANDS {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} in {help}"
        );
        let (code, own, _) = told(&[command, "--help"], &[]);
        assert!(
            code == 0 && own.contains(&format!("Usage: health {command}")),
            "{own}"
        );
        assert!(
            readme.contains(&format!("| `health {command}")),
            "{command} is not in the README"
        );
    }
}
