//! The reference itself, pinned: what the endpoint answers to each case of the suite.

use std::collections::HashMap;
use std::fmt::Write as _;

use health_testkit::conformance::{Site, cases};

#[test]
fn the_reference() {
    let mut shown = String::new();
    let mut bodies = HashMap::new();
    for case in cases() {
        let Some(answer) = case.reference(&Site::new(case.setting)) else {
            continue;
        };
        let request = case.request();
        let target: String = request.uri().to_string().chars().take(80).collect();
        let _ = writeln!(shown, "# {}: {} {target}", case.name, request.method());
        for (name, value) in request.headers() {
            let _ = writeln!(shown, "> {name}: {}", value.as_bytes().escape_ascii());
        }
        let _ = writeln!(shown, "{}", answer.status().as_u16());
        for (name, value) in answer.headers() {
            let _ = writeln!(shown, "{name}: {}", value.as_bytes().escape_ascii());
        }
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        match bodies.get(&body) {
            _ if body.is_empty() => {}
            Some(first) => _ = writeln!(shown, "(the body of {first})"),
            None => {
                let _ = writeln!(shown, "\n{}", body.trim_end());
                bodies.insert(body, case.name);
            }
        }
        shown.push('\n');
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn each_name_is_given_once() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
