use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use quick_xml::escape::escape;
use serde::Serialize;

use super::outcome::verdict;
use super::{Renderer, feed};
use crate::Report;

/// `rss`: the feed of [`Atom`](super::Atom) as
/// [RSS 2.0](https://www.rssboard.org/rss-specification). The status code is always 200.
#[derive(Debug, Clone, Default)]
pub struct Rss {
    link: Option<Cow<'static, str>>,
}

impl Rss {
    /// Sets the URL of the page that the feed and its items link to. It must not contain the token.
    /// *Default*: `?format=html`, which is relative to the feed's own URL. Strict readers need an
    /// absolute URL.
    #[must_use]
    pub fn link(mut self, url: impl Into<Cow<'static, str>>) -> Self {
        self.link = Some(url.into());
        self
    }
}

impl Renderer for Rss {
    fn format(&self) -> &'static str {
        "rss"
    }

    fn media_types(&self) -> &[&str] {
        &["application/rss+xml"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        let link = self.link.as_deref().unwrap_or(feed::PAGE);
        let channel = Channel {
            title: feed::title(report),
            link,
            description: verdict(report),
            generator: feed::AUTHOR,
            last_build_date: time(feed::updated(report)),
            item: feed::entries(report)
                .iter()
                .map(|entry| Item::new(entry, link))
                .collect(),
        };
        feed::write_xml(
            &Document {
                version: "2.0",
                channel,
            },
            out,
        )
    }

    fn always_ok(&self) -> bool {
        true
    }
}

#[derive(Serialize)]
#[serde(rename = "rss")]
struct Document<'a> {
    #[serde(rename = "@version")]
    version: &'static str,
    channel: Channel<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Channel<'a> {
    title: String,
    link: &'a str,
    description: String,
    generator: &'static str,
    last_build_date: String,
    item: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    title: String,
    link: &'a str,
    description: String,
    category: [&'static str; 2],
    guid: Guid,
    pub_date: String,
}

#[derive(Serialize)]
struct Guid {
    #[serde(rename = "@isPermaLink")]
    is_link: bool,
    #[serde(rename = "$text")]
    id: String,
}

impl<'a> Item<'a> {
    fn new(entry: &feed::Entry<'_>, link: &'a str) -> Self {
        // A description is HTML inside of the XML, so the text of a check is escaped once more.
        let lines: Vec<String> = entry
            .row
            .pretty_status()
            .lines()
            .map(|line| escape(line).into_owned())
            .collect();
        Self {
            title: entry.title(),
            link,
            description: lines.join("<br>"),
            category: entry.categories(),
            guid: Guid {
                is_link: false,
                id: entry.id(),
            },
            pub_date: time(entry.date),
        }
    }
}

/// Formats a time as in RFC 2822, which differs from HTTP's format only in the zone.
fn time(time: SystemTime) -> String {
    httpdate::fmt_http_date(time).replace("GMT", "+0000")
}
