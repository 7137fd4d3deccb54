//! Tests what a configuration file may say, and the messages about one that is invalid.

#![cfg(all(feature = "embedded", feature = "full"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use health_checks::config::{Config, ConfigError, Options};
use health_core::{Health, Report, Status};

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Health, ConfigError> {
    let find = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| std::ffi::OsString::from(*value))
    };
    Config::from_text("health.toml", text, &find, &Options::default())?.build()
}

/// Returns the message about an invalid file.
fn wrong(text: &str) -> String {
    load(text, &[]).unwrap_err().to_string()
}

async fn report(text: &str, variables: &[(&str, &str)]) -> Report {
    (*load(text, variables).unwrap().report().await).clone()
}

#[tokio::test]
async fn settings_groups_and_options_arrive() {
    let health = load(
        r#"
        [settings]
        warnings_as_errors = false
        timeout = "1m 30s"
        ttl = 0.5
        unhealthy_status = 503
        token = "${TOKEN}"

        [groups.batch]
        budget = "2s"

        [[checks]]
        kind = "disk"
        path = "/"
        name = "root disk"
        critical = false
        groups = ["ready", "batch"]
        every = "10s"
        thresholds = { rise = 2, fall = 3 }
        depends_on = ["cache"]
        labels = { team = "shop" }

        [[checks]]
        kind = "cache"
        name = "cache"
        ttl = 0

        [[checks]]
        kind = "memory"
        enabled = false
        "#,
        &[("TOKEN", "hunter2")],
    )
    .unwrap();
    assert_eq!(
        health.identifiers().collect::<Vec<_>>(),
        ["cache", "root disk"]
    );
    assert_eq!(
        health.groups().collect::<Vec<_>>(),
        ["live", "ready", "startup", "batch"]
    );
    let settings = health.settings();
    assert_eq!(settings.timeout, Duration::from_secs(90));
    assert_eq!(settings.ttl, Duration::from_millis(500));
    assert_eq!(settings.unhealthy_status, 503);
    assert!(!settings.warnings_as_errors);
    let report = health.report().await;
    assert!(!report.checks[1].critical);
    assert_eq!(report.checks[1].labels["team"], "shop");
    assert!(!format!("{settings:?} {health:?} {report:?}").contains("hunter2"));
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_the_nearest_name() {
    for (text, message) in [
        ("a = [", "health.toml:1: not valid TOML: "),
        (
            "[setings]\n",
            r#"health.toml:1: setings: unknown key; did you mean "settings"?"#,
        ),
        (
            "[settings]\ntimeot = 5",
            r#"health.toml:2: settings.timeot: unknown key; did you mean "timeout"?"#,
        ),
        (
            "\n[settings]\ntimeout = true",
            "health.toml:3: settings.timeout: expected a duration such as",
        ),
        (
            "[settings]\ntimeout = 0",
            "health.toml:2: setting timeout: must be longer than zero",
        ),
        (
            "[settings]\nunhealthy_status = 200",
            "health.toml:2: setting unhealthy_status: must be a status code",
        ),
        (
            "[settings]\nanonymous = \"secret\"",
            "health.toml:2: settings.anonymous: expected `nothing` or `status`",
        ),
        (
            "settings = 3",
            "health.toml:1: settings: expected a table: [settings], found an integer",
        ),
        (
            "[checks]\nkind = \"disk\"",
            "health.toml:1: checks: expected a list of tables: [[checks]]",
        ),
        (
            "[[checks]]\npath = \"/\"",
            "health.toml:1: checks[1].kind: missing: it says which check this is; the kinds are",
        ),
        (
            "[[checks]]\nkind = 7",
            "health.toml:2: checks[1].kind: expected a string",
        ),
        (
            "[[checks]]\nkind = \"dsik\"",
            r#"health.toml:2: checks[1].kind: unknown kind; did you mean "disk"?; the kinds"#,
        ),
        (
            "[[checks]]\nkind = \"disk\"\n\n[[checks]]\nkind = \"disk\"\nname = \"b\"\nusage_mx = 3",
            r#"health.toml:7: checks[2].usage_mx: unknown key; did you mean "usage_max"?"#,
        ),
        (
            "[[checks]]\nkind = \"disk\"\nusage_max = \"lots\"",
            "health.toml:3: checks[1].usage_max: expected a number above 0, or false to switch the limit off, found a string",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nusage_max = -1",
            "health.toml:3: checks[1].usage_max: expected a number above 0",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nusage_max = 101",
            "health.toml:3: checks[1].usage_max: expected a percentage",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nusage_max = true",
            "health.toml:3: checks[1].usage_max: expected a number above",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nenabled = \"yes\"",
            "health.toml:3: checks[1].enabled: expected true or false, found a string",
        ),
        (
            "[[checks]]\nkind = \"disk\"\ntimeout = \"5 parsecs\"",
            "health.toml:3: checks[1].timeout: expected a duration such",
        ),
        (
            "[[checks]]\nkind = \"disk\"\ntimeout = 0",
            "health.toml:3: checks[1].timeout: expected a duration longer than zero",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nttl = 1\nevery = 2",
            "health.toml:4: checks[1].every: a check runs when it is read",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nthresholds = {rise = 0}",
            "health.toml:1: check \"DiskUsage\": thresholds count",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nthresholds = {rose = 1}",
            r#"health.toml:3: checks[1].thresholds.rose: unknown key; did you mean "rise"?"#,
        ),
        (
            "[[checks]]\nkind = \"disk\"\ngroups = [\"batch\"]",
            "health.toml:1: check \"DiskUsage\": its group \"batch\" is not declared",
        ),
        (
            "[[checks]]\nkind = \"disk\"\ngroups = [3]",
            "health.toml:3: checks[1].groups[1]: expected a string, found an integer",
        ),
        (
            "[[checks]]\nkind = \"disk\"\ngroups = [\"live\"]",
            "health.toml:1: check \"DiskUsage\": its scope is instance",
        ),
        (
            "[groups.batch]\n",
            "health.toml:1: group \"batch\": no check names it",
        ),
        (
            "[groups.batch]\nbudgett = 3",
            r#"health.toml:2: groups.batch.budgett: unknown key; did you mean "budget"?"#,
        ),
        (
            "[[checks]]\nkind = \"database\"",
            "health.toml:1: checks[1].url: missing, and it has no default",
        ),
        (
            "[[checks]]\nkind = \"database\"\nurl = \"ftp://x\"",
            "health.toml:3: checks[1].url: expected the URL of a database",
        ),
        (
            "[[checks]]\nkind = \"cache\"\nurl = \"ftp://x\"",
            "health.toml:3: checks[1].url: expected memory://, redis://...",
        ),
        (
            "[[checks]]\nkind = \"storage\"\npath = \"${NOWHERE}\"",
            "health.toml:3: checks[1].path: the variable NOWHERE is not set",
        ),
        (
            "[[checks]]\nkind = \"disk\"\n[[checks]]\nkind = \"memory\"\nenabled = false\n[[checks]]\nkind = \"disk\"",
            "health.toml:6: checks 1 and 3 are both \"DiskUsage\": add name = \"...\"",
        ),
    ] {
        let said = wrong(text);
        assert!(
            said.starts_with(message),
            "\n  {text:?}\nsays\n  {said}\ninstead of\n  {message}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn names_from_elsewhere_lead_to_ours() {
    for (text, message) in [
        (
            "[[checks]]\nkind = \"postgres\"",
            r#"health.toml:2: checks[1].kind: unknown kind; did you mean "database"?"#,
        ),
        (
            "[[checks]]\nkind = \"smtp\"",
            r#"health.toml:2: checks[1].kind: unknown kind; did you mean "mail"?"#,
        ),
        (
            "[[checks]]\nkind = \"celery\"\nurl = \"x\"",
            r#"health.toml:3: checks[1].url: unknown key; did you mean "broker_url"?"#,
        ),
        (
            "[[checks]]\nkind = \"redis\"\nhost = \"x\"",
            r#"health.toml:3: checks[1].host: unknown key; did you mean "url"?"#,
        ),
        (
            "[[checks]]\nkind = \"disk\"\ngroups = \"ready\"",
            "health.toml:3: checks[1].groups: expected a list: groups = [\"...\"], found a string",
        ),
        (
            "[[checks]]\nkind = \"disk\"\ngroups = [\"a\", \"${NONE}\"]",
            "health.toml:3: checks[1].groups[2]: the variable NONE is not set",
        ),
        (
            "[[checks]]\nkind = \"disk\"\nusage_max = \"'90'\"",
            "health.toml:3: checks[1].usage_max: expected a number above 0, or false to switch the limit off, found a string; it has quotation marks of its own, as env files of Docker keep them: leave them out",
        ),
    ] {
        let said = wrong(text);
        assert!(
            said.starts_with(message),
            "\n  {text:?}\nsays\n  {said}\ninstead of\n  {message}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_check_that_is_switched_off_needs_no_keys_and_takes_no_wrong_ones() {
    let health = load(
        "[[checks]]\nkind = \"tcp\"\nenabled = false\n[[checks]]\nkind = \"cache\"",
        &[],
    )
    .unwrap();
    assert_eq!(health.identifiers().collect::<Vec<_>>(), ["CacheBackend"]);
    for (key, message) in [
        (
            "adress = \"a:1\"",
            r#"health.toml:4: checks[1].adress: unknown key; did you mean "address"?"#,
        ),
        (
            "address = 1",
            "health.toml:4: checks[1].address: expected a string, found an integer",
        ),
        (
            "timeout = 0",
            "health.toml:4: checks[1].timeout: expected a duration longer than zero",
        ),
    ] {
        let text = format!("[[checks]]\nkind = \"tcp\"\nenabled = false\n{key}");
        assert!(wrong(&text).starts_with(message), "{}", wrong(&text));
    }
}

/// A variable yields text, even for a key that wants a number.
#[tokio::test]
async fn text_is_a_number_a_switch_or_a_duration_where_the_key_wants_one() {
    let health = load(
        r#"
        [settings]
        timeout = "${T}"
        max_concurrency = "${N:-7}"
        warnings_as_errors = "${OFF}"
        token = "${TOKEN}"

        [[checks]]
        kind = "disk"
        enabled = "${ON}"
        usage_max = "${LIMIT}"
        thresholds = { rise = "${N:-2}", fall = 3 }
        ttl = "0.5"

        [[checks]]
        kind = "memory"
        min = "${OFF}"
        enabled = "${OFF}"
        "#,
        &[
            ("T", "5"),
            ("OFF", "False"),
            ("ON", " true\n"),
            ("LIMIT", "99.5"),
            ("TOKEN", "abc\n"),
        ],
    )
    .unwrap();
    let settings = health.settings();
    assert_eq!(settings.timeout, Duration::from_secs(5));
    assert_eq!(settings.max_concurrency, 7);
    assert!(!settings.warnings_as_errors);
    assert_eq!(settings.token.as_ref().unwrap().expose(), "abc");
    assert_eq!(health.identifiers().collect::<Vec<_>>(), ["DiskUsage"]);
    let message = load("[settings]\nmax_concurrency = \"many\"", &[])
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("settings.max_concurrency: expected a whole number, found a string"),
        "{message}"
    );
    // Text that looks like a number stays text if the key expects text.
    load("[[checks]]\nkind = \"disk\"\nname = \"7\"", &[]).unwrap();
    assert!(load("[[checks]]\nkind = \"disk\"\nname = 7", &[]).is_err());
}

#[test]
fn no_message_quotes_a_value() {
    const SECRET: &str = "hunter2";
    for text in [
        "[settings]\ntoken = [\"hunter2\"]",
        "[settings]\ntimeout = \"hunter2\"",
        "[settings]\ntimeout = \"5 hunter2\"",
        "[settings]\nanonymous = \"hunter2\"",
        "[settings]\nanonymous = \"hunter2\\nx\"",
        "[settings]\nunhealthy_status = \"hunter2\"",
        "[settings]\nmax_concurrency = \"an expected hunter2\"",
        "[[checks]]\nkind = \"hunter2\"",
        "[[checks]]\nkind = \"database\"\nurl = \"redis://u:hunter2@h\"",
        "[[checks]]\nkind = \"database\"\nurl = \"sqlite:x?mode=hunter2\"",
        "[[checks]]\nkind = \"cache\"\nurl = \"hunter2\"",
        "[[checks]]\nkind = \"disk\"\nusage_max = \"hunter2\"",
        "[[checks]]\nkind = \"memory\"\nlimits = \"hunter2\"",
        "[[checks]]\nkind = \"disk\"\nlabels = \"hunter2\"",
        "token = \"hunter2\" oops",
        "[[checks]]\nkind = \"disk\"\npath = \"hunter2",
        "hunter2 = hunter2",
    ] {
        let said = wrong(text);
        // The message names a key, even an unknown one.
        assert!(!said.contains(SECRET), "{text:?} says {said}");
    }
}

#[tokio::test]
async fn the_environment_fills_what_is_absent() {
    let disk = "[[checks]]\nkind = \"disk\"\n";
    let set = |name, value| [(name, value)];
    for (variables, status) in [
        (&[][..], Status::Working),
        (&set("DISK_USAGE_MAX", "0.001"), Status::Warning),
        (
            &set("HEALTH_CHECK_DISK_USAGE_MAX", "0.001"),
            Status::Warning,
        ),
    ] {
        assert_eq!(
            report(disk, variables).await.checks[0].status,
            status,
            "{variables:?}"
        );
    }
    let explicit = "[[checks]]\nkind = \"disk\"\nusage_max = 99.9";
    assert_eq!(
        report(explicit, &set("DISK_USAGE_MAX", "0.001"))
            .await
            .checks[0]
            .status,
        Status::Working
    );
    for off in ["None", "false", "0", "", "FALSE"] {
        assert!(
            report(disk, &set("DISK_USAGE_MAX", off))
                .await
                .checks
                .is_empty(),
            "{off:?} switches it off"
        );
    }
    for (text, as_errors) in [
        ("False", false),
        ("0", false),
        ("TRUE", true),
        ("1", true),
        ("", true),
    ] {
        let health = load(disk, &set("WARNINGS_AS_ERRORS", text)).unwrap();
        assert_eq!(health.settings().warnings_as_errors, as_errors, "{text:?}");
    }
    let unused = [("MEMORY_MIN", "512M"), ("WARNINGS_AS_ERRORS", "0")];
    assert!(
        load(disk, &unused).is_ok(),
        "a variable that fills nothing may be somebody else's"
    );
    let said = |name, value| load(disk, &set(name, value)).unwrap_err().to_string();
    assert_eq!(
        said("WARNINGS_AS_ERRORS", "hunter2"),
        "environment: WARNINGS_AS_ERRORS: expected true, false, 1 or 0"
    );
    assert!(
        said("HEALTH_CHECK_DISK_USAGE_MAX", "hunter2")
            .starts_with("environment: HEALTH_CHECK_DISK_USAGE_MAX: expected")
    );
    assert!(
        said("DISK_USAGE_MAX", "150")
            .starts_with("environment: DISK_USAGE_MAX: expected a percentage")
    );
    assert!(
        said("DISK_USAGE_MAX", "inf").starts_with("environment: DISK_USAGE_MAX: expected a number")
    );

    let two = format!("{disk}name = \"a\"\n{disk}name = \"b\"\n");
    let said = load(&two, &set("DISK_USAGE_MAX", "80"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "health.toml:4: checks[2].usage_max: missing here and in check 1, and DISK_USAGE_MAX can't be for both: write the key"
    );
    assert!(load(&two, &[]).is_ok());
}

#[test]
fn every_kind_is_read_outside_of_a_runtime() {
    let health = load(
        r#"
        checks = [
            { kind = "cache", url = "redis://localhost/1" },
            { kind = "cache", url = "memcached://localhost", name = "memcached" },
            { kind = "celery", broker_url = "amqp://localhost/%2f", queues = ["celery", "mails"] },
            { kind = "celery", broker_url = "amqp://localhost/shop", queues = ["celery", "mails"], name = "Shop" },
            { kind = "celery_ping", broker_url = "redis://localhost/0" },
            { kind = "database", url = "postgres://localhost/a" },
            { kind = "database", url = "mysql://localhost/a", name = "mysql" },
            { kind = "disk" },
            { kind = "dns", hostname = "db.internal", nameservers = ["127.0.0.1:5353"] },
            { kind = "grpc", url = "grpcs://localhost:443", service = "a.B", metadata = { authorization = "c" } },
            { kind = "http", url = "https://localhost/", status = 204, contains = "pong" },
            { kind = "kafka", brokers = ["h:9092"], topics = ["a"], sasl = "scram-sha-512", sasl_username = "a", sasl_password = "b" },
            { kind = "mail", url = "smtp://localhost:25" },
            { kind = "memory" },
            { kind = "migrations", url = "sqlite:///tmp/a.db" },
            { kind = "nats", url = "nats://a:b@h1,h2:4223", jetstream = true },
            { kind = "rabbitmq", url = "amqps://localhost/%2f" },
            { kind = "redis" },
            { kind = "s3", bucket = "a", access_key_id = "b", secret_access_key = "c" },
            { kind = "storage", path = "/tmp" },
            { kind = "tcp", address = "localhost:80" },
        ]
        "#,
        &[],
    );
    let health = health.unwrap();
    assert_eq!(health.identifiers().count(), 23);
    assert!(
        health.identifiers().any(|name| name == "ShopMails"),
        "the name stands for the prefix"
    );
    let timeout = health
        .checks()
        .find(|check| check.identifier == "CeleryHealthCheckMails")
        .unwrap()
        .timeout;
    assert_eq!(timeout, Duration::from_secs(7));
}

#[test]
fn a_file_that_can_not_be_read_says_why() {
    let read = |path: &str| {
        Config::from_file(path.as_ref(), &|_| None, &Options::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        read("/no/such/health.toml"),
        "/no/such/health.toml: there is no such file"
    );
    assert!(
        read("/").starts_with("/: the file can't be read"),
        "{}",
        read("/")
    );
}

#[tokio::test]
async fn the_embedded_default_is_six_working_checks_and_leaves_nothing_behind() {
    let (config, scratch) = Config::embedded(&|_| None, &Options::default())
        .await
        .unwrap();
    assert!(config.notice().unwrap().contains("default checks"));
    let folder = format!("{scratch:?}");
    let folder = folder.split('"').nth(1).unwrap().to_owned();
    let health = config.build().unwrap();
    let report = health.report().await;
    let rows: Vec<_> = report
        .checks
        .iter()
        .map(|check| format!("{} {}", check.identifier, check.line()))
        .collect();
    assert_eq!(
        rows,
        [
            "CacheBackend working",
            "DatabaseBackend working",
            "DefaultFileStorageHealthCheck working",
            "DiskUsage working",
            "MemoryUsage working",
            "MigrationsHealthCheck working",
        ]
    );
    assert!(std::path::Path::new(&folder).exists(), "{folder}");
    drop(scratch);
    assert!(!std::path::Path::new(&folder).exists(), "{folder}");
}
