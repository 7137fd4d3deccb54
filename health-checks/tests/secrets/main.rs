//! Tests that no secret of a check is in a row or in the log, whatever a server quotes, and that a
//! failure that lasts writes nothing more. No server is needed: fakes quote what they receive.

#![cfg(all(feature = "embedded", feature = "full"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod fake;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use fake::Fake;
use health_checks::catalogue::{CATALOGUE, CheckSettings, Kind, Misconfigured};
use health_checks::config::{Config, Options};
use health_checks::{
    CeleryHealthCheck, CeleryPingHealthCheck, GrpcHealthCheck, HttpHealthCheck, KafkaHealthCheck,
    MailHealthCheck, NatsHealthCheck, RabbitMQHealthCheck, StatusPage,
};
use health_core::{
    BoxCheck, CheckExt as _, Findings, Health, Secret, ServiceUnavailable, check_fn_with,
};
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The clients that `health serve` does not let log.
const OFF: [&str; 4] = ["aws_", "hickory_", "lapin::", "rskafka::"];

const CANARY: &str = "c4n4ry-0f-n0-us3";

/// Returns the lines that this crate has logged since the last call, and those that a server with
/// the default filter of `health serve` would write. Causes that vary are limited by the engine.
fn taken() -> (Vec<String>, Vec<String>) {
    let text = std::mem::take(&mut *LOG.lock().unwrap());
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_cause = |line: &&str| line.contains("health_check::cause: ");
    let is_own = |line: &&str| line.contains(" health_check: ") || is_cause(line);
    let is_written = |line: &&str| {
        let level = line.split_whitespace().nth(1).unwrap_or_default();
        let is_off = |client: &&str| line.contains(&format!(" {client}"));
        let is_warning = ["WARN", "ERROR"].contains(&level) && !OFF.iter().any(is_off);
        !is_cause(line) && (is_warning || is_own(line) && level == "INFO")
    };
    let lines =
        |wanted: &dyn Fn(&&str) -> bool| text.lines().filter(wanted).map(str::to_owned).collect();
    (lines(&is_own), lines(&is_written))
}

/// Returns `true` if the text has the canary, as it is or in base64.
fn shows(text: &str) -> bool {
    let in_base64 = |before: usize| {
        let bytes = [&[0; 2][..before], CANARY.as_bytes()].concat();
        let text = BASE64_STANDARD_NO_PAD.encode(bytes);
        text[4..16].to_owned()
    };
    text.contains("c4n4ry") || (0..3).any(|before| text.contains(&in_base64(before)))
}

fn configured(check: &str, kinds: Vec<Kind>) -> Health {
    let text = format!("[[checks]]\n{check}\nname = \"subject\"\ntimeout = 1\nttl = 0\n");
    let mut options = Options::default();
    options.kinds = kinds;
    Config::from_text("secrets.toml", &text, &|_| None, &options)
        .unwrap_or_else(|error| panic!("{check}: {error}"))
        .build()
        .unwrap()
}

/// Runs a check three times, and returns what is wrong with its rows and its log.
async fn wrong(what: &str, health: &Health) -> Vec<String> {
    taken();
    let mut wrong = Vec::new();
    for run in 0..3 {
        let rows = format!("{:?}", health.report().await.checks);
        let (own, written) = taken();
        if shows(&rows) {
            wrong.push(format!("{what}: row: {rows}"));
        }
        let leaks = own.iter().filter(|line| shows(line));
        wrong.extend(leaks.map(|line| format!("{what}: log: {line}")));
        if run == 0 && own.is_empty() {
            wrong.push(format!("{what}: nothing was logged of the first run"));
        }
        if run > 0 {
            wrong.extend(written.iter().map(|line| format!("{what}: again: {line}")));
        }
    }
    wrong
}

/// Returns tables of each kind that has a secret, with a canary in each of them, and the fakes that
/// speak its protocol.
fn tables() -> Vec<(&'static str, &'static str, Vec<Fake>)> {
    use Fake::{Http, Memcached, Nats, Postgres, Raw, Redis, RedisProxy, S3, Smtp};
    let redis = || vec![Redis, RedisProxy, Raw];
    vec![
        ("cache", "url = 'redis://app:CANARY@SERVER/0'", redis()),
        (
            "cache",
            "url = 'redis://SERVER/0?protocol=3'\nusername = 'app'\npassword = 'CANARY'",
            redis(),
        ),
        (
            "cache",
            "url = 'memcached://SERVER'\nkey_prefix = 'x'",
            vec![Memcached, Raw],
        ),
        (
            "celery",
            "broker_url = 'redis://:CANARY@SERVER/0'\nresult_backend = 'redis://:CANARY@SERVER/1'",
            redis(),
        ),
        (
            "celery",
            "broker_url = 'amqp://app:CANARY@SERVER/x'",
            vec![Raw],
        ),
        (
            "celery_ping",
            "broker_url = 'redis://:CANARY@SERVER/0'",
            redis(),
        ),
        (
            "celery_ping",
            "broker_url = 'amqp://app:CANARY@SERVER/x'",
            vec![Raw],
        ),
        (
            "database",
            "url = 'postgres://app:CANARY@SERVER/shop'",
            vec![Postgres, Raw],
        ),
        (
            "database",
            "url = 'postgres://app@SERVER/shop'\npassword_file = 'FILE'",
            vec![Postgres],
        ),
        (
            "database",
            "url = 'postgres://app@SERVER/shop?password=CANARY'",
            vec![Postgres],
        ),
        (
            "database",
            "url = 'mysql://app:CANARY@SERVER/shop'",
            vec![Raw],
        ),
        (
            "migrations",
            "source = 'SOURCE'\nurl = 'postgres://app:CANARY@SERVER/shop'",
            vec![Postgres],
        ),
        (
            "grpc",
            "url = 'grpc://SERVER/x'\nmetadata = { authorization = 'Bearer CANARY' }",
            vec![Raw, Http],
        ),
        (
            "http",
            "url = 'http://app:CANARY@SERVER/?token=CANARY'\nbody = 'CANARY'\nheaders = { Authorization = 'Bearer CANARY' }",
            vec![Http, Raw],
        ),
        (
            "kafka",
            "brokers = ['SERVER']\nsasl = 'plain'\nsasl_username = 'app'\nsasl_password = 'CANARY'",
            vec![Raw, Smtp],
        ),
        ("mail", "url = 'smtp://app:CANARY@SERVER'", vec![Smtp, Raw]),
        (
            "mail",
            "url = 'smtp://SERVER'\nusername = 'app'\npassword = 'CANARY'",
            vec![Smtp],
        ),
        ("nats", "url = 'nats://app:CANARY@SERVER'", vec![Nats, Raw]),
        ("nats", "url = 'nats://CANARY@SERVER'", vec![Nats]),
        ("rabbitmq", "url = 'amqp://app:CANARY@SERVER/x'", vec![Raw]),
        (
            "redis",
            "url = 'redis://:CANARY@SERVER/0?protocol=3'",
            redis(),
        ),
        (
            "redis",
            "url = 'redis://SERVER/0'\npassword_file = 'FILE'",
            redis(),
        ),
        (
            "redis",
            "url = 'redis+sentinel://:CANARY@SERVER/master/0?sentinel_password=CANARY'",
            redis(),
        ),
        (
            "s3",
            "bucket = 'b'\nendpoint_url = 'http://SERVER'\naccess_key_id = 'AKIACANARY'\nsecret_access_key = 'CANARY'\nsession_token = 'CANARY'",
            vec![S3, Raw],
        ),
        (
            "status_page",
            "url = 'http://app:CANARY@SERVER/?key=CANARY'",
            vec![Http, Raw],
        ),
    ]
}

/// Returns the keys of each kind whose values are secrets, by the sources of this crate.
fn secret_keys() -> BTreeMap<String, Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checks");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(code) = std::fs::read_to_string(&path) else {
            continue;
        };
        let Some((_, kind)) = code.split_once("const KIND: &'static str = \"") else {
            continue;
        };
        let is_key = |line: &&str| {
            line.trim_start().starts_with("pub ") && line.contains("Secret") && line.ends_with(',')
        };
        let keys = code.lines().filter(is_key).map(|line| {
            let (name, _) = line
                .trim_start()
                .trim_start_matches("pub ")
                .split_once(':')
                .unwrap();
            name.to_owned()
        });
        found.insert(kind.split('"').next().unwrap().to_owned(), keys.collect());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_a_row_or_in_the_log() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| ToLog)
        .init();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{CANARY}\n")).unwrap();
    std::fs::write(folder.path().join("1_users.sql"), "SELECT 1").unwrap();
    let mut found = Vec::new();
    for (kind, table, fakes) in tables() {
        for fake in fakes.into_iter().chain([Fake::Nobody]) {
            let server = fake.start().await.to_string();
            let table = table
                .replace("CANARY", CANARY)
                .replace("SERVER", &server)
                .replace("FILE", file.to_str().unwrap())
                .replace("SOURCE", folder.path().to_str().unwrap());
            let check = configured(&format!("kind = '{kind}'\n{table}"), Vec::new());
            found.extend(wrong(&format!("{kind} on {fake:?}"), &check).await);
        }
    }
    found.extend(of_code().await);
    found.extend(wrong("a kind of the application", &of_application()).await);
    assert!(
        found.is_empty(),
        "{} lines:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Runs the checks that code creates.
async fn of_code() -> Vec<String> {
    let of = async |fake: Fake| fake.start().await.to_string();
    let [redis, raw, nats] = [
        of(Fake::RedisProxy).await,
        of(Fake::Raw).await,
        of(Fake::Nats).await,
    ];
    let [smtp, http] = [of(Fake::Smtp).await, of(Fake::Http).await];
    let url = |scheme: &str, server: &str| format!("{scheme}://app:{CANARY}@{server}");
    let celery = CeleryHealthCheck::new(format!("redis://{redis}"), "mails").unwrap();
    let celery = celery
        .result_backend(format!("{}/0", url("redis", &redis)))
        .unwrap();
    let grpc = GrpcHealthCheck::new(format!("grpc://{raw}")).unwrap();
    let grpc = grpc
        .metadata("authorization", format!("Bearer {CANARY}"))
        .unwrap();
    let kafka = KafkaHealthCheck::new([raw.clone()]).unwrap();
    let kafka = kafka.login(health_checks::kafka::Sasl::Plain, "app", CANARY);
    let with_header = HttpHealthCheck::new(url("http", &http)).body(CANARY);
    let with_header = with_header.header("X-Key", CANARY).unwrap();
    let checks = [
        BoxCheck::new(celery),
        BoxCheck::new(CeleryPingHealthCheck::new(url("redis", &redis)).unwrap()),
        BoxCheck::new(grpc),
        BoxCheck::new(with_header),
        BoxCheck::new(kafka),
        BoxCheck::new(MailHealthCheck::new(url("smtp", &smtp)).unwrap()),
        BoxCheck::new(NatsHealthCheck::new(url("nats", &nats)).unwrap()),
        BoxCheck::new(RabbitMQHealthCheck::new(url("amqp", &raw)).unwrap()),
        BoxCheck::new(StatusPage::new(url("http", &http))),
    ];
    let mut found = Vec::new();
    for check in checks {
        let what = format!("{check:?}, in code");
        let check = check.timeout(Duration::from_secs(1)).ttl(Duration::ZERO);
        let health = Health::builder().check(check).build().unwrap();
        found.extend(wrong(&what, &health).await);
    }
    found
}

/// The settings of a kind whose author did not think of secrets in errors.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Careless {
    #[schemars(with = "BTreeMap<String, String>")]
    logins: BTreeMap<String, Secret>,
}

impl CheckSettings for Careless {
    const KIND: &'static str = "careless";
    const SUMMARY: &'static str = "quotes its logins";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        let quoted: Vec<_> = self
            .logins
            .values()
            .map(|login| login.expose().to_owned())
            .collect();
        let check = check_fn_with("careless", move |_: Findings| {
            let cause = format!("logins {quoted:?}");
            async move { Err(ServiceUnavailable::new("refused").with_source(cause).into()) }
        });
        Ok(vec![BoxCheck::new(check)])
    }
}

fn of_application() -> Health {
    let table = format!("kind = 'careless'\nlogins = {{ a = '{CANARY}', b = 'token {CANARY}' }}");
    configured(&table, vec![Kind::of::<Careless>()])
}

#[test]
fn each_secret_key_of_each_kind_has_a_canary() {
    let mut keys = secret_keys();
    assert!(keys["s3"].contains(&"session_token".to_owned()), "{keys:?}");
    for (kind, table, _) in tables() {
        let keys = keys.get_mut(kind).unwrap();
        keys.retain(|key| !table.contains(&format!("{key} = ")));
        assert!(CATALOGUE.iter().any(|known| known.name == kind));
    }
    keys.retain(|_, keys| !keys.is_empty());
    assert!(keys.is_empty(), "in no table of this test: {keys:?}");
}
