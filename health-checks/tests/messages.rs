//! Tests that docs/checks.md contains every message of a check, with what to do about it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::path::Path;

/// The code in front of the text of a message.
const BEFORE: [&str; 8] = [
    "ServiceUnavailable::new(",
    "ServiceWarning::new(",
    "ServiceReturnedUnexpectedResult::new(",
    ".or_unavailable(",
    ".or_warning(",
    ".or_unexpected(",
    "let message = ",
    "let text = ",
];

fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else {
            // The code after the tests' module contains no messages.
            all.push_str(
                std::fs::read_to_string(&path)
                    .unwrap()
                    .split("#[cfg(test)]\nmod tests")
                    .next()
                    .unwrap(),
            );
        }
    }
}

/// Returns the literal at the beginning of the code, wherever its line breaks are.
fn literal(code: &str) -> Option<String> {
    let code = code.trim_start();
    let code = code.strip_prefix("format!(").unwrap_or(code).trim_start();
    let rest = code.strip_prefix('"')?;
    let end = rest
        .char_indices()
        .find(|(at, c)| *c == '"' && !rest[..*at].ends_with('\\'))?
        .0;
    let mut text = String::new();
    for line in rest[..end].split("\\\n") {
        text.push_str(if text.is_empty() {
            line
        } else {
            line.trim_start()
        });
    }
    Some(text)
}

/// Returns the texts of all messages in the sources.
fn messages(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for before in BEFORE {
        found.extend(code.split(before).skip(1).filter_map(literal));
    }
    // A pair of a kind and its message.
    for kind in ["Kind::", "kind @ Kind::"] {
        for rest in code.split(kind).skip(1) {
            let name = rest
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or_default();
            let after = rest[name..].trim_start();
            found.extend(after.strip_prefix(',').and_then(literal));
            let arrow = after
                .strip_prefix(", _)) => (kind,")
                .or_else(|| after.strip_prefix(", _)), _) => (kind,"));
            found.extend(arrow.and_then(literal));
        }
    }
    for constant in code.split("const ").skip(1) {
        let text = constant.split_once("&str = ").filter(|(name, _)| {
            name.len() < 40
                && name
                    .chars()
                    .all(|c| !c.is_lowercase() || "static".contains(c))
        });
        found.extend(
            text.and_then(|(_, text)| literal(text))
                .filter(|text| text.contains(' ')),
        );
    }
    found
}

/// Returns the longest part of a message without placeholders.
fn fixed(message: &str) -> &str {
    message
        .split(['{', '}'])
        .step_by(2)
        .max_by_key(|part| part.len())
        .unwrap_or_default()
        .trim()
}

#[test]
fn each_message_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    let docs = std::fs::read_to_string(root.join("../docs/checks.md")).unwrap();
    for folder in ["src/checks", "src/support"] {
        sources(&root.join(folder), &mut code);
    }
    let found = messages(&code);
    for known in [
        "authentication failed",
        "Redis is read-only",
        "Unable to connect to RabbitMQ: Timeout.",
        "File was not deleted",
    ] {
        assert!(
            found.contains(known),
            "the test does not find \"{known}\" in the code"
        );
    }
    // An error in a configuration file is not a message of a check. Nor is the text of a cause,
    // which only goes to the log.
    let is_message = |text: &&String| {
        let others = [
            "expected ",
            "this build has ",
            "failed to lookup",
            "{variable}",
            "no certificate",
            "the parameter {name} is not used",
        ];
        !others.iter().any(|start| text.starts_with(start))
    };
    let missing: Vec<_> = found
        .iter()
        .filter(is_message)
        .filter(|message| !docs.contains(fixed(message)))
        .collect();
    assert!(missing.is_empty(), "not in docs/checks.md: {missing:#?}");
}
