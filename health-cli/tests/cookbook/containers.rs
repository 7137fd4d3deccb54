//! Docker and Compose: the command of the HEALTHCHECK, which is run outside of a container.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{HEALTH, config, outcome, recipe};
use crate::yaml::yaml;

/// Returns the words after `CMD` in the HEALTHCHECK of the Dockerfile.
fn dockerfile_command() -> Vec<String> {
    let dockerfile = recipe("Dockerfile").replace("\\\n", " ");
    let line = dockerfile
        .lines()
        .find(|line| line.starts_with("HEALTHCHECK "))
        .unwrap();
    let (_, words) = line.split_once("CMD ").unwrap();
    serde_json::from_str(words)
        .unwrap_or_else(|error| panic!("not the form without a shell: {words}: {error}"))
}

#[test]
fn docker_and_compose_run_the_same_command_which_tells_health_by_its_status() {
    let words = dockerfile_command();
    let compose = yaml(&recipe("compose.yaml"));
    let test = compose["services"]["shop"]["healthcheck"]["test"]
        .as_array()
        .unwrap();
    assert_eq!(test[0], "CMD");
    let of_compose: Vec<_> = test[1..]
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(of_compose, words);
    assert_eq!(
        compose["services"]["worker"]["depends_on"]["shop"]["condition"],
        Value::from("service_healthy")
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.toml");
    let check = |configuration: &str| {
        fs::write(&file, configuration).unwrap();
        let words = words.iter().map(|word| {
            if word == "/health.toml" {
                file.to_str().unwrap()
            } else {
                word
            }
        });
        let words: Vec<_> = words.collect();
        assert_eq!(words[0], "health");
        outcome(Command::new(HEALTH).args(&words[1..]).env_clear())
    };
    let (healthy, output) = check(&config());
    assert!(
        healthy && output.contains("CacheBackend             ... working\n"),
        "{output}"
    );
    let (healthy, output) = check("[[checks]]\nkind = \"storage\"\npath = \"/no/such/folder\"\n");
    assert!(
        !healthy && output.contains("DefaultFileStorageHealthCheck ... unavailable: "),
        "{output}"
    );
}
