//! Tests the table of URLs in docs/checks.md: what is accepted, and what is refused.

#![cfg(all(feature = "embedded", feature = "full"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use health_checks::config::{Config, ConfigError, Options};

/// Returns the texts between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns the rows of the table: kinds, the URLs that they accept and the URLs that they refuse.
fn rows() -> Vec<[Vec<&'static str>; 3]> {
    let section = include_str!("../../docs/checks.md")
        .split_once("\n## URLs\n")
        .unwrap()
        .1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    // Other tables have two columns.
    rows.filter_map(|line| {
        line.trim_matches('|')
            .split(" | ")
            .map(quoted)
            .collect::<Vec<_>>()
            .try_into()
            .ok()
    })
    .collect()
}

fn load(kind: &str, url: &str) -> Result<Config, ConfigError> {
    let key = match kind {
        "celery" | "celery_ping" => "broker_url",
        "s3" => "endpoint_url",
        _ => "url",
    };
    let more = match kind {
        "migrations" => "source = \"migrations\"\n",
        "s3" => "bucket = \"media\"\n",
        _ => "",
    };
    let text = format!("[[checks]]\nkind = \"{kind}\"\n{key} = '{url}'\n{more}");
    Config::from_text("health.toml", &text, &|_| None, &Options::default())
}

#[test]
fn the_table_of_urls_is_what_the_readers_do() {
    let rows = rows();
    assert!(rows.len() > 7, "{rows:?}");
    for [kinds, taken, refused] in rows {
        assert!(taken.len() > 2 && refused.len() > 2, "{kinds:?}");
        for kind in kinds {
            for url in &taken {
                let loaded = load(kind, url);
                assert!(
                    loaded.is_ok(),
                    "{kind} does not take {url}: {}",
                    loaded.unwrap_err()
                );
            }
            for url in &refused {
                let error = load(kind, url).map(drop).expect_err(url).to_string();
                let (_, message) = error.split_once("url: ").unwrap();
                assert!(message.len() > 20, "{kind} refuses {url} and says {error}");
            }
        }
    }
}

#[test]
fn a_login_beside_a_url_is_used_or_refused() {
    for (kind, url, more, message) in [
        ("redis", "redis://h", "password = 'p@/?#%'", None),
        (
            "redis",
            "redis://h",
            "username = 'app'\npassword_file = '/run/secrets/none'",
            None,
        ),
        ("celery", "amqp://app@h//", "password = 'x'", None),
        (
            "database",
            "postgres://h/app",
            "username = 'app'\npassword = 'x'",
            None,
        ),
        (
            "database",
            "postgres://app:x@h/app",
            "password = 'y'",
            Some("checks[1].password: the URL has one as well"),
        ),
        (
            "redis",
            "redis://app@h",
            "username = 'b'",
            Some("checks[1].username: the URL has one as well"),
        ),
        (
            "redis",
            "redis://h",
            "password = 'x'\npassword_file = 'y'",
            Some("checks[1].password_file: password is there"),
        ),
        (
            "database",
            "sqlite:app.db",
            "password = 'x'",
            Some("checks[1].password: this URL is none that a login"),
        ),
        (
            "cache",
            "memory://",
            "username = 'x'",
            Some("checks[1].username: this URL is none that a login"),
        ),
        (
            "cache",
            "memcached://h",
            "username = 'x'",
            Some("a user or a password, which memcached does not take"),
        ),
        (
            "disk",
            "",
            "password = 'x'",
            Some("checks[1].password: unknown key"),
        ),
    ] {
        let key = if kind.starts_with("celery") {
            "broker_url"
        } else {
            "url"
        };
        let url = if url.is_empty() {
            String::new()
        } else {
            format!("{key} = '{url}'")
        };
        let text = format!("[[checks]]\nkind = '{kind}'\n{url}\n{more}\n");
        let loaded = Config::from_text("health.toml", &text, &|_| None, &Options::default());
        match (loaded, message) {
            (Ok(_), None) => {}
            (Err(error), Some(message)) => {
                assert!(error.to_string().contains(message), "{text}: {error}");
            }
            (loaded, message) => panic!("{text}: {loaded:?}, expected {message:?}"),
        }
    }
}

/// A check that creates the database would report it as working.
#[tokio::test]
async fn a_sqlite_file_is_not_made_by_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.db");
    for query in ["", "?mode=rwc", "?mode=rw", "?mode=ro"] {
        let health = load("database", &format!("sqlite:{}{query}", file.display()))
            .unwrap()
            .build()
            .unwrap();
        let message = health.report().await.checks[0].errors[0].to_string();
        assert_eq!(
            message, "unavailable: the database file does not exist",
            "{query}"
        );
        assert!(!file.exists(), "{query}");
    }
}
