//! Golden files: compares each format of the same reports, byte by byte.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use health_core::{
    Atom, CheckReport, ErrorReport, HealthCheckException, Observation, PastRun, Renderer as _,
    Renderers, Report, Rss, Scope, ServiceReturnedUnexpectedResult, ServiceUnavailable,
    ServiceWarning, Status, Text, Unit, UnknownError,
};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}

fn ran(mut row: CheckReport, milliseconds: u64) -> CheckReport {
    row.duration = Some(Duration::from_millis(milliseconds));
    row.last_run = Some(at(0));
    row.since = Some(at(0) - Duration::from_secs(3600));
    row
}

/// Returns a report with one row of each kind.
fn troubled() -> Report {
    let failed =
        |name: &str, error: HealthCheckException| ran(CheckReport::failed(name, &error), 12);
    let mut several = failed("Ünïcode 🔥", ServiceUnavailable::new("one").into());
    let more: HealthCheckException = ServiceReturnedUnexpectedResult::new("two <b>&\"\\").into();
    several.errors.push(ErrorReport::from(&more));
    several.labels = [("team", "a \"b\" \\ c\nd"), ("2nd-line", "x")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let mut disk = failed(
        "DiskUsage",
        ServiceWarning::new("web1 91.2% disk usage exceeds 90%").into(),
    );
    disk.observations
        .push(Observation::new("used", 91.2, Unit::Percent));
    disk.observations
        .push(Observation::new("available", 23e9, Unit::Bytes));
    disk.scope = Scope::Instance;
    let mut mail = failed(
        "Mail",
        ServiceUnavailable::new("connection refused")
            .with_source("10.0.0.5:25")
            .into(),
    );
    (mail.critical, mail.fails_report, mail.stale) = (false, false, true);
    let mut waiting =
        CheckReport::failed("Queue", &ServiceUnavailable::new("no result yet").into());
    (waiting.status, waiting.raw_status) = (Status::Unknown, Status::Unknown);
    let mut recovering = failed("Redis", ServiceUnavailable::new("blocked by dns").into());
    (recovering.raw_status, recovering.blocked_by) = (Status::Working, Some("dns".into()));
    recovering.groups = ["batch".to_owned()].into();
    let run = |status, millis| PastRun::new(status, Duration::from_millis(millis), at(0));
    let statuses = [
        Status::Working,
        Status::Working,
        Status::Warning,
        Status::Unavailable,
        Status::Working,
    ];
    recovering.history = statuses
        .into_iter()
        .zip([12, 30, 250, 1000, 40])
        .map(|(status, ms)| run(status, ms))
        .collect();
    let mut report = Report::new([
        ran(CheckReport::new("CacheBackend"), 3),
        disk,
        several,
        mail,
        waiting,
        recovering,
        failed(
            "Boom",
            UnknownError::caused_by("the cause, for the log only").into(),
        ),
    ]);
    report.generated_at = at(1);
    report.built_at = at(0) - Duration::from_secs(24 * 3600);
    report.duration = Duration::from_millis(13);
    (report.instance, report.version) = (Some("shop-7d9f".into()), Some("1.4.2".into()));
    report.grpc_services = [("", "ready"), ("<orders>", "ready"), ("ready", "ready")]
        .map(|(name, group)| (name.into(), group.into()))
        .into();
    report.notice = Some("No configuration was given: <these> are the default checks.".into());
    report
}

/// Returns a report with names that contain everything that a format may have to escape.
fn hostile() -> Report {
    let failure =
        ServiceUnavailable::new("a <b> & \"c\" ]]> \u{1}\u{1b}[31m \u{fffe} \\n\r\nnext\tline");
    let mut row = ran(
        CheckReport::failed("a:b \"<&>'\" \\ \u{0}\nend", &failure.into()),
        1,
    );
    row.observations
        .push(Observation::new("x:y \"\\\n", -0.5, Unit::Seconds));
    row.labels = [
        ("__name__", "1"),
        ("check", "2"),
        ("größe-1", "3"),
        ("größe_1", "4"),
        ("", "5"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    Report::new([row])
}

/// Returns the report as a reader without the token sees it, which is only the verdict.
fn bare(mut report: Report) -> Report {
    (report.checks, report.redacted, report.notice) = (Vec::new(), true, None);
    (report.instance, report.version) = (None, None);
    report.grpc_services.clear();
    report
}

fn render(format: &str, report: &Report) -> String {
    let renderers = Renderers::default();
    let mut out = String::new();
    renderers
        .get(format)
        .unwrap()
        .render(report, &mut out)
        .unwrap();
    writeln!(
        out,
        "{}",
        if out.ends_with('\n') {
            ""
        } else {
            "<no newline at the end>"
        }
    )
    .unwrap();
    out
}

#[test]
fn html() {
    insta::assert_snapshot!("html-troubled", render("html", &troubled()));
}

#[test]
fn json() {
    insta::assert_snapshot!("json-troubled", render("json", &troubled()));
}

#[test]
fn text() {
    insta::assert_snapshot!("text-troubled", render("text", &troubled()));
}

#[test]
fn health() {
    insta::assert_snapshot!("health-troubled", pretty(&render("health", &troubled())));
    insta::assert_snapshot!("health-hostile", pretty(&render("health", &hostile())));
}

#[test]
fn openmetrics() {
    insta::assert_snapshot!("openmetrics-troubled", render("openmetrics", &troubled()));
    insta::assert_snapshot!("openmetrics-hostile", render("openmetrics", &hostile()));
    insta::assert_snapshot!("openmetrics-bare", render("openmetrics", &bare(troubled())));
}

#[test]
fn prometheus() {
    insta::assert_snapshot!("prometheus-troubled", render("prometheus", &troubled()));
}

#[test]
fn both_kinds_of_metrics_have_the_same_samples() {
    let samples = |format, report: &Report| -> Vec<String> {
        let text = render(format, report);
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    };
    for report in [troubled(), hostile(), Report::new([]), bare(troubled())] {
        assert_eq!(
            samples("openmetrics", &report),
            samples("prometheus", &report)
        );
    }
    assert_eq!(
        samples("openmetrics", &Report::new([])),
        ["health_check_overall_healthy 1", ""]
    );
}

#[test]
fn atom() {
    insta::assert_snapshot!("atom-troubled", render("atom", &troubled()));
    insta::assert_snapshot!("atom-hostile", render("atom", &hostile()));
    insta::assert_snapshot!("atom-bare", render("atom", &bare(troubled())));
}

#[test]
fn rss() {
    insta::assert_snapshot!("rss-troubled", render("rss", &troubled()));
    insta::assert_snapshot!("rss-hostile", render("rss", &hostile()));
    insta::assert_snapshot!("rss-empty", render("rss", &Report::new([])));
}

#[test]
fn a_feed_changes_when_a_check_does_and_not_before() {
    let mut report = troubled();
    for format in ["atom", "rss"] {
        let before = render(format, &report);
        report.generated_at += Duration::from_secs(3600);
        report.duration += Duration::from_secs(1);
        for row in &mut report.checks {
            row.last_run = row.since.map(|since| since + Duration::from_secs(2 * 3600));
        }
        assert_eq!(before, render(format, &report));
        let since = report.checks[2].since.replace(at(7));
        assert_ne!(before, render(format, &report));
        report.checks[2].since = since;
    }
}

#[test]
fn a_feed_may_link_to_a_page_elsewhere() {
    let url = "https://shop.example/ht/?a=b&c=d";
    let mut atom = String::new();
    let mut rss = String::new();
    Atom::default()
        .link(url)
        .render(&troubled(), &mut atom)
        .unwrap();
    Rss::default()
        .link(url)
        .render(&troubled(), &mut rss)
        .unwrap();
    assert!(atom.contains(
        r#"<link rel="alternate" type="text/html" href="https://shop.example/ht/?a=b&amp;c=d"/>"#
    ));
    assert!(rss.contains("<link>https://shop.example/ht/?a=b&amp;c=d</link>"));
    assert!(!atom.contains("?format=html") && !rss.contains("?format=html"));
}

/// Formats JSON for people.
fn pretty(json: &str) -> String {
    let json = json.trim_end().trim_end_matches("<no newline at the end>");
    format!(
        "{:#}",
        serde_json::from_str::<serde_json::Value>(json).unwrap()
    )
}

#[test]
fn health_says_what_the_service_comes_to() {
    let status = |report: &Report| -> String {
        let mut out = String::new();
        Renderers::default()
            .get("health")
            .unwrap()
            .render(report, &mut out)
            .unwrap();
        out
    };
    assert_eq!(
        status(&Report::new([])),
        r#"{"status":"pass","notes":["no checks"],"checks":{}}"#
    );
    assert_eq!(
        status(&bare(troubled())),
        r#"{"status":"fail","output":"Not working"}"#
    );
    assert_eq!(
        status(&bare(Report::new([CheckReport::new("a")]))),
        r#"{"status":"pass"}"#
    );
    let mut row = CheckReport::failed("a", &ServiceUnavailable::new("m").into());
    (row.critical, row.fails_report) = (false, false);
    assert!(
        status(&Report::new([row]))
            .starts_with(r#"{"status":"warn","output":"Working, with 1 problem","#)
    );
}

fn verbose(report: &Report) -> String {
    let mut out = String::new();
    Text.render_verbose(report, &mut out).unwrap();
    out
}

#[test]
fn verbose_text() {
    insta::assert_snapshot!("verbose-troubled", verbose(&troubled()));
    assert_eq!(verbose(&bare(troubled())), "health check failed\n");
    assert_eq!(
        verbose(&Report::new([])),
        "no checks\nhealth check passed\n"
    );
    let mut late = CheckReport::failed("a", &ServiceWarning::new("late").into());
    late.fails_report = false;
    let mut report = Report::new([late]);
    (report.group, report.unknown_excludes) =
        (Some("ready".into()), vec!["x".into(), "\"\n".into()]);
    let warning = r#"warn: some health checks cannot be excluded: no matches for "x","\"\n""#;
    assert_eq!(
        verbose(&report),
        format!("[+]a ok: warning: late\n{warning}\nready check passed\n")
    );
}

#[test]
fn json_is_valid_and_says_the_same() {
    let report = troubled();
    let mut json = String::new();
    Renderers::default()
        .get("json")
        .unwrap()
        .render(&report, &mut json)
        .unwrap();
    let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
    for check in &report.checks {
        assert_eq!(parsed[&check.identifier], check.pretty_status());
    }
}

#[test]
fn no_format_says_what_is_for_the_log_only() {
    for format in Renderers::default().formats() {
        let shown = render(format, &troubled());
        assert!(
            !shown.contains("for the log only") && !shown.contains("10.0.0.5"),
            "{shown}"
        );
    }
}

#[test]
fn the_page_escapes_what_checks_say_and_loads_nothing() {
    let page = render("html", &troubled());
    assert!(
        page.contains("two &lt;b&gt;") && !page.contains("<b>") && !page.contains("<these>"),
        "{page}"
    );
    for foreign in ["http://", "https://", "src=", "<script", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} in {page}");
    }
    assert!(page.contains(r#"<meta name="robots" content="noindex">"#));
}
