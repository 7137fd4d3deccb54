//! Tests the places in which `s3` finds credentials if the configuration has none. The bucket is
//! that of the S3 server; a fake issues its keys like a container and an instance of Amazon.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Server, answering, folder, health, http, nobody, run, stderr, stdout, variable};

const UNLISTED: [(&str, &str); 1] = [("AWS_EC2_METADATA_DISABLED", "true")];

/// Returns a folder with the configuration of a bucket, without keys, and with these lines in
/// addition.
fn bucket(more: &str) -> tempfile::TempDir {
    folder(&format!(
        "[[checks]]\nkind = \"s3\"\nendpoint_url = \"{}\"\nbucket = \"{}\"\nttl = 0\n{more}",
        variable("S3_ENDPOINT_URL"),
        variable("S3_BUCKET")
    ))
}

/// Writes the two files of a profile. The server refuses a region that is not that of the bucket.
fn profile(folder: &Path, secret: &str) {
    let keys = format!(
        "[shop]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n",
        variable("AWS_ACCESS_KEY_ID")
    );
    std::fs::write(folder.join("credentials"), keys).unwrap();
    std::fs::write(
        folder.join("config"),
        format!("[profile shop]\nregion = {}\n", variable("AWS_REGION")),
    )
    .unwrap();
}

const PROFILE: [(&str, &str); 4] = [
    ("AWS_PROFILE", "shop"),
    ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ("AWS_CONFIG_FILE", "config"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Starts a service that issues the keys. Returns its URL, and the number of requests for keys.
fn issuer() -> (String, Arc<AtomicUsize>) {
    let issued = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&issued);
    let keys = serde_json::json!({
        "Code": "Success",
        "AccessKeyId": variable("AWS_ACCESS_KEY_ID"),
        "SecretAccessKey": variable("AWS_SECRET_ACCESS_KEY"),
        "Token": "t0k3n",
        "Expiration": "2100-01-01T00:00:00Z",
    });
    let region = variable("AWS_REGION");
    let (address, _) = answering(move |request| {
        let path = request.split(' ').nth(1).unwrap();
        let body = match path {
            "/latest/api/token" => {
                return http(
                    "200 OK",
                    "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n",
                    "s3ss10n",
                );
            }
            "/latest/meta-data/placement/region" => region.clone(),
            path if path.ends_with("/security-credentials/") => "role".to_owned(),
            path if path == "/keys" || path.ends_with("/role") => {
                counter.fetch_add(1, Ordering::SeqCst);
                keys.to_string()
            }
            _ => return http("404 Not Found", "", ""),
        };
        http("200 OK", "", &body)
    });
    (format!("http://{address}"), issued)
}

fn row(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = run(folder, &["check", "--config", "health.toml"], variables);
    stdout(&output)
        .trim()
        .trim_start_matches("S3StorageHealthCheck")
        .trim_start_matches([' ', '.'])
        .to_owned()
}

#[test]
fn a_profile_has_the_keys_and_the_region() {
    let folder = bucket("");
    profile(folder.path(), &variable("AWS_SECRET_ACCESS_KEY"));
    assert_eq!(row(folder.path(), &PROFILE), "working");
}

#[test]
fn the_environment_comes_before_the_profile() {
    let folder = bucket("");
    profile(folder.path(), &"0".repeat(64));
    let id = variable("AWS_ACCESS_KEY_ID");
    let secret = variable("AWS_SECRET_ACCESS_KEY");
    let region = variable("AWS_REGION");
    let keys = [
        ("AWS_ACCESS_KEY_ID", &*id),
        ("AWS_SECRET_ACCESS_KEY", &*secret),
        ("AWS_REGION", &*region),
    ];
    assert_eq!(
        row(folder.path(), &[&PROFILE[..], &keys].concat()),
        "working"
    );
}

#[test]
fn a_container_issues_the_keys() {
    let folder = bucket(&format!("region = \"{}\"", variable("AWS_REGION")));
    let (url, issued) = issuer();
    let url = format!("{url}/keys");
    assert_eq!(
        row(
            folder.path(),
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]
        ),
        "working"
    );
    assert_eq!(issued.load(Ordering::SeqCst), 1);
}

#[test]
fn an_instance_issues_the_keys_and_knows_the_region() {
    let folder = bucket("");
    let (url, issued) = issuer();
    assert_eq!(
        row(
            folder.path(),
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]
        ),
        "working"
    );
    assert_eq!(issued.load(Ordering::SeqCst), 1);
}

#[test]
fn keys_are_asked_for_once_and_not_by_each_run() {
    let folder = bucket(&format!("region = \"{}\"", variable("AWS_REGION")));
    let (url, issued) = issuer();
    let mut command = health(folder.path());
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/keys"));
    let server = Server::run(command, &["--config", "health.toml"]);
    for _ in 0..5 {
        assert_eq!(server.get("/ht/").0, 200);
    }
    assert_eq!(issued.load(Ordering::SeqCst), 1);
}

#[test]
fn a_key_that_was_replaced_in_the_profile_is_used_after_the_old_one_was_refused() {
    let folder = bucket("");
    profile(folder.path(), &"0".repeat(64));
    let mut command = health(folder.path());
    command.envs(PROFILE);
    let server = Server::run(command, &["--config", "health.toml"]);
    let (status, said) = server.get("/ht/?format=text");
    assert_eq!(status, 500, "{said}");
    assert!(said.contains("the signature was refused"), "{said}");
    profile(folder.path(), &variable("AWS_SECRET_ACCESS_KEY"));
    assert_eq!(server.get("/ht/").0, 200);
}

#[test]
fn missing_and_wrong_credentials_have_different_messages() {
    let folder = bucket("region = \"us-east-1\"");
    let said =
        |variables: &[(&str, &str)]| row(folder.path(), &[&UNLISTED[..], variables].concat());
    let nobody = format!("http://{}/keys", nobody());
    assert_eq!(said(&[]), "unavailable: no credentials were found");
    for variables in [
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*nobody)][..],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/file"),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/a"),
        ],
    ] {
        assert_eq!(
            said(variables),
            "unavailable: no credentials could be issued",
            "{variables:?}"
        );
    }
    std::fs::write(folder.path().join("credentials"), "[shop\nkey").unwrap();
    assert_eq!(
        said(&PROFILE),
        "unavailable: the configuration of the credentials is invalid"
    );
}

#[test]
fn a_part_of_a_key_is_refused_by_name() {
    for (more, name) in [
        ("access_key_id = \"a\"", "secret_access_key"),
        ("secret_access_key = \"a\"", "access_key_id"),
        ("session_token = \"a\"", "access_key_id"),
    ] {
        let folder = bucket(more);
        let output = run(folder.path(), &["validate", "--config", "health.toml"], &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(&format!("checks[1].{name}: expected")),
            "{}",
            stderr(&output)
        );
    }
}
