//! `health validate`: the summary of a file, its errors, and the probes that match it.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use support::{BROKEN, CACHE, folder, run, stderr, stdout};

/// Validates a file with this content. Returns the exit code, stdout and stderr.
fn validate(config: &str, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let folder = folder(config);
    let output = run(
        folder.path(),
        &[&["validate", "--config", "health.toml"], args].concat(),
        variables,
    );
    (
        output.status.code().unwrap(),
        stdout(&output),
        stderr(&output),
    )
}

#[test]
fn a_valid_file_is_summed_up_and_not_run() {
    let said = |text: &str| (0, format!("health.toml: {text}\n"), String::new());
    let (code, output, error) = validate("", &[], &[]);
    assert_eq!(code, 0);
    assert_eq!(
        output.as_str(),
        "health.toml: 0 checks, groups live (0), ready (0), startup (0)\n"
    );
    assert_eq!(
        error,
        "warning: health.toml: there are no checks, so nothing is looked at\n"
    );
    assert_eq!(
        validate(BROKEN, &[], &[]),
        said("1 check, groups live (0), ready (1), startup (1)")
    );
    let config = format!(
        "[groups.batch]\n{CACHE}groups = [\"batch\", \"ready\"]\n{BROKEN}groups = [\"batch\"]\n"
    );
    assert_eq!(
        validate(&config, &[], &[]),
        said("2 checks, groups live (0), ready (1), startup (2), batch (2)")
    );
    let folder = folder(CACHE);
    let output = run(
        folder.path(),
        &["validate"],
        &[("HEALTH_CONFIG", "health.toml")],
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_is_wrong_is_2_and_named_with_its_line() {
    for (config, message) in [
        (
            "[[checks]]\nkind = \"dsk\"\n",
            "health.toml:2: checks[1].kind: unknown kind; did you mean \"disk\"?",
        ),
        (
            "[settings]\nttl = \"hunter2\"\n",
            "health.toml:2: settings.ttl: expected a duration",
        ),
        ("[groups.batch]\n", "health.toml:1: "),
        (
            &format!("{CACHE}{CACHE}"),
            "health.toml:3: checks 1 and 2 are both \"CacheBackend\": add name",
        ),
        (
            "[[checks]]\nkind = \"storage\"\npath = \"${NOPE}\"\n",
            "health.toml:3: checks[1].path: the variable NOPE is not",
        ),
    ] {
        for args in [&[][..], &["--kubernetes"]] {
            let (code, output, error) = validate(config, args, &[]);
            assert!(code == 2 && output.is_empty(), "{output}");
            assert!(
                error.starts_with(&format!("error: {message}")) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
    let nothing = run(&std::env::temp_dir(), &["validate"], &[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(
        &*stderr(&nothing),
        "error: name a file with --config or HEALTH_CONFIG\n"
    );
}

#[test]
fn the_probes_of_the_defaults() {
    let expected = "\
# In the pod's spec: drain_delay, and 5 s for what is still being answered.
terminationGracePeriodSeconds: 10

# In the container's spec:
livenessProbe: # restarted after half a minute
  httpGet:
    path: \"/livez\"
    port: 8000
  timeoutSeconds: 1
  periodSeconds: 10
  failureThreshold: 3
readinessProbe: # gets no work while it fails, and fails while draining
  httpGet:
    path: \"/readyz\"
    port: 8000
  timeoutSeconds: 1
  periodSeconds: 2
  failureThreshold: 2
startupProbe: # has two minutes to start; then the others begin
  httpGet:
    path: \"/ht/startup/\"
    port: 8000
  timeoutSeconds: 1
  periodSeconds: 2
  failureThreshold: 60
";
    assert_eq!(
        validate(CACHE, &["--kubernetes"], &[]),
        (0, expected.into(), String::new())
    );
}

#[test]
fn the_probes_follow_the_file() {
    let config = format!(
        "[settings]\nprobe_budget = \"900ms\"\ndrain_delay = 29.5\n[groups.ready]\nbudget = \"3s\"\n{CACHE}"
    );
    let (_, yaml, _) = validate(
        &config,
        &["--kubernetes", "--path", "health", "--port", "http-admin"],
        &[],
    );
    for part in [
        "terminationGracePeriodSeconds: 35\n",
        "path: \"/health/live/\"\n    port: http-admin\n  timeoutSeconds: 2\n",
        "path: \"/health/ready/\"\n    port: http-admin\n  timeoutSeconds: 4\n  periodSeconds: 10\n  failureThreshold: 2\n",
        "path: \"/health/startup/\"",
    ] {
        assert!(yaml.contains(part), "{part} in {yaml}");
    }
    let short = validate("[settings]\ndrain_delay = 1\n", &["--kubernetes"], &[]).1;
    assert!(
        short.contains("Seconds: 6\n")
            && short.contains("periodSeconds: 1\n  failureThreshold: 1\n"),
        "{short}"
    );
    let root = validate(CACHE, &["--kubernetes", "--path", "/"], &[]).1;
    assert!(root.contains("path: \"/live/\"\n"), "{root}");
}

#[test]
fn the_probes_of_grpc_name_their_services() {
    let config =
        format!("[settings]\ntoken = \"hunter2\"\n[groups.ready]\nbudget = \"3s\"\n{CACHE}");
    let (code, yaml, _) = validate(&config, &["--kubernetes", "--grpc", "50051"], &[]);
    assert_eq!(code, 0);
    for part in [
        "livenessProbe: # restarted after half a minute\n  grpc:\n    port: 50051\n    service: live\n  timeoutSeconds: 1\n",
        "  grpc:\n    port: 50051\n    service: ready\n  timeoutSeconds: 4\n",
        "  grpc:\n    port: 50051\n    service: startup\n",
    ] {
        assert!(yaml.contains(part), "{part} in {yaml}");
    }
    assert!(
        !yaml.contains("httpGet") && !yaml.contains("anonymous"),
        "it needs no token: {yaml}"
    );
    for args in [
        &["--grpc", "50051"][..],
        &["--kubernetes", "--grpc", "http"],
        &["--kubernetes", "--grpc", "1", "--port", "2"],
    ] {
        assert_eq!(validate(&config, args, &[]).0, 2, "{args:?}");
    }
}

#[test]
fn a_token_is_not_in_the_probes() {
    let config =
        format!("[settings]\ntoken = \"hunter2\"\n[groups.live]\nanonymous = \"status\"\n{CACHE}");
    let (code, yaml, error) = validate(&config, &["--kubernetes"], &[]);
    assert!(
        code == 0 && !yaml.contains("hunter2") && error.is_empty(),
        "{yaml}{error}"
    );
    assert!(
        yaml.contains("path: \"/readyz\"") && yaml.contains("path: \"/ht/startup/\""),
        "{yaml}"
    );
    let yaml = yaml + &validate(&config, &["--kubernetes", "--path", "/ht/"], &[]).1;
    let hints: Vec<_> = yaml
        .lines()
        .filter(|line| line.contains("does not have anonymous"))
        .collect();
    assert_eq!(
        hints,
        [
            "# [groups.startup] does not have anonymous = \"status\".",
            "# [groups.ready] does not have anonymous = \"status\".",
            "# [groups.startup] does not have anonymous = \"status\"."
        ]
    );
    let everywhere = config.replace("token", "anonymous = \"status\"\ntoken");
    assert!(
        !validate(&everywhere, &["--kubernetes"], &[])
            .1
            .contains("does not have")
    );
}

#[test]
fn all_errors_of_a_table_of_endpoints_are_named_with_their_lines() {
    let config = "[[endpoints]]\npath = \"http://x/\"\ngroup = \"nope\"\nunhealthy_status = 429\n[[endpoints]]\nformats = []\n";
    let (code, output, error) = validate(config, &[], &[]);
    let expected = [
        "error: health.toml:2: endpoints[1].path: must be a path such as /ht/, and not a URL",
        "error: health.toml:3: endpoints[1].group: \"nope\": the endpoint shows it, but the groups are live, ready, startup",
        "error: health.toml:4: endpoints[1].unhealthy_status: must be a status code from 400 to 599, and not 429",
        "error: health.toml:6: endpoints[2].formats: must name at least one format",
    ];
    assert_eq!(code, 2);
    assert_eq!(output.as_str(), "");
    assert_eq!(error.lines().collect::<Vec<_>>(), expected.to_vec());
    let json = validate(config, &["--format", "json"], &[]).1;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["errors"].as_array().unwrap().len(), 4);
    assert_eq!(json["error"]["line"], 2);

    let same = "[[endpoints]]\npath = \"/a/\"\n[[endpoints]]\npath = \"a\"\n";
    assert!(
        validate(same, &[], &[])
            .2
            .contains("health.toml:4: endpoints[2].path: endpoints 1 and 2 have the same path")
    );
    for (key, message) in [
        ("token = true", "expected a text, or false for no token"),
        ("tokn = false", "unknown key; did you mean \"token\"?"),
    ] {
        let error = validate(&format!("[[endpoints]]\n{key}\n"), &[], &[]).2;
        assert!(
            error.contains(&format!(
                "health.toml:2: endpoints[1].{}: {message}",
                &key[..key.find(' ').unwrap()]
            )),
            "{error}"
        );
    }
}

#[test]
fn ports_and_paths_belong_to_the_probes() {
    for port in [
        "0",
        "65536",
        "-1",
        "Web",
        "a--b",
        "a_b",
        "sixteen-letters-x",
        "",
    ] {
        assert_eq!(
            validate(CACHE, &["--kubernetes", &format!("--port={port}")], &[]).0,
            2,
            "{port}"
        );
    }
    assert_eq!(validate(CACHE, &["--port", "80"], &[]).0, 2);
}
