//! Tests where secrets may come from, and to which server they go.

#![cfg(all(feature = "embedded", feature = "full"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use health_checks::config::{Config, ConfigError, Options, expand};
use health_core::{Endpoint, Health, Selection};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// Variables of an environment.
#[derive(Debug, Clone, Default)]
struct Set(Vec<(String, OsString)>);

fn set<'s>(variables: impl IntoIterator<Item = (&'s str, &'s str)>) -> Set {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.into());
    Set(variables.into_iter().map(owned).collect())
}

impl Set {
    fn get(&self, name: &str) -> Option<OsString> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn load(&self, text: &str) -> Result<Health, ConfigError> {
        let find = |name: &str| self.get(name);
        Config::from_text("health.toml", text, &find, &Options::default())?.build()
    }

    fn wrong(&self, text: &str) -> String {
        self.load(text).map(drop).expect_err(text).to_string()
    }

    fn token(&self, text: &str) -> Option<String> {
        let health = self.load(text).unwrap();
        let token = health.settings().token.as_ref();
        token.map(|token| token.expose().to_owned())
    }
}

/// A file with a secret.
struct File(tempfile::NamedTempFile);

impl File {
    fn new(content: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

const CACHE: &str = "[[checks]]\nkind = \"cache\"\n";
const DATABASE: &str = "[[checks]]\nkind = \"database\"\n";

#[test]
fn a_variable_may_be_in_a_file() {
    let token = File::new(" hunter2\n");
    for name in ["HEALTH_TOKEN_FILE", "HEALTH_CHECK_HEALTH_TOKEN_FILE"] {
        let set = set([(name, token.path())]);
        assert_eq!(set.token(CACHE).as_deref(), Some("hunter2"), "{name}");
        let written = format!("[settings]\ntoken = \"other\"\n{CACHE}");
        assert_eq!(set.token(&written).as_deref(), Some("other"));
    }
    let both = set([("HEALTH_TOKEN_FILE", token.path()), ("HEALTH_TOKEN", "")]);
    assert_eq!(both.token(CACHE).as_deref(), Some("hunter2"));
    let both = set([("HEALTH_TOKEN", "hunter3"), ("HEALTH_TOKEN_FILE", "")]);
    assert_eq!(both.token(CACHE).as_deref(), Some("hunter3"));
    for text in ["${HEALTH_TOKEN}", "${HEALTH_TOKEN:-other}"] {
        let set = set([("HEALTH_TOKEN_FILE", token.path())]);
        let written = format!("[settings]\ntoken = \"{text}\"\n{CACHE}");
        assert_eq!(set.token(&written).as_deref(), Some("hunter2"), "{text}");
    }
    let url = File::new("sqlite:app.db\n");
    set([("DATABASE_URL_FILE", url.path())])
        .load(DATABASE)
        .unwrap();
    let limit = File::new("None\n");
    let health = set([("DISK_USAGE_MAX_FILE", limit.path())]).load("[[checks]]\nkind = \"disk\"");
    assert_eq!(health.unwrap().identifiers().count(), 0);
}

#[test]
fn a_file_of_a_variable_that_is_of_no_use_is_an_error_that_names_the_variable() {
    let empty = File::new(" \n");
    let filled = File::new("hunter2");
    let not_utf8 = File::new("");
    std::fs::write(not_utf8.path(), b"hunter2\xff").unwrap();
    for (variables, message) in [
        (
            vec![("HEALTH_TOKEN_FILE", empty.path())],
            "environment: HEALTH_TOKEN_FILE: the file is empty",
        ),
        (
            vec![("HEALTH_TOKEN_FILE", "/hunter2/none")],
            "environment: HEALTH_TOKEN_FILE: the file can't be read: entity not found",
        ),
        (
            vec![("HEALTH_TOKEN_FILE", not_utf8.path())],
            "environment: HEALTH_TOKEN_FILE: the file can't be read: it is not UTF-8 text",
        ),
        (
            vec![("HEALTH_TOKEN_FILE", "/dev/zero")],
            "environment: HEALTH_TOKEN_FILE: the file can't be read: it is longer than 1 MiB",
        ),
        (
            vec![("HEALTH_TOKEN_FILE", "")],
            "environment: HEALTH_TOKEN_FILE: empty: name a file, or leave it out",
        ),
        (
            vec![
                ("HEALTH_TOKEN_FILE", filled.path()),
                ("HEALTH_TOKEN", "hunter2"),
            ],
            "environment: HEALTH_TOKEN_FILE: HEALTH_TOKEN is set as well: leave one out",
        ),
    ] {
        let said = set(variables).wrong(CACHE);
        assert_eq!(said, message);
        assert!(!said.contains("hunter2"));
    }
    let said = set([("DATABASE_URL_FILE", empty.path())]).wrong(DATABASE);
    assert_eq!(said, "environment: DATABASE_URL_FILE: the file is empty");
    let others = set([
        ("DATABASE_URL_FILE", "/none"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/none"),
        ("SSL_CERT_FILE", "/none"),
    ]);
    others.load(CACHE).unwrap(); // nothing is filled by them
    let find = |name: &str| others.get(name);
    assert!(expand("${SSL_CERT:-x}", &find).is_ok_and(|text| text == "x"));
    assert!(
        expand("${DATABASE_URL:-x}", &find).is_err_and(|wrong| wrong.contains("DATABASE_URL_FILE"))
    );
}

#[test]
fn an_empty_token_never_opens_an_endpoint() {
    let empty = File::new("\n");
    let from_file = format!("${{file:{}}}", empty.path());
    let unset = set([]);
    let blank = set([("HEALTH_TOKEN", "")]);
    for text in ["", " ", "${HEALTH_TOKEN:-}", "${EMPTY}", &from_file] {
        for table in ["[settings]", "[[endpoints]]\npath = \"/status/\""] {
            let text = format!("{table}\ntoken = \"{text}\"\n{CACHE}");
            let said = set([("EMPTY", " ")]).wrong(&text);
            let key = text.contains("[[").then_some("endpoints[1].token");
            let key = if table.starts_with("[[") {
                key.unwrap()
            } else {
                "settings.token"
            };
            assert!(said.contains(&format!("{key}: ")), "{text}: {said}");
            assert!(said.contains("empty"), "{text}: {said}");
        }
    }
    assert_eq!(
        blank.wrong(CACHE),
        "environment: HEALTH_TOKEN: empty: give it a value; for no token, unset it, or write token = false"
    );
    assert_eq!(
        unset.wrong(&format!("[settings]\ntoken = \"\"\n{CACHE}")),
        "health.toml:2: settings.token: empty: give it a value; for no token, write token = false"
    );
    let without = format!("[settings]\ntoken = false\n{CACHE}");
    assert_eq!(blank.token(&without), None);
    assert_eq!(set([("HEALTH_TOKEN", "hunter2")]).token(&without), None);
    assert_eq!(unset.token(CACHE), None);
    let refused = Endpoint::builder(unset.load(CACHE).unwrap())
        .token("")
        .build();
    assert!(refused.is_err());
}

#[test]
fn no_secret_is_an_empty_text() {
    let empty = File::new("\n");
    let file = format!("${{file:{}}}", empty.path());
    let variables = set([("EMPTY", "")]);
    for (kind, key) in [
        (
            "kind = \"s3\"\nbucket = \"b\"\naccess_key_id = \"a\"",
            "secret_access_key",
        ),
        (
            "kind = \"s3\"\nbucket = \"b\"\nsecret_access_key = \"a\"",
            "access_key_id",
        ),
        (
            "kind = \"s3\"\nbucket = \"b\"\naccess_key_id = \"a\"\nsecret_access_key = \"b\"",
            "session_token",
        ),
        (
            "kind = \"kafka\"\nbrokers = [\"h:1\"]\nsasl = \"plain\"\nsasl_username = \"a\"",
            "sasl_password",
        ),
        ("kind = \"redis\"\nurl = \"redis://h\"", "password"),
        (
            "kind = \"http\"\nurl = \"http://h\"",
            "headers.Authorization",
        ),
        (
            "kind = \"grpc\"\nurl = \"grpc://h:1\"",
            "metadata.authorization",
        ),
    ] {
        for (text, message) in [
            ("", "empty: give it a value, or leave it out"),
            ("${EMPTY}", "empty: give it a value, or leave it out"),
            (&*file, "is empty"),
        ] {
            let said = variables.wrong(&format!("[[checks]]\n{kind}\n{key} = \"{text}\""));
            assert!(said.contains(&format!("checks[1].{key}: ")), "{said}");
            assert!(said.ends_with(message), "{said}");
        }
    }
    let said = variables.wrong(&format!(
        "[[checks]]\nkind = \"redis\"\nurl = \"redis://:{file}@h\""
    ));
    assert!(
        said.contains("checks[1].url: the file") && said.ends_with("is empty"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_an_error() {
    use std::os::unix::ffi::OsStringExt as _;

    let broken = |name: &str| {
        Set(vec![(
            name.to_owned(),
            OsString::from_vec(b"hunter2\xff".into()),
        )])
    };
    assert_eq!(
        broken("HEALTH_TOKEN").wrong(CACHE),
        "environment: HEALTH_TOKEN: is not UTF-8"
    );
    let said = broken("PASSWORD").wrong(&format!("{CACHE}key_prefix = \"${{PASSWORD:-x}}\""));
    assert_eq!(
        said,
        "health.toml:3: checks[1].key_prefix: the variable PASSWORD: is not UTF-8"
    );
    broken("MEMORY_MIN").load(CACHE).unwrap(); // it fills nothing
}

#[test]
fn files_have_a_maximum_length() {
    let read = |path: &str| Config::from_file(path.as_ref(), &|_| None, &Options::default());
    assert_eq!(
        read("/dev/zero").unwrap_err().to_string(),
        "/dev/zero: the file is longer than 1 MiB"
    );
    let said = set([]).wrong(&format!("{CACHE}key_prefix = \"${{file:/dev/zero}}\""));
    assert!(
        said.ends_with("key_prefix: the file /dev/zero can't be read: it is longer than 1 MiB"),
        "{said}"
    );
}

#[test]
fn a_check_that_is_switched_off_needs_none_of_its_secrets() {
    for enabled in ["false", "\"false\"", "\"${OFF}\"", "\"0\""] {
        let text = format!(
            "{CACHE}[[checks]]\nkind = \"http\"\nenabled = {enabled}\nurl = \"${{file:/none}}\"\nname = \"${{NONE}}\"\n\
             latency_max = \"${{NONE}}\"\ngroups = [\"${{NONE}}\"]\nheaders = {{ Authorization = \"${{NONE}}\" }}\n\
             ca_file = \"${{NONE}}\"\npassword = \"${{NONE}}\""
        );
        let health = set([("OFF", "False")]).load(&text).unwrap();
        assert_eq!(health.identifiers().collect::<Vec<_>>(), ["CacheBackend"]);
    }
    let on = format!("{CACHE}enabled = \"${{ON}}\"\nkey_prefix = \"${{NONE}}\"");
    let said = set([("ON", "true")]).wrong(&on);
    assert!(
        said.contains("key_prefix: the variable NONE is not set"),
        "{said}"
    );
    let said = set([]).wrong(&on);
    assert!(
        said.contains("checks[1].enabled: the variable ON is not set"),
        "{said}"
    );
}

/// Runs the check of these settings once, and returns what it sent to the server.
async fn sent(text: impl Fn(&str) -> String, variables: impl Fn(&str) -> Set) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let health = variables(&place).load(&text(&place)).unwrap();
    let reader = tokio::spawn(async move {
        let mut received = Vec::new();
        let accepted = tokio::time::timeout(Duration::from_secs(2), listener.accept()).await;
        if let Ok(Ok((mut stream, _))) = accepted {
            let head = async {
                while !received.ends_with(b"\r\n\r\n") && stream.read_buf(&mut received).await? > 0
                {
                }
                std::io::Result::Ok(())
            };
            let _ = tokio::time::timeout(Duration::from_secs(2), head).await;
        }
        String::from_utf8_lossy(&received).into_owned()
    });
    health.read(&Selection::default()).await.unwrap();
    reader.await.unwrap().to_lowercase()
}

#[tokio::test]
async fn the_keys_of_a_bucket_come_from_one_place() {
    let s3 = |place: &str, more: &str| {
        format!(
            "[[checks]]\nkind = \"s3\"\nbucket = \"b\"\nendpoint_url = \"http://{place}\"\ntimeout = 1\n{more}"
        )
    };
    let keys = "access_key_id = \"AKFILE\"\nsecret_access_key = \"b\"";
    let all = [
        ("AWS_ACCESS_KEY_ID", "AKENV"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_SESSION_TOKEN", "hunter2"),
    ];
    let head = sent(|place| s3(place, keys), |_| set(all)).await;
    assert!(
        head.contains("credential=akfile/") && !head.contains("hunter2"),
        "{head}"
    );
    let head = sent(|place| s3(place, ""), |_| set(all)).await;
    assert!(
        head.contains("credential=akenv/") && head.contains("hunter2"),
        "{head}"
    );
    let own = [
        ("HEALTH_CHECK_AWS_ACCESS_KEY_ID", "AKOWN"),
        ("HEALTH_CHECK_AWS_SECRET_ACCESS_KEY", "b"),
    ];
    let head = sent(|place| s3(place, ""), |_| set(all.into_iter().chain(own))).await;
    assert!(
        head.contains("credential=akown/") && !head.contains("hunter2"),
        "{head}"
    );

    for (written, variable, missing) in [
        (
            "access_key_id",
            "AWS_SECRET_ACCESS_KEY",
            "secret_access_key",
        ),
        ("secret_access_key", "AWS_ACCESS_KEY_ID", "access_key_id"),
        ("session_token", "AWS_ACCESS_KEY_ID", "access_key_id"),
    ] {
        let said = set([(variable, "hunter2")]).wrong(&s3("h:1", &format!("{written} = \"a\"")));
        assert!(
            said.contains(&format!("checks[1].{missing}: expected")),
            "{said}"
        );
    }
}

#[test]
fn a_login_of_the_file_does_not_go_to_a_server_of_the_environment() {
    for (kind, key, variable, url, server) in [
        ("redis", "password", "REDIS_URL", "redis://h", "url"),
        ("redis", "password_file", "REDIS_URL", "redis://h", "url"),
        (
            "database",
            "username",
            "DATABASE_URL",
            "postgres://h/a",
            "url",
        ),
        ("rabbitmq", "password", "BROKER_URL", "amqp://h", "url"),
        ("celery", "password", "BROKER_URL", "amqp://h", "broker_url"),
    ] {
        let text = format!("[[checks]]\nkind = \"{kind}\"\n{key} = \"hunter2\"\n");
        let prefixed = format!("HEALTH_CHECK_{variable}");
        for variable in [variable, &prefixed] {
            let found = set([(variable, url)]);
            assert_eq!(
                found.wrong(&text),
                format!(
                    "health.toml:3: checks[1].{key}: for a server that only the variable {variable} names: \
                     write {server} = \"${{{variable}}}\" as well"
                )
            );
            let written = format!("{text}{server} = \"${{{variable}}}\"");
            found.load(&written).unwrap();
        }
    }
    let keys = "[[checks]]\nkind = \"s3\"\nbucket = \"b\"\naccess_key_id = \"a\"\nsecret_access_key = \"b\"";
    let said = set([("S3_ENDPOINT_URL", "http://h")]).wrong(keys);
    assert!(
        said.ends_with("write endpoint_url = \"${S3_ENDPOINT_URL}\" as well"),
        "{said}"
    );
}

#[tokio::test]
async fn an_empty_password_file_is_not_a_password() {
    let empty = File::new("\n");
    let text = |place: &str| {
        format!(
            "[[checks]]\nkind = \"redis\"\nurl = \"redis://{place}\"\npassword_file = \"{}\"",
            empty.path()
        )
    };
    assert_eq!(sent(text, |_| set([])).await, "");
    let health = set([]).load(&text("127.0.0.1:1")).unwrap();
    let row = health.report().await.checks[0].pretty_status();
    assert_eq!(row, "unavailable: password_file is empty");
}
