//! Tests `status_page` against handwritten pages in the formats of three providers. Each server is
//! a fake that answers one request.

#![cfg(all(feature = "config", feature = "status_page", feature = "rustls-ring"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, SystemTime};

use health_checks::config::{Config, Options};
use health_core::CheckReport;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Answers every request with this body.
async fn answering(status: &str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _request = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

async fn row(url: &str, keys: &str) -> CheckReport {
    let text = format!("[[checks]]\nkind = \"status_page\"\nurl = \"{url}\"\n{keys}");
    let health = Config::from_text("test.toml", &text, &|_| None, &Options::default())
        .unwrap()
        .build()
        .unwrap();
    health.report().await.checks[0].clone()
}

async fn says(body: impl Into<String>, keys: &str) -> String {
    row(&answering("200 OK", body.into()).await, keys)
        .await
        .pretty_status()
}

fn summary(indicator: &str, description: &str, components: &str, incidents: &str) -> String {
    format!(
        r#"{{"page": {{"id": "p1", "name": "Forge", "url": "https://status.forge.test"}},
            "status": {{"indicator": "{indicator}", "description": "{description}"}},
            "components": [{components}], "incidents": [{incidents}], "scheduled_maintenances": []}}"#
    )
}

fn component(name: &str, status: &str) -> String {
    format!(
        r#"{{"id": "c", "name": "{name}", "status": "{status}", "position": 1, "only_show_if_degraded": false}}"#
    )
}

#[tokio::test]
async fn a_group_stands_for_its_components_and_an_incident_for_those_that_it_affects() {
    let member = |name: &str, status: &str| {
        format!(
            r#"{{"id": "{name}", "name": "{name}", "status": "{status}", "group_id": "g", "group": false}}"#
        )
    };
    let group = r#"{"id": "g", "name": "Europe", "status": "partial_outage", "group_id": null, "group": true}"#;
    let components = [
        group.to_owned(),
        member("Paris", "operational"),
        member("Berlin", "major_outage"),
        component("Git", "operational"),
    ];
    let affected = component("Git", "operational");
    let incident = format!(
        r#"{{"id": "i", "name": "Pushes fail", "status": "monitoring", "components": [{affected}]}}"#
    );
    let page = summary(
        "major",
        "Partial System Outage",
        &components.join(", "),
        &incident,
    );
    assert_eq!(
        says(page.clone(), "components = [\"Europe\"]").await,
        "warning: Berlin: major outage"
    );
    assert_eq!(
        says(page.clone(), "components = [\"Paris\"]").await,
        "working"
    );
    assert_eq!(
        says(page, "components = [\"Git\"]").await,
        "warning: Pushes fail"
    );
}

#[tokio::test]
async fn a_page_with_a_summary() {
    let good = [
        component("Git", "operational"),
        component("Pages", "operational"),
    ]
    .join(", ");
    let fine = summary("none", "All Systems Operational", &good, "");
    assert_eq!(says(fine.clone(), "").await, "working");
    assert_eq!(
        says(fine.clone(), "components = [\"Git\"]").await,
        "working"
    );
    let bad = [
        component("Git", "partial_outage"),
        component("Pages", "operational"),
    ]
    .join(", ");
    let incident =
        r#"{"id": "i", "name": "Pushes fail", "status": "investigating", "impact": "major"}"#;
    let over = r#"{"id": "j", "name": "Yesterday", "status": "postmortem", "impact": "minor"}"#;
    let broken = summary(
        "major",
        "Partial System Outage",
        &bad,
        &format!("{incident}, {over}"),
    );
    assert_eq!(says(broken.clone(), "").await, "warning: Pushes fail");
    assert_eq!(
        says(broken.clone(), "components = [\"Git\"]").await,
        "warning: Git: partial outage"
    );
    assert_eq!(
        says(broken, "components = [\"Pages\"]").await,
        "working",
        "another component is none of ours"
    );
    let unsaid = summary("minor", "Minor Service Outage", &bad, over);
    assert_eq!(says(unsaid, "").await, "warning: Minor Service Outage");
    let unknown = says(fine, "components = [\"Gti\"]").await;
    assert_eq!(
        unknown,
        "unexpected result: the page has no component \"Gti\""
    );
}

/// Formats a time this long ago as RSS (RFC 2822) and Atom (RFC 3339) write it.
fn times(ago: Duration) -> (String, String) {
    let at = SystemTime::now() - ago;
    (
        httpdate::fmt_http_date(at),
        humantime::format_rfc3339_seconds(at).to_string(),
    )
}

fn rss(entries: &[(&str, &str, Duration)]) -> String {
    let item = |(title, text, ago): &(&str, &str, Duration)| {
        let (date, _) = times(*ago);
        format!(
            "<item><title>{title}</title><description><![CDATA[{text}]]></description><pubDate>{date}</pubDate><guid>{title}</guid></item>"
        )
    };
    let items: String = entries.iter().map(item).collect();
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Cloud status</title><link>https://cloud.test</link>\
         <description>Incidents</description>{items}</channel></rss>"
    )
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_feed_in_rss() {
    assert_eq!(says(rss(&[]), "").await, "working");
    let entries = [
        (
            "Elevated errors for queues (eu-west)",
            "We are investigating elevated errors.",
            2 * HOUR,
        ),
        (
            "Storage latency",
            "<b>Resolved</b> The latency is normal again.",
            3 * HOUR,
        ),
        ("An old outage", "We are investigating.", 50 * HOUR),
    ];
    let feed = rss(&entries);
    assert_eq!(
        says(feed.clone(), "").await,
        "warning: Elevated errors for queues (eu-west)"
    );
    assert_eq!(
        says(feed.clone(), "components = [\"us-east\"]").await,
        "working"
    );
    assert_eq!(
        says(feed.clone(), "components = [\"us-east\", \"EU-West\"]").await,
        "warning: Elevated errors for queues (eu-west)"
    );
    assert_eq!(says(feed.clone(), "max_age = \"1h\"").await, "working");
    let both = "warning: Elevated errors for queues (eu-west)\nwarning: An old outage";
    assert_eq!(says(feed, "max_age = \"72h\"").await, both);
}

#[tokio::test]
async fn a_feed_in_atom() {
    let entry = |title: &str, text: &str, ago: Duration| {
        let (_, date) = times(ago);
        format!(
            "<entry><id>tag:net.test,2026:{title}</id><title>{title}</title><updated>{date}</updated>\
             <content type=\"html\">{text}</content></entry>"
        )
    };
    let feed = |entries: String| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"><id>tag:net.test</id>\
             <title>Net status</title><updated>2026-01-01T00:00:00Z</updated>{entries}</feed>"
        )
    };
    let open = entry("Packet loss", "Identified: a router fails.", HOUR / 2);
    let closed = entry(
        "Slow console",
        "Resolved - it is fast again. Investigating - it is slow.",
        HOUR,
    );
    assert_eq!(says(feed(closed.clone()), "").await, "working");
    let row = row(&answering("200 OK", feed(open + &closed)).await, "").await;
    assert_eq!(row.pretty_status(), "warning: Packet loss");
    assert!(
        (row.observations[0].value - 1.0).abs() < f64::EPSILON,
        "{row:?}"
    );
}

/// Some providers write an entry for each change of an incident.
#[tokio::test]
async fn the_newest_entry_of_an_incident_in_a_feed_decides() {
    let item = |title: &str, id: &str, text: &str, ago: Duration| {
        let (date, _) = times(ago);
        format!(
            "<item><title>{title}</title><guid>https://cloud.test/#{id}</guid><pubDate>{date}</pubDate>\
             <description>{text}</description></item>"
        )
    };
    let feed = |items: &[String]| {
        let items = items.concat();
        format!("<rss version=\"2.0\"><channel><title>Cloud</title>{items}</channel></rss>")
    };
    let first = item(
        "Service disruption: storage",
        "storage_1600000000",
        "Investigating",
        3 * HOUR,
    );
    let over = item(
        "[RESOLVED] Error rates",
        "storage_1600007200",
        "It works again.",
        HOUR,
    );
    assert_eq!(
        says(feed(&[over.clone(), first.clone()]), "").await,
        "working",
        "by its id"
    );
    assert_eq!(
        says(feed(&[first.clone(), over]), "").await,
        "working",
        "in whichever order"
    );
    let other = item(
        "Service disruption: queues",
        "queues_1600000000",
        "Investigating",
        HOUR / 2,
    );
    assert_eq!(
        says(feed(&[other.clone(), first]), "")
            .await
            .lines()
            .count(),
        2
    );
    let other_over = item(
        "[RESOLVED] Service disruption: queues",
        "7",
        "It works.",
        HOUR / 4,
    );
    assert_eq!(
        says(feed(&[other_over, other.clone()]), "").await,
        "working",
        "by its title"
    );
    let again = item(
        "Update: Service disruption: queues",
        "8",
        "It fails again.",
        HOUR / 8,
    );
    let says = says(feed(&[again, other]), "").await;
    assert_eq!(says, "warning: Update: Service disruption: queues", "once");
}

#[tokio::test]
async fn a_maintenance_in_a_feed_is_open_once_it_has_begun() {
    let dated = |title: &str, text: &str, at: SystemTime| {
        let date = httpdate::fmt_http_date(at);
        format!(
            "<rss version=\"2.0\"><channel><title>C</title><item><title>{title}</title><guid>1</guid>\
             <pubDate>{date}</pubDate><description>{text}</description></item></channel></rss>"
        )
    };
    let now = SystemTime::now();
    let announced = "THIS IS A SCHEDULED EVENT Dec 5, 02:00 - 04:00 UTC Scheduled - A switch.";
    let begun = "THIS IS A SCHEDULED EVENT Dec 5. In progress - It is. Scheduled - A switch.";
    let over = "THIS IS A SCHEDULED EVENT Dec 5. Completed - It is. In progress - It is.";
    for (title, text, at, is_open) in [
        (
            "Network maintenance",
            "We replace a switch.",
            now + 48 * HOUR,
            false,
        ),
        (
            "Network maintenance",
            "We replace a switch.",
            now + HOUR,
            false,
        ),
        ("Network", announced, now - HOUR, false),
        ("Network", begun, now - HOUR, true),
        ("Network", over, now - HOUR, false),
        ("Errors", "Investigating", now + 2 * HOUR, true),
        (
            "Errors",
            "The issue is partially resolved.",
            now - HOUR,
            true,
        ),
    ] {
        let said = says(dated(title, text, at), "").await;
        assert_eq!(said != "working", is_open, "{title} {text}: {said}");
    }
}

/// A word that only contains one of the words for the end of an incident, or negates it, does not
/// end it.
#[tokio::test]
async fn an_entry_of_a_feed_is_read_word_by_word() {
    for (text, is_open) in [
        ("The problem is unresolved.", true),
        ("A vulnerability was disclosed.", true),
        ("The problem is not yet resolved.", true),
        ("We keep you posted until it is resolved.", true),
        ("It will be resolved tomorrow.", true),
        (
            "<p><strong>Resolved</strong> - It works.</p><p>Investigating - It is not resolved.</p>",
            false,
        ),
        ("It has been resolved.", false),
        ("All systems are operating normally.", false),
    ] {
        let feed = rss(&[("Packet loss", text, Duration::from_mins(1))]);
        let said = says(feed, "").await;
        assert_eq!(said == "warning: Packet loss", is_open, "{text}: {said}");
        assert_eq!(said == "working", !is_open, "{text}: {said}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_parsed_is_an_error() {
    let long = format!("{{{}", " ".repeat(1024 * 1024));
    assert_eq!(
        says(long, "").await,
        "unexpected result: the body is longer than 1 MB"
    );
}

#[tokio::test]
async fn a_body_that_is_no_status_page_is_an_error_and_a_long_title_is_cut() {
    let no_page = "unexpected result: what answers there is neither a status page nor a feed";
    for body in [
        "",
        "<html><body>Hello</body></html>",
        "{}",
        "{\"status\": \"ok\"}",
        "[1]",
        "{\"a\"",
        "\u{0}\u{1}",
    ] {
        assert_eq!(says(body, "").await, no_page, "{body}");
    }
    let moved = row(&answering("301 Moved Permanently", String::new()).await, "").await;
    assert_eq!(
        moved.pretty_status(),
        "unexpected result: answered with 301 instead of 200"
    );
    let long = "x".repeat(5000);
    let incident = format!(r#"{{"name": "{long}\u001b[31m", "status": "identified"}}"#);
    let cut = says(summary("major", "d", "", &incident), "").await;
    assert_eq!(cut, format!("warning: {}…", "x".repeat(120)));
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        row(&format!("http://{free}/"), "").await.pretty_status(),
        "unavailable: connection refused"
    );
}

#[test]
fn what_can_not_be_is_refused_by_name() {
    for (keys, message) in [
        ("url = \"ftp://a/\"", "checks[1].url: expected a URL"),
        (
            "url = \"https://a/\"\nmax_age = 0",
            "checks[1].max_age: expected more than 0",
        ),
        (
            "url = \"https://a/\"\ncomponents = [\" \"]",
            "checks[1].components: expected names",
        ),
        (
            "url = \"http://a/\"\nca_file = \"/x\"",
            "checks[1].ca_file: the URL does not use TLS",
        ),
    ] {
        let text = format!("[[checks]]\nkind = \"status_page\"\n{keys}");
        let error = Config::from_text("test.toml", &text, &|_| None, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{keys}: {error}");
    }
}
