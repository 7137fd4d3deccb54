//! The settings of a Django project, and its JSON byte for byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{HEALTH, outcome, recipe, replaced, run};

/// Returns `health check` with the file of the recipe, whose media folder exists.
fn check(folder: &Path) -> Command {
    let file = folder.join("health.toml");
    let media = folder.to_str().unwrap();
    let changes = [
        ("/srv/shop/media", media),
        ("usage_max = 85", "usage_max = 100"),
        ("min = 200", "min = 1"),
    ];
    fs::write(&file, replaced(&recipe("from-django.toml"), &changes)).unwrap();
    let mut command = Command::new(HEALTH);
    command.env_clear().args(["check", "--config"]).arg(file);
    command
}

#[test]
fn a_django_projects_checks_answer_with_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let json = run(check(folder.path()).args(["--format", "json"]));
    let expected = concat!(
        r#"{"Cache backend: default": "working", "DefaultFileStorageHealthCheck": "working", "#,
        r#""DiskUsage": "working", "MemoryUsage": "working"}"#,
        "\n"
    );
    assert_eq!(json, expected);
    let text = run(check(folder.path()).arg("DiskUsage"));
    assert_eq!(text, "DiskUsage                ... working\n");
}

#[test]
fn a_django_projects_variables_fill_what_a_file_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.toml");
    fs::write(&file, "[[checks]]\nkind = \"disk\"\n").unwrap();
    let check = |variables: &[(&str, &str)]| {
        let mut command = Command::new(HEALTH);
        command.env_clear().envs(variables.iter().copied());
        outcome(command.args(["check", "--config"]).arg(&file))
    };
    for name in ["DISK_USAGE_MAX", "HEALTH_CHECK_DISK_USAGE_MAX"] {
        let (healthy, output) = check(&[(name, "0.001")]);
        assert!(
            !healthy && output.contains("% disk usage exceeds 0.001%"),
            "{output}"
        );
        let (healthy, output) = check(&[(name, "0.001"), ("WARNINGS_AS_ERRORS", "False")]);
        assert!(
            healthy && output.contains("% disk usage exceeds 0.001%"),
            "{output}"
        );
        assert!(check(&[(name, "None")]).0);
    }
}
