//! The configuration file, the variables in it, and the URLs of every kind.

use health_checks::config::{self, Config, Options};

/// A secret in the environment, which no error may show.
const CANARY: &str = "c4n4ry-0f-f0zz";

fn variables(name: &str) -> Option<std::ffi::OsString> {
    match name {
        "SECRET" => Some(CANARY.into()),
        "EMPTY" => Some("".into()),
        "NUMBER" => Some("42".into()),
        _ => None,
    }
}

/// Returns the text of an input, unless it names a file to read: a device may have no end.
fn harmless(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data)
        .ok()
        .filter(|text| !text.contains("file:"))
}

/// Reads a file, and builds its checks and endpoints.
pub(crate) fn config(data: &[u8]) {
    let Some(text) = harmless(data) else { return };
    let built = Config::from_text("fuzz.toml", text, &variables, &Options::default())
        .and_then(Config::build);
    if let Err(error) = built {
        assert!(
            !error.to_string().contains(CANARY),
            "an error shows a secret"
        );
        assert!(!error.to_string().is_empty());
    }
}

/// Replaces the variables of a text.
pub(crate) fn expand(data: &[u8]) {
    let Some(text) = harmless(data) else { return };
    match config::expand(text, &variables) {
        Ok(expanded) => assert!(
            text.contains('$') || expanded == text,
            "a text without variables is changed"
        ),
        Err(error) => assert!(!error.clone().contains(CANARY), "an error shows a secret"),
    }
}

/// The kinds with a URL, and its key.
const KINDS: [(&str, &str); 11] = [
    ("cache", "url"),
    ("celery", "broker_url"),
    ("database", "url"),
    ("http", "url"),
    ("mail", "url"),
    ("nats", "url"),
    ("rabbitmq", "url"),
    ("redis", "url"),
    ("tcp", "address"),
    ("kafka", "brokers"),
    ("celery", "result_backend"),
];

/// Reads the URL of a kind, which the first byte chooses.
pub(crate) fn url(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let Ok(url) = std::str::from_utf8(rest) else {
        return;
    };
    let (kind, key) = KINDS[usize::from(*first) % KINDS.len()];
    let quoted = serde_json::to_string(&url.replace("${", "")).unwrap();
    // TOML has the escapes of JSON, except for the slash and DEL.
    let quoted = quoted.replace('\u{7f}', "\\u007f");
    let value = if kind == "kafka" {
        format!("[{quoted}]")
    } else {
        quoted
    };
    let more = if key == "result_backend" {
        "broker_url = \"amqp://h/\"\n"
    } else {
        ""
    };
    let text =
        format!("[[checks]]\nkind = \"{kind}\"\n{more}{key} = {value}\npassword = \"{CANARY}\"\n");
    let without = text.replace(&format!("password = \"{CANARY}\"\n"), "");
    for text in [&text, &without] {
        if let Err(error) = Config::from_text("fuzz.toml", text, &|_| None, &Options::default()) {
            let shown = error.to_string();
            assert!(!shown.contains(CANARY), "an error shows a password");
            // The scheme may be shown, in lower case too, with the nearest one that is known.
            let (scheme, rest) = url.split_once("://").unwrap_or_default();
            let password = rest
                .split_once('@')
                .and_then(|(login, _)| login.split_once(':'));
            let password = password.map_or("", |(_, password)| password);
            let schemes = [scheme, &scheme.to_lowercase()].map(|scheme| scheme.contains(password));
            let is_secret = password.len() >= 12 && !schemes.contains(&true);
            assert!(
                !is_secret || !shown.contains(password),
                "an error shows the password of a URL"
            );
        }
    }
}
