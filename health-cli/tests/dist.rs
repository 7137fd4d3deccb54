//! The distribution of `cargo xtask dist`, read by shells, manual page readers and tar.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use support::xtask;

/// The folder of a distribution, which is made once. The archive of the same name is next to it.
static DIST: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Packed instead of the program, which is a hundred times as large when built for tests.
    let program = folder.join("program");
    fs::write(
        &program,
        format!(
            "#!/bin/sh\nexec '{}' \"$@\"\n",
            env!("CARGO_BIN_EXE_health")
        ),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let out = folder.join("dist");
    let packed = program.to_str().unwrap();
    let to = out.to_str().unwrap();
    xtask(
        &[
            "dist",
            "--target",
            "some-target",
            "--program",
            packed,
            "--out",
            to,
        ],
        &[],
    );
    out.join(concat!(
        "health-",
        env!("CARGO_PKG_VERSION"),
        "-some-target"
    ))
});

fn file(path: &str) -> PathBuf {
    let file = DIST.join(path);
    assert!(file.is_file(), "{} is not there", file.display());
    file
}

/// Runs a program that has to be installed and to succeed. Returns its whole output.
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        let name = command.get_program().display();
        panic!("{name}: {error}: run `cargo xtask test`, which installs it")
    });
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

#[test]
fn the_archive_has_all_of_it_and_its_sum() {
    let out = DIST.parent().unwrap();
    let name = DIST.file_name().unwrap().to_str().unwrap();
    let listed = printed(
        Command::new("tar")
            .arg("-tzvf")
            .arg(out.join(format!("{name}.tar.gz"))),
    );
    for path in [
        "bin/health",
        "share/man/man1/health.1",
        "share/man/man1/health-check.1",
        "share/bash-completion/completions/health",
        "share/zsh/site-functions/_health",
        "share/fish/vendor_completions.d/health.fish",
        "share/elvish/lib/health.elv",
        "share/pwsh/completions/_health.ps1",
        "share/health/health.schema.json",
        "share/doc/health/README.md",
        "share/doc/health/CHANGELOG.md",
        "share/doc/health/LICENSE-APACHE",
        "share/doc/health/LICENSE-MIT",
    ] {
        let line = listed
            .lines()
            .find(|line| line.ends_with(&format!(" {name}/{path}")));
        let line = line.unwrap_or_else(|| panic!("{path} is not in it: {listed}"));
        let mode = if path == "bin/health" {
            "-rwxr-xr-x 0/0 "
        } else {
            "-rw-r--r-- 0/0 "
        };
        assert!(line.starts_with(mode), "{line}");
    }
    printed(
        Command::new("sha256sum")
            .arg("-c")
            .arg(format!("{name}.tar.gz.sha256"))
            .current_dir(out),
    );
    let schema = fs::read_to_string(file("share/health/health.schema.json")).unwrap();
    assert!(jsonschema::meta::is_valid(
        &serde_json::from_str(&schema).unwrap()
    ));
}

#[test]
fn manual_pages_are_read_without_a_warning() {
    let pages = file("share/man/man1/health.1").parent().unwrap().to_owned();
    let pages: Vec<_> = fs::read_dir(pages)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(pages.len(), 11, "{pages:?}");
    for page in &pages {
        assert_eq!(
            printed(
                Command::new("groff")
                    .args(["-man", "-Tutf8", "-ww", "-z"])
                    .arg(page)
            ),
            "",
            "{page:?}"
        );
        // Only errors: warnings about paragraphs and the missing date come from the generator of
        // the pages.
        let said = printed(
            Command::new("mandoc")
                .args(["-T", "lint", "-W", "error"])
                .arg(page),
        );
        assert_eq!(said, "", "{page:?}");
        let text = read(page);
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "EXAMPLES"] {
            assert!(
                text.contains(&format!("\n{section}\n")),
                "{page:?} lacks {section}: {text}"
            );
        }
        assert!(!text.contains("EXTRA"), "{text}");
    }
}

/// Renders a page for a terminal of 80 columns.
fn read(page: &Path) -> String {
    printed(
        Command::new("groff")
            .args(["-man", "-Tutf8", "-P-cbou"])
            .arg(page),
    )
}

#[test]
fn examples_stand_in_manual_pages_as_they_are_typed() {
    let text = read(&file("share/man/man1/health-probe.1"));
    for line in [
        "health probe https://shop.example/ht/ --header 'Authorization: Bearer ${HEALTH_TOKEN}'",
        "HEALTHCHECK CMD [\"health\", \"probe\", \"http://127.0.0.1:8000/ht/\", \"--exit\", \"docker\"]",
    ] {
        assert!(
            text.lines().any(|shown| shown.trim() == line),
            "{line} is not in {text}"
        );
    }
}

#[test]
fn shells_can_read_their_completions() {
    for (shell, path) in [
        ("bash", "share/bash-completion/completions/health"),
        ("zsh", "share/zsh/site-functions/_health"),
        ("fish", "share/fish/vendor_completions.d/health.fish"),
    ] {
        assert_eq!(
            printed(Command::new(shell).arg("-n").arg(file(path))),
            "",
            "{shell}"
        );
    }
}

/// Returns the completions of bash for the last word of a line.
fn bash(line: &str) -> Vec<String> {
    let words: Vec<_> = line.split(' ').collect();
    let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
        $(complete -p health | sed 's/.*-F \\([^ ]*\\).*/\\1/') health \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = Command::new("bash");
    command
        .args(["--norc", "-c", script, "bash"])
        .arg(file("share/bash-completion/completions/health"))
        .args(words);
    printed(&mut command).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let commands = bash("health ");
    for command in [
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
    ] {
        assert!(
            commands.iter().any(|word| word == command),
            "{command} is not in {commands:?}"
        );
    }
    assert_eq!(bash("health wa"), ["wait", "watch"]);
    assert_eq!(bash("health check --exit "), ["nagios", "docker"]);
    assert_eq!(bash("health validate --kub"), ["--kubernetes"]);
    assert_eq!(bash("health completions pow"), ["powershell"]);
}

#[test]
fn fish_completes_commands_and_values() {
    let script = file("share/fish/vendor_completions.d/health.fish");
    let fish = |line: &str| {
        let program = format!("source {}; complete -C '{line}'", script.display());
        let said = printed(Command::new("fish").args(["--no-config", "-c", &program]));
        let words = said
            .lines()
            .map(|line| line.split('\t').next().unwrap().to_owned());
        words.collect::<Vec<_>>()
    };
    assert_eq!(fish("health wa"), ["wait", "watch"]);
    assert_eq!(fish("health check --exit "), ["docker", "nagios"]);
}
