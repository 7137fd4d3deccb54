//! systemd, cron, Nagios and Icinga: `health check` on a machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{HEALTH, config, outcome, program, recipe, replaced};

const BROKEN: &str = "[[checks]]\nkind = \"storage\"\npath = \"/no/such/folder\"\n";

/// Whether a command line of a recipe, with the paths of this test, succeeds; and what it prints.
fn sh(line: &str, configuration: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.toml");
    fs::write(&file, configuration).unwrap();
    let changes = [("/usr/local/bin/health", HEALTH), ("/etc/shop/health.toml", file.to_str().unwrap())];
    outcome(Command::new("sh").arg("-c").arg(replaced(line, &changes)).env_clear())
}

/// What stands behind a key.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(key));
    found.unwrap_or_else(|| panic!("no {key} in {text}")).trim()
}

/// What systemd says of the recipes' units, their programs being the binary of this test.
fn verify(changes: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let unit = recipe(name).replace("/usr/local/bin/health", HEALTH).replace("/usr/local/bin/shop", HEALTH);
        let path = folder.path().join(name);
        fs::write(&path, changes.iter().fold(unit, |unit, (from, to)| unit.replace(from, to))).unwrap();
        path
    };
    let units = ["shop.service", "shop-health.service", "shop-health.timer"].map(write);
    outcome(program("systemd-analyze", "systemd").args(["verify", "--man=no"]).args(units))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let (success, output) = verify(&[]);
    // It may find something in a unit of the machine.
    let own: Vec<_> = output.lines().filter(|line| line.contains("shop")).collect();
    assert!(success && own.is_empty(), "{output}");
    let (_, output) = verify(&[("ExecStartPre", "ExecStrtPre")]);
    assert!(output.contains("Unknown key"), "systemd takes anything: {output}");
    let (success, output) = verify(&[("OnCalendar=minutely", "OnCalendar=sometimes")]);
    assert!(!success || output.contains("sometimes"), "systemd takes anything: {output}");
}

#[test]
fn the_timers_service_fails_where_the_check_does() {
    let line = recipe("shop-health.service");
    let line = value(&line, "ExecStart=");
    assert!(sh(line, &config()).0);
    let (success, output) = sh(line, BROKEN);
    assert!(!success && output.contains("unavailable: "), "{output}");
}

#[test]
fn cron_has_nothing_to_mail_while_all_is_well() {
    let table = recipe("health.cron");
    let line = table.lines().find(|line| line.starts_with('*')).unwrap();
    let fields: Vec<_> = line.splitn(7, ' ').collect();
    assert_eq!(fields[..6], ["*/5", "*", "*", "*", "*", "shop"]);
    assert!(!fields[6].contains('%'), "cron makes a new line of it");
    assert_eq!(sh(fields[6], &config()), (true, String::new()));
    let (_, output) = sh(fields[6], BROKEN);
    assert!(output.contains("DefaultFileStorageHealthCheck ... unavailable: "), "{output}");
}

#[test]
fn nagios_and_icinga_run_the_command() {
    let definitions = recipe("nagios.cfg");
    let service = value(&definitions, "check_command").split_once('!').unwrap();
    assert_eq!(service.0, value(&definitions, "command_name"));
    let line = value(&definitions, "command_line").replace("$ARG1$", service.1);
    let (healthy, output) = sh(&line, &config());
    assert!(healthy && output.starts_with("HEALTH OK"), "{output}");
    let (healthy, output) = sh(&line, BROKEN);
    assert!(!healthy && output.starts_with("HEALTH CRITICAL"), "{output}");

    let icinga = recipe("icinga2.conf");
    for word in ["\"/usr/local/bin/health\", \"check\"", "\"--config\" = ", "\"--exit\" = \"nagios\""] {
        assert!(icinga.contains(word), "{word}");
    }
    let braces = |brace: char| icinga.matches(brace).count();
    assert_eq!(braces('{'), braces('}'));
    assert!(Path::new(service.1).is_absolute());
}
