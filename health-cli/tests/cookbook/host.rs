//! systemd, cron, Nagios and Icinga: `health check` on a machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{HEALTH, Process, config, outcome, program, recipe, replaced, run, until};

const BROKEN: &str = "[[checks]]\nkind = \"storage\"\npath = \"/no/such/folder\"\n";

/// Runs a command line of a recipe with the paths of this test. Returns `true` if it succeeds, and
/// its output.
fn sh(line: &str, configuration: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.toml");
    fs::write(&file, configuration).unwrap();
    let changes = [
        ("/usr/local/bin/health", HEALTH),
        ("/etc/shop/health.toml", file.to_str().unwrap()),
    ];
    outcome(
        Command::new("sh")
            .arg("-c")
            .arg(replaced(line, &changes))
            .env_clear(),
    )
}

/// Returns the value after a key.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(key));
    found.unwrap_or_else(|| panic!("no {key} in {text}")).trim()
}

/// Verifies the units of the recipes with systemd, with the binary of this test as their program.
fn verify(changes: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let unit = recipe(name)
            .replace("/usr/local/bin/health", HEALTH)
            .replace("/usr/local/bin/shop", HEALTH);
        let path = folder.path().join(name);
        fs::write(
            &path,
            changes
                .iter()
                .fold(unit, |unit, (from, to)| unit.replace(from, to)),
        )
        .unwrap();
        path
    };
    let units = [
        "shop.service",
        "shop-health.service",
        "shop-health.timer",
        "shop-page.service",
        "shop-page.socket",
    ]
    .map(write);
    outcome(
        program("systemd-analyze", "systemd")
            .args(["verify", "--man=no"])
            .args(units),
    )
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let (success, output) = verify(&[]);
    // systemd may also report errors in other units of the machine.
    let own: Vec<_> = output
        .lines()
        .filter(|line| line.contains("shop"))
        .collect();
    assert!(success && own.is_empty(), "{output}");
    let (_, output) = verify(&[("ExecStartPre", "ExecStrtPre")]);
    assert!(
        output.contains("Unknown key"),
        "systemd takes anything: {output}"
    );
    let (success, output) = verify(&[("OnCalendar=minutely", "OnCalendar=sometimes")]);
    assert!(
        !success || output.contains("sometimes"),
        "systemd takes anything: {output}"
    );
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
    assert!(
        output.contains("DefaultFileStorageHealthCheck ... unavailable: "),
        "{output}"
    );
}

#[test]
fn the_commands_of_nagios_say_what_is_wrong() {
    let definitions = recipe("nagios.cfg");
    let service = value(&definitions, "check_command")
        .split_once('!')
        .unwrap();
    assert_eq!(service.0, value(&definitions, "command_name"));
    let line = value(&definitions, "command_line").replace("$ARG1$", service.1);
    let (healthy, output) = sh(&line, &config());
    assert!(healthy && output.starts_with("HEALTH OK"), "{output}");
    let (healthy, output) = sh(&line, BROKEN);
    assert!(
        !healthy && output.starts_with("HEALTH CRITICAL"),
        "{output}"
    );

    assert!(Path::new(service.1).is_absolute());
}

/// Returns the name of the current user.
fn user() -> String {
    run(Command::new("id").arg("-un")).trim().to_owned()
}

/// Returns settings for Nagios, with all of its files in the folder of the test.
fn nagios_settings(path: &impl Fn(&str) -> String) -> String {
    let files = [
        ("log_file", "log"),
        ("object_cache_file", "cache"),
        ("status_file", "status"),
        ("lock_file", "lock"),
    ];
    let more = [
        ("temp_file", "temp"),
        ("query_socket", "socket"),
        ("command_file", "commands"),
        ("cfg_file", "shop.cfg"),
    ];
    let last = [
        ("temp_path", "."),
        ("check_result_path", "."),
        ("cfg_file", "objects.cfg"),
    ];
    let lines = files
        .into_iter()
        .chain(more)
        .chain(last)
        .map(|(key, name)| format!("{key}={}", path(name)));
    let own = format!(
        "nagios_user={}\nservice_inter_check_delay_method=n\nuse_syslog=0",
        user()
    );
    lines.chain([own]).collect::<Vec<_>>().join("\n")
}

#[test]
fn nagios_runs_the_check_and_raises_its_alert() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("health.toml"), BROKEN).unwrap();
    let changes = [
        ("/usr/local/bin/health", HEALTH),
        ("/etc/shop/health.toml", &path("health.toml")),
    ];
    fs::write(path("shop.cfg"), replaced(&recipe("nagios.cfg"), &changes)).unwrap();
    fs::write(path("objects.cfg"), include_str!("nagios-objects.cfg")).unwrap();
    fs::write(path("main.cfg"), nagios_settings(&path)).unwrap();

    let mut nagios = program("nagios4", "nagios4-core");
    let said = run(program("nagios4", "nagios4-core")
        .arg("-v")
        .arg(path("main.cfg")));
    assert!(said.contains("Things look okay"), "{said}");
    let mut nagios = Process::start(nagios.arg(path("main.cfg")), &folder.path().join("output"));
    let alert = "SERVICE ALERT: shop1;shop health;CRITICAL;HARD;1;HEALTH CRITICAL - 1 of 1 checks failed: DefaultFileStorage";
    let log = || fs::read_to_string(path("log")).ok();
    until("its alert", Duration::from_mins(1), || {
        log()?.contains(alert).then_some(())
    });
    nagios.terminate();
    until("its end", Duration::from_mins(1), || {
        nagios.has_ended().then_some(())
    });
}

/// Validates the recipe with Icinga, in a folder of `zones.d`.
fn icinga(changes: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    fs::create_dir_all(folder.path().join("zones.d/shop1")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "zones.d/shop1/shop.conf",
        &replaced(&recipe("icinga2.conf"), changes),
    );
    write(
        "zones.d/shop1/host.conf",
        "object CheckCommand \"alive\" { command = [ \"/bin/true\" ] }\n\
         object Host \"shop1\" { check_command = \"alive\"\n vars.shop = true }\n",
    );
    write(
        "main.conf",
        &format!(
            "include <itl>\nconst NodeName = \"shop1\"\nobject Endpoint NodeName {{ }}\n\
             object Zone NodeName {{ endpoints = [ NodeName ] }}\ninclude_zones \"etc\", \"{root}/zones.d\"\n"
        ),
    );
    let mut command = program("icinga2", "icinga2-bin");
    command
        .args(["daemon", "-C", "-c"])
        .arg(folder.path().join("main.conf"));
    for variable in ["DataDir", "CacheDir", "InitRunDir", "LogDir", "SpoolDir"] {
        command.arg(format!("-D{variable}={root}"));
    }
    let user = user();
    outcome(command.args([
        format!("-DRunAsUser={user}"),
        format!("-DRunAsGroup={user}"),
    ]))
}

#[test]
fn icinga_takes_the_recipe() {
    let (is_valid, said) = icinga(&[]);
    assert!(
        is_valid && said.contains("Instantiated 1 Service."),
        "{said}"
    );
    let (is_valid, said) = icinga(&[("check_command = \"health\"", "check_command = \"helth\"")]);
    assert!(!is_valid && said.contains("helth"), "{said}");
}
