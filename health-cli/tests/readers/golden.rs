//! The golden files of health-core, which contain everything that a format may have to escape, read
//! by the same programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::health_json::conforming;
use crate::shop::read;
use crate::support::{answering, http};

/// The formats with their readers and media types.
const READ: [(&str, &str, &str); 4] = [
    ("atom", "feed", "application/atom+xml"),
    ("rss", "feed", "application/rss+xml"),
    (
        "openmetrics",
        "openmetrics",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
    (
        "prometheus",
        "prometheus",
        "text/plain; version=0.0.4; charset=utf-8",
    ),
];

/// Returns the name and the content of each golden file of a format.
fn golden(format: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../health-core/tests/snapshots");
    let names = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<_> = names
        .filter(|name| name.starts_with(&format!("formats__{format}-")))
        .collect();
    assert!(
        !names.is_empty(),
        "no golden file of {format} in {}",
        folder.display()
    );
    let content = |name: &String| {
        let file = fs::read_to_string(folder.join(name)).unwrap();
        file.splitn(3, "---\n").nth(2).unwrap().to_owned()
    };
    names
        .into_iter()
        .map(|name| (name.clone(), content(&name)))
        .collect()
}

/// Returns the result of the format's reader for a golden file.
fn read_back(name: &str, content: String) -> Value {
    let is_of =
        |(format, ..): &&(&str, &str, &str)| name.starts_with(&format!("formats__{format}-"));
    let (_, reader, media_type) = READ.iter().find(is_of).unwrap();
    let (address, _) = answering(move |_| {
        http(
            "200 OK",
            &format!("Content-Type: {media_type}\r\n"),
            &content,
        )
    });
    read(reader, &format!("http://{address}/"))
}

#[test]
fn feeds_are_well_formed_whatever_is_in_them() {
    for (name, content) in ["atom", "rss"].into_iter().flat_map(golden) {
        let entries = content.matches("<published>").count() + content.matches("<pubDate>").count();
        let parsed = read_back(&name, content)["parsed"].take();
        assert_eq!(
            parsed["bozo"], false,
            "{name}: {}",
            parsed["bozo_exception"]
        );
        assert_eq!(
            parsed["entries"].as_array().unwrap().len(),
            entries,
            "{name}"
        );
    }
}

#[test]
fn metrics_are_metrics_whatever_is_in_them() {
    for (name, content) in ["openmetrics", "prometheus"].into_iter().flat_map(golden) {
        let lines = content
            .lines()
            .filter(|line| line.starts_with("health_check_"))
            .count();
        let families = read_back(&name, content)["families"].take();
        let samples = families
            .as_array()
            .unwrap()
            .iter()
            .map(|family| family["samples"].as_array().unwrap().len());
        assert_eq!(samples.sum::<usize>(), lines, "{name}");
    }
}

#[test]
fn responses_keep_to_the_draft_whatever_is_in_them() {
    for (name, content) in golden("health") {
        assert_eq!(conforming(&content)["status"], "fail", "{name}");
    }
}
