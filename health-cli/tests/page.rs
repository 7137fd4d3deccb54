//! The status page in a real browser, where axe-core finds no accessibility problem.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test without any executor may"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::Server;

/// A service with a failing critical check and one that it blocks, a warning, a failure that does
/// not count, working checks, groups, and observations.
const RICH: &str = r#"
settings = { ttl = 0, instance = "shop-7d9f", version = "1.4.2" }
groups.batch = {}
checks = [
  { kind = "storage", name = "OrdersDatabasePrimaryHealthCheck", path = "/no/such/folder", groups = ["ready", "batch"] },
  { kind = "storage", name = "MigrationsHealthCheck", path = "/no/such/folder", depends_on = ["OrdersDatabasePrimaryHealthCheck"] },
  { kind = "disk", usage_max = 0.001 },
  { kind = "storage", name = "recommendations_of_the_neighbours", path = "/no/such/folder", critical = false },
  { kind = "cache" },
  { kind = "memory", min = 1, groups = ["ready", "batch"] },
]
"#;

/// Runs axe, and adds its results and the properties of the page to the page itself.
const SCRIPT: &str = r#"
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(found => {
  const ids = rules => rules.map(rule => rule.id);
  const told = rules => rules.map(rule => [rule.id, rule.help, rule.nodes.map(node => [node.html, node.failureSummary])]);
  const result = document.createElement("script");
  result.type = "application/json";
  result.id = "result";
  result.textContent = JSON.stringify({
    violations: told(found.violations), incomplete: told(found.incomplete), passes: ids(found.passes),
    dark: matchMedia("(prefers-color-scheme: dark)").matches, width: innerWidth, overflow: document.body.scrollWidth - innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
  }).replaceAll("<", "\\u003c");
  document.body.append(result);
});
"#;

#[test]
fn light_and_wide() {
    assert_accessible(&examine(&rich(), 1100, false));
}

#[test]
fn light_and_narrow() {
    assert_accessible(&examine(&rich(), 400, false));
}

#[test]
fn dark_and_wide() {
    assert_accessible(&examine(&rich(), 1100, true));
}

#[test]
fn dark_and_narrow() {
    assert_accessible(&examine(&rich(), 400, true));
}

#[test]
fn the_narrowest_phone_scrolls_in_one_direction_only() {
    let found = examine(&rich(), 320, false);
    assert_accessible(&found);
    assert!(found["overflow"].as_i64().unwrap() <= 0, "{found:#}");
}

#[test]
fn good_news_alone() {
    for dark in [false, true] {
        assert_accessible(&examine(&good(), 1100, dark));
    }
}

/// Returns the page that new users see first, with the embedded checks and a notice.
fn good() -> String {
    let folder = tempfile::tempdir().unwrap();
    let (status, page) = Server::start(folder.path(), &[]).get("/ht/");
    assert!(page.contains("No configuration"), "{status} {page}");
    page
}

/// Returns the page of `RICH` after some runs.
fn rich() -> String {
    let server = Server::of(RICH);
    for _ in 0..5 {
        server.get("/ht/?format=json");
    }
    let (status, page) = server.get("/ht/");
    assert_eq!(status, 500, "{page}");
    let parts = [
        "class=\"blocked\"",
        "Problems that don",
        "<h2>Working",
        "<svg",
        "not critical",
        "batch",
        "used = ",
    ];
    for part in parts {
        assert!(page.contains(part), "{part:?} is not on the page: {page}");
    }
    page
}

/// Returns the results of axe for the page in a window of this width.
fn examine(page: &str, width: u32, dark: bool) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let axe = std::fs::read_to_string(axe()).unwrap();
    let file = folder.path().join("page.html");
    // A copy, because the content security policy of the response allows no script.
    std::fs::write(
        &file,
        format!("{page}<script>{axe}</script><script>{SCRIPT}</script>"),
    )
    .unwrap();
    let dom = browse(&file, width, dark);
    let result = dom
        .rsplit_once("<script type=\"application/json\" id=\"result\">")
        .map(|(_, rest)| rest);
    let result = result.and_then(|rest| rest.split("</script>").next());
    let found: Value =
        serde_json::from_str(result.unwrap_or_else(|| panic!("axe did not run: {dom}"))).unwrap();
    assert_eq!(found["width"], width, "the window is another");
    assert_eq!(found["dark"], dark, "the window is another");
    found
}

/// Returns the DOM of the file in a browser after its scripts have run. The width is that of the
/// screen, because a window cannot be as narrow. A browser that hangs is killed.
fn browse(file: &Path, width: u32, dark: bool) -> String {
    let mut command = Command::new("timeout");
    command.args([
        "120",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
    ]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--virtual-time-budget=10000",
    ]);
    command.arg(format!(
        "--user-data-dir={}",
        file.with_file_name("profile").display()
    ));
    command
        .args(["--kiosk", &format!("--screen-info={{{width}x900}}")])
        .args(dark.then_some("--force-dark-mode"));
    command.arg("--dump-dom").arg(file).stdin(Stdio::null());
    let output = command.output().unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "chromium, which `cargo xtask services up` installs: {}: {log}",
        output.status
    );
    dom
}

/// Returns the path of axe-core, which `cargo xtask services up` installs.
fn axe() -> PathBuf {
    let path = std::env::var_os("HEALTH_AXE");
    path.expect("HEALTH_AXE is not set: run `cargo xtask test`, which installs axe-core, or see CONTRIBUTING.md").into()
}

fn assert_accessible(found: &Value) {
    assert!(
        found["passes"]
            .as_array()
            .unwrap()
            .contains(&"color-contrast".into()),
        "axe looked at little: {found:#}"
    );
    assert_eq!(found["violations"], Value::Array(Vec::new()), "{found:#}");
    let unexplained = found["incomplete"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| !are_signs(rule));
    assert_eq!(unexplained.count(), 0, "axe can't tell: {found:#}");
    let ground = if found["dark"] == true {
        "rgb(17, 20, 26)"
    } else {
        "rgb(246, 247, 249)"
    };
    assert_eq!(found["ground"], ground, "the colours of the other scheme");
}

/// Returns `true` if a rule is only incomplete for the sign before a status. Axe measures no
/// contrast for signs. They are hidden from screen readers, and have the colour of the word next to
/// them, which axe measures.
fn are_signs(rule: &Value) -> bool {
    let is_sign = |node: &Value| {
        let html = node[0].as_str().unwrap();
        let why = node[1].as_str().unwrap();
        html.starts_with("<span aria-hidden=\"true\">") && why.contains("only non-text characters")
    };
    rule[0] == "color-contrast" && rule[2].as_array().unwrap().iter().all(is_sign)
}
