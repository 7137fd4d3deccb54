//! Tests `[fleet]`: the checks that are shared, and the settings that are refused.

use std::time::Duration;

use health_checks::config::{Config, ConfigError, Options};
use redis::AsyncTypedCommands as _;

use crate::row::row;
use crate::server::Redis;

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::from_text("test.toml", text, &|_| None, &Options::default())
}

/// Starts a replica with these checks, and returns the fields of its fleet in Redis.
async fn fields(redis: &Redis, fleet: &str, checks: &str) -> Vec<String> {
    let text = format!(
        "[settings]\ntimeout = \"100ms\"\n[fleet]\nurl = \"{}\"\nname = \"{fleet}\"\n{checks}",
        redis.url()
    );
    let health = read(&text).unwrap().build().unwrap();
    health.report().await;
    let mut reader = redis.connect().await;
    let began = std::time::Instant::now();
    let mut fields: Vec<String> = loop {
        let fields = reader.hkeys(format!("hc1:{{{fleet}}}:v")).await.unwrap();
        let exchanged = reader.exists(format!("hc1:{{{fleet}}}:m")).await.unwrap();
        if exchanged && (!fields.is_empty() || began.elapsed() > Duration::from_secs(3)) {
            break fields;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "no exchange");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    fields.sort();
    fields
}

async fn names(redis: &Redis, fleet: &str, checks: &str) -> Vec<String> {
    let fields = fields(redis, fleet, checks).await;
    fields
        .iter()
        .map(|field| field.split_once('#').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn what_all_replicas_see_alike_is_shared() {
    let redis = Redis::start().await;
    let checks = format!(
        r#"
        [[checks]]
        kind = "tcp"
        name = "elsewhere"
        address = "192.0.2.1:80"

        [[checks]]
        kind = "tcp"
        name = "on this machine"
        address = "127.0.0.1:80"

        [[checks]]
        kind = "tcp"
        name = "on this machine, and yet the same"
        address = "localhost:80"
        shared = true

        [[checks]]
        kind = "tcp"
        name = "not shared"
        address = "192.0.2.1:80"
        shared = false

        [[checks]]
        kind = "tcp"
        name = "the server of the fleet"
        address = "127.0.0.1:{}"

        [[checks]]
        kind = "disk"

        [[checks]]
        kind = "memory"
        "#,
        redis.port
    );
    assert_eq!(
        names(&redis, "a", &checks).await,
        ["elsewhere", "on this machine, and yet the same"]
    );
}

/// A rotated password does not split a fleet. A different server does.
#[tokio::test]
async fn the_key_depends_on_what_is_checked_and_on_no_secret() {
    let redis = Redis::start().await;
    let mut keys = Vec::new();
    for (number, url) in [
        "http://a:one@192.0.2.1/?token=one&q=1",
        "http://b:two@192.0.2.1/?token=two&q=1",
        "http://192.0.2.1/?token=&q=1",
        "http://192.0.2.1/?token=&q=2",
        "http://192.0.2.2/?token=&q=1",
        "https://192.0.2.1/?token=&q=1",
    ]
    .into_iter()
    .enumerate()
    {
        let check = format!("[[checks]]\nkind = \"http\"\nname = \"a\"\nurl = \"{url}\"\n");
        let fields = fields(&redis, &format!("f{number}"), &check).await;
        assert_eq!(fields.len(), 1);
        assert!(
            fields[0].starts_with("a#") && fields[0].len() == 18,
            "{fields:?}"
        );
        keys.extend(fields);
    }
    assert_eq!(&keys[0], &keys[1]);
    assert_eq!(&keys[0], &keys[2]);
    for (other, key) in keys.iter().enumerate().skip(3) {
        assert!(!keys[..other].contains(key), "{other}");
    }
}

/// Such a fleet exchanges nothing, and the health still works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_without_a_shared_check_is_warned_about() {
    let redis = Redis::start().await;
    let text = format!(
        "[fleet]\nurl = \"{}\"\nname = \"a\"\n[[checks]]\nkind = \"cache\"\nttl = 0\n",
        redis.url()
    );
    let config = read(&text).unwrap();
    assert!(
        config.warnings()[0].contains("no check is shared in the fleet"),
        "{:?}",
        config.warnings()
    );
    let health = config.build().unwrap();
    for _ in 0..5 {
        let cache = row(&health, "CacheBackend").await;
        assert_eq!(cache.pretty_status(), "working");
        assert_eq!(row(&health, "Fleet").await.pretty_status(), "working");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        redis.connect().await.keys("*").await.unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn a_fleet_in_code_has_the_limits_of_the_file() {
    let fleet = || health_checks::RedisFleet::from_url("redis://cache.internal/0").unwrap();
    for (fleet, message) in [
        (
            fleet().name(" "),
            "the name of its fleet needs 1 to 100 characters",
        ),
        (
            fleet().name(&"n".repeat(101)),
            "the name of its fleet needs 1 to 100 characters",
        ),
        (
            fleet().own(Duration::from_millis(999)),
            "the interval of own probes in its fleet (own) needs at least 1 s",
        ),
    ] {
        let shared = fleet.share("1", health_core::check_fn("orders", || async { Ok(()) }));
        let error = health_core::Health::builder()
            .check(shared)
            .check(fleet.check())
            .build()
            .unwrap_err();
        let expected = format!("check \"orders\": {message}\ncheck \"Fleet\": {message}");
        let mut lines: Vec<_> = error.faults().iter().map(ToString::to_string).collect();
        lines.sort_unstable_by(|one, two| two.cmp(one));
        assert_eq!(lines.join("\n"), expected);
    }
}

#[test]
fn what_can_not_be_shared_is_refused_by_name() {
    let fleet = "[fleet]\nurl = \"redis://cache.internal/0\"\nname = \"shop\"\n";
    for (text, message) in [
        (
            "[[checks]]\nkind = \"disk\"\nshared = true\n".to_owned(),
            "checks[1].shared: there is no [fleet]",
        ),
        (
            format!("{fleet}[[checks]]\nkind = \"disk\"\nshared = true\n"),
            "checks[1].shared: it checks this process",
        ),
        (
            format!(
                "{fleet}[[checks]]\nkind = \"tcp\"\naddress = \"cache.internal:6379\"\nshared = true\n"
            ),
            "",
        ),
        (
            format!(
                "{fleet}[[checks]]\nkind = \"redis\"\nurl = \"redis://cache.internal/1\"\nshared = true\n"
            ),
            "checks[1].shared: its server is that of the fleet",
        ),
        (
            format!(
                "{fleet}[[checks]]\nkind = \"tcp\"\naddress = \"a.internal:1\"\ngroups = [\"live\"]\nshared = true\n"
            ),
            "checks[1].shared: live is about this process alone",
        ),
        (
            format!(
                "{fleet}[[checks]]\nkind = \"tcp\"\naddress = \"a.internal:1\"\nttl = 0\nshared = true\n"
            ),
            "checks[1].shared: with ttl = 0, each request runs it",
        ),
        ("[fleet]\nname = \"a\"\n".into(), "fleet.url: missing"),
        (
            "[fleet]\nurl = \"redis://a/0\"\n".into(),
            "fleet.name: missing",
        ),
        (
            "[fleet]\nurl = \"redis://a/0\"\nname = \" \"\n".into(),
            "fleet.name: expected a name",
        ),
        (
            "[fleet]\nurl = \"amqp://a/0\"\nname = \"a\"\n".into(),
            "fleet.url: ",
        ),
        (
            "[fleet]\nurl = \"redis://a/0?x=1\"\nname = \"a\"\n".into(),
            "fleet.url: ",
        ),
        (
            "[fleet]\nurl = \"redis://a/0\"\nname = \"a\"\nown = \"10ms\"\n".into(),
            "fleet.own: expected at least 1 s",
        ),
        (
            "[fleet]\nurl = \"redis://a/0\"\nname = \"a\"\nca_file = \"/x\"\n".into(),
            "fleet.ca_file: the URL does not use TLS",
        ),
        (
            "[fleet]\nurl = \"redis://:x@a/0\"\nname = \"a\"\npassword = \"y\"\n".into(),
            "fleet.password: the URL has one as well",
        ),
        (
            "[fleet]\nurl = \"redis://a/0\"\nname = \"a\"\nwrite = true\n".into(),
            "fleet.write: unknown key",
        ),
        (
            "[fleet]\nurl = \"redis://a/0\"\nname = \"a\"\nsecret = \"\"\n".into(),
            "fleet.secret: ",
        ),
        (
            format!(
                "[settings]\nttl = 0\n{fleet}[[checks]]\nkind = \"tcp\"\naddress = \"a.internal:1\"\nshared = true\n"
            ),
            "checks[1].shared: with ttl = 0, each request runs it",
        ),
        (
            format!(
                "{fleet}[[checks]]\nkind = \"certificate\"\naddress = \"a.internal:1\"\nshared = true\n"
            ),
            "checks[1].shared: it warns of what is to come",
        ),
    ] {
        match read(&text) {
            Ok(_) => assert_eq!(message, "", "{text}"),
            Err(error) => assert!(
                !message.is_empty() && error.to_string().contains(message),
                "{text}\n{error}"
            ),
        }
    }
}
