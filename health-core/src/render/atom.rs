use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use super::outcome::verdict;
use super::{Renderer, feed};
use crate::Report;

/// `atom`: an [Atom feed](https://www.rfc-editor.org/rfc/rfc4287) with an entry for each check that
/// is not working. The status code is always 200.
///
/// The id and the date of an entry are those of the check's transition to its status, so a feed
/// reader shows a failure once, however long it lasts.
///
/// ```
/// use health_core::{Atom, Health};
/// let health = Health::builder()
///     .renderer(Atom::default().link("https://shop.example/ht/"))
///     .build()
///     .unwrap();
/// # let _ = health;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Atom {
    link: Option<Cow<'static, str>>,
}

impl Atom {
    /// Sets the URL of the page that the feed and its entries link to. It also distinguishes the
    /// feed's id from those of other services. It must not contain the token. *Default*:
    /// `?format=html`, relative to the feed's own URL.
    #[must_use]
    pub fn link(mut self, url: impl Into<Cow<'static, str>>) -> Self {
        self.link = Some(url.into());
        self
    }
}

impl Renderer for Atom {
    fn format(&self) -> &'static str {
        "atom"
    }

    fn media_types(&self) -> &[&str] {
        &["application/atom+xml"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        let link = self.link.as_deref();
        let page = Link {
            rel: "alternate",
            kind: "text/html",
            href: link.unwrap_or(feed::PAGE),
        };
        let own = Link {
            rel: "self",
            kind: "application/atom+xml",
            href: "?format=atom",
        };
        let title = feed::title(report);
        let document = Feed {
            xmlns: "http://www.w3.org/2005/Atom",
            id: feed::id(&format!("{}\n{title}", link.unwrap_or_default())),
            title,
            subtitle: verdict(report),
            updated: time(feed::updated(report)),
            author: Author { name: feed::AUTHOR },
            link: vec![own, page],
            entry: feed::entries(report)
                .iter()
                .map(|entry| Entry::new(entry, page))
                .collect(),
        };
        feed::write_xml(&document, out)
    }

    fn always_ok(&self) -> bool {
        true
    }
}

#[derive(Serialize)]
#[serde(rename = "feed")]
struct Feed<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: &'static str,
    id: String,
    title: String,
    subtitle: String,
    updated: String,
    author: Author,
    link: Vec<Link<'a>>,
    entry: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Author {
    name: &'static str,
}

#[derive(Clone, Copy, Serialize)]
struct Link<'a> {
    #[serde(rename = "@rel")]
    rel: &'static str,
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@href")]
    href: &'a str,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: String,
    title: String,
    published: String,
    updated: String,
    category: Vec<Category>,
    link: Link<'a>,
    content: Content,
}

#[derive(Serialize)]
struct Category {
    #[serde(rename = "@term")]
    term: &'static str,
}

#[derive(Serialize)]
struct Content {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "$text")]
    text: String,
}

impl<'a> Entry<'a> {
    fn new(entry: &feed::Entry<'_>, page: Link<'a>) -> Self {
        Self {
            id: entry.id(),
            title: entry.title(),
            published: time(entry.date),
            updated: time(entry.date),
            category: entry.categories().map(|term| Category { term }).into(),
            link: page,
            content: Content {
                kind: "text",
                text: entry.row.pretty_status(),
            },
        }
    }
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
