//! Checks that a provider's status page has no open incident.
//!
//! ```
//! use health_checks::StatusPage;
//! use health_core::{CheckExt, Health};
//!
//! let git = StatusPage::new("https://status.example.com/api/v2/summary.json")
//!     .component("Git Operations");
//! let health = Health::builder().check(git.named("git hosting")).build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use health_core::{
    BoxCheck, FailureKind, Findings, HealthCheck, Result, ResultExt as _, Secret,
    ServiceReturnedUnexpectedResult, ServiceUnavailable, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured, TlsSettings};
use crate::support::http::{self, Body, Target, describe};
use crate::support::tls::Tls;

/// The default TTL. The page belongs to someone else, and rarely changes.
const TTL: Duration = Duration::from_mins(1);

/// The maximum number of characters of the provider's text that are shown.
const MOST: usize = 120;

/// The words by which an entry of a feed says that its incident is over.
const CLOSED: [&[&str]; 5] = [
    &["resolved"],
    &["completed"],
    &["closed"],
    &["operating", "normally"],
    &["mitigated"],
];

/// The words with which the words above say that it is not over: `not yet resolved`,
/// `until it is resolved`.
const STILL_OPEN: [&str; 12] = [
    "be",
    "being",
    "mostly",
    "never",
    "not",
    "once",
    "partially",
    "partly",
    "some",
    "temporarily",
    "until",
    "when",
];

/// The words by which an entry says that a maintenance was announced.
const ANNOUNCED: [&str; 3] = ["this is a scheduled event", "scheduled - ", "scheduled: "];

/// The words by which it says that the maintenance has begun.
const BEGUN: [&str; 7] = [
    "in progress",
    "under way",
    "underway",
    "has begun",
    "has started",
    "is being performed",
    "verifying",
];

/// The words of a title that announces a maintenance.
const MAINTENANCE: [&str; 3] = ["maintenance", "planned", "scheduled"];

/// The longest that a date of an incident may lie ahead: dates with a wrong time zone do.
const AHEAD: Duration = Duration::from_hours(14);

/// Reads a provider's status page, and warns while an incident is open.
///
/// The page is Atlassian's `summary.json`, or a feed of incidents (RSS or Atom). In a feed, an
/// incident is open if its newest entry is at most `max_age` old, and does not say that it is
/// resolved. Entries belong to one incident if their titles are the same without a prefix such as
/// `[RESOLVED]`, or their ids without a time at the end. A maintenance is open once it has begun.
#[derive(Debug, Clone)]
pub struct StatusPage {
    /// `Err` if the URL is invalid. Each run reports that.
    target: Result<Target, Misconfigured>,
    url: Secret,
    components: Vec<String>,
    max_age: Duration,
    tls: Tls,
}

/// The keys of kind `status_page`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StatusPageSettings {
    /// The URL of the page: `https://.../api/v2/summary.json` of an Atlassian page, or of an RSS or
    /// Atom feed.
    #[cfg_attr(feature = "config", schemars(with = "String"))]
    pub url: Secret,
    /// The components to check, by their names on the page. In a feed, only entries that contain
    /// one of the names are checked. Without any, the whole page is checked.
    #[serde(default)]
    pub components: Vec<String>,
    /// The age at which an entry of a feed is over, whatever it says.
    #[serde(default = "a_day", with = "health_core::serde_duration")]
    #[cfg_attr(
        feature = "config",
        schemars(
            with = "crate::support::duration::DurationSchema",
            default = "a_day_text"
        )
    )]
    pub max_age: Duration,
}

fn a_day() -> Duration {
    Duration::from_hours(24)
}

#[cfg(feature = "config")]
fn a_day_text() -> String {
    "24h".into()
}

impl CheckSettings for StatusPageSettings {
    const KIND: &'static str = "status_page";
    const SUMMARY: &'static str = "open incidents of a provider's status page";
    const SERVERS: &'static [&'static str] = &["url"];
    const TLS: &'static [&'static str] = TlsSettings::ALL;

    fn url_mut(&mut self) -> Option<&mut Secret> {
        Some(&mut self.url)
    }

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        self.checks_over(TlsSettings::default())
    }

    fn checks_over(self, tls: TlsSettings) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.max_age.is_zero() {
            return Err(Misconfigured::new(
                "max_age",
                "expected more than 0: every entry is older",
            ));
        }
        if self.components.iter().any(|name| name.trim().is_empty()) {
            return Err(Misconfigured::new(
                "components",
                "expected names of components",
            ));
        }
        let mut check = StatusPage::new(self.url);
        check.target = Ok(check.target?);
        (check.components, check.max_age) = (self.components, self.max_age);
        Ok(vec![BoxCheck::new(check.tls(tls)?)])
    }
}

impl StatusPage {
    /// Creates a check of a status page: Atlassian's `summary.json`, or an RSS or Atom feed.
    pub fn new(url: impl Into<Secret>) -> Self {
        let url = url.into();
        Self {
            target: Target::read(&url),
            url,
            components: Vec::new(),
            max_age: a_day(),
            tls: Tls::default(),
        }
    }

    /// Adds a component to check, or a group of components, by its name on the page. In a feed,
    /// only entries that contain one of the names are checked. *Default*: the whole page is
    /// checked.
    #[must_use]
    pub fn component(mut self, name: impl Into<String>) -> Self {
        self.components.push(name.into());
        self
    }

    /// Sets the age at which an entry of a feed is ignored, whatever it says. *Default*: 24 hours.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    /// Sets the TLS settings. *Default*: trusts the certificates of the system.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid, or if the URL does not use TLS.
    pub fn tls(mut self, tls: TlsSettings) -> Result<Self, Misconfigured> {
        tls.needs(
            self.target
                .as_ref()
                .is_ok_and(|target| target.url.scheme() == "https"),
        )?;
        self.tls = tls.into();
        Ok(self)
    }

    async fn read(&self) -> Result<Body> {
        let target = self.target.as_ref().map_err(|wrong| {
            let unusable = ServiceUnavailable::new("the URL can't be used")
                .with_kind(FailureKind::Misconfigured);
            unusable.with_source(wrong.clone())
        })?;
        let request = target.client(&self.tls)?.get(target.url.clone());
        let mut response = request.send().await.map_err(describe)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(ServiceReturnedUnexpectedResult::new(format!(
                "answered with {status} instead of 200"
            ))
            .into());
        }
        http::body(&mut response).await
    }

    /// Returns the open incidents of an Atlassian page.
    fn of_summary(&self, body: &[u8]) -> Result<Vec<String>> {
        let page: Summary = serde_json::from_slice(body)
            .map_err(|error| ServiceReturnedUnexpectedResult::new(NO_PAGE).with_source(error))?;
        if self.components.is_empty() {
            let open = page
                .incidents
                .iter()
                .filter(|incident| incident.is_open())
                .map(|incident| shown(&incident.name));
            let mut open: Vec<_> = open.collect();
            if page.status.indicator != "none" && open.is_empty() {
                open.push(shown(&page.status.description));
            }
            return Ok(open);
        }
        let mut open = Vec::new();
        for component in page.watched(&self.components)? {
            if component.status != "operational" {
                open.push(shown(&format!(
                    "{}: {}",
                    component.name,
                    component.status.replace('_', " ")
                )));
            }
            let incidents = page
                .incidents
                .iter()
                .filter(|incident| incident.is_open() && incident.is_of(component));
            for title in incidents.map(|incident| shown(&incident.name)) {
                if !open.contains(&title) {
                    open.push(title); // an incident of two components counts once
                }
            }
        }
        Ok(open)
    }

    /// Returns the open incidents of a feed.
    fn of_feed(&self, body: &[u8]) -> Result<Vec<String>> {
        let feed = feed_rs::parser::parse(body)
            .map_err(|error| ServiceReturnedUnexpectedResult::new(NO_PAGE).with_source(error))?;
        let mut entries: Vec<Entry> = feed.entries.into_iter().filter_map(Entry::of).collect();
        entries.sort_by_key(|entry| Reverse(entry.at)); // stable: of one time, the first in the feed
        let now = SystemTime::now();
        let mut seen = BTreeSet::new();
        let mut open = Vec::new();
        for entry in entries {
            if entry.is_announced(now) {
                continue;
            }
            // Only the newest entry of an incident says how it is.
            let is_older = entry.incident.iter().any(|name| seen.contains(name));
            seen.extend(entry.incident.iter().cloned());
            let age = now.duration_since(entry.at).unwrap_or_default();
            if is_older || age >= self.max_age || is_closed(&entry.text) {
                continue;
            }
            let matters = |name: &String| entry.text.contains(&name.to_lowercase());
            if self.components.is_empty() || self.components.iter().any(matters) {
                open.push(shown(&entry.title));
            }
        }
        Ok(open)
    }
}

/// An entry of a feed.
struct Entry {
    at: SystemTime,
    title: String,
    /// All of it, in lower case.
    text: String,
    /// The names by which other entries of the same incident are found.
    incident: Vec<String>,
}

impl Entry {
    /// Returns `None` for an entry without a date, because it may be as old as the feed.
    fn of(entry: feed_rs::model::Entry) -> Option<Self> {
        let at = entry.updated.or(entry.published).map(SystemTime::from)?;
        let title = entry.title.map(|title| title.content).unwrap_or_default();
        let summary = entry.summary.map(|summary| summary.content);
        let content = entry.content.and_then(|content| content.body);
        let texts = [Some(title.clone()), summary, content];
        let texts: Vec<String> = texts.into_iter().flatten().collect();
        let topic = topic(&title);
        let names = [stem(&entry.id), Some(topic)].into_iter().flatten();
        Some(Self {
            at,
            text: texts.join(" ").to_lowercase(),
            incident: names.filter(|name| !name.is_empty()).collect(),
            title,
        })
    }

    /// Returns `true` if it announces a maintenance that has not begun.
    fn is_announced(&self, now: SystemTime) -> bool {
        let has = |words: &[&str]| words.iter().any(|word| self.text.contains(word));
        let ahead = self.at.duration_since(now).unwrap_or_default();
        let title = self.title.to_lowercase();
        let is_maintenance = MAINTENANCE.iter().any(|word| title.contains(word));
        ahead > AHEAD
            || !ahead.is_zero() && is_maintenance
            || has(&ANNOUNCED) && !has(&BEGUN) && !is_closed(&self.text)
    }
}

/// Returns the title of an incident without what one of its entries adds: `[RESOLVED] Errors` and
/// `Update: Errors` are about `errors`.
fn topic(title: &str) -> String {
    let mut topic = title.trim().to_lowercase();
    while let Some((_, rest)) = topic
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        topic = rest.trim().to_owned();
    }
    for word in [
        "resolved",
        "update",
        "monitoring",
        "identified",
        "investigating",
        "completed",
    ] {
        let rest = topic
            .strip_prefix(word)
            .and_then(|rest| rest.strip_prefix(':').or_else(|| rest.strip_prefix(" -")));
        if let Some(rest) = rest {
            topic = rest.trim().to_owned();
        }
    }
    topic
}

/// Returns the id of an entry without the time at its end, such as
/// `https://status.test/#storage_1600000000`, which differs in each entry of an incident.
fn stem(id: &str) -> Option<String> {
    let (stem, time) = id.rsplit_once(['_', '-'])?;
    let is_time = (9..=13).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit());
    is_time.then(|| stem.to_owned())
}

/// Returns `true` if the lower-case text of an entry says that its incident is over.
fn is_closed(text: &str) -> bool {
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    (0..words.len()).any(|at| {
        let says = CLOSED.iter().any(|closed| words[at..].starts_with(closed));
        says && !words[at.saturating_sub(3)..at]
            .iter()
            .any(|word| STILL_OPEN.contains(word))
    })
}

const NO_PAGE: &str = "what answers there is neither a status page nor a feed";

impl HealthCheck for StatusPage {
    async fn check_status(&self, findings: &Findings) -> Result {
        findings.conceal(&self.url);
        let body = self.read().await?;
        let body = body.whole()?;
        let is_json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let open = if is_json {
            self.of_summary(body)?
        } else {
            self.of_feed(body)?
        };
        findings.observe(
            "open_incidents",
            u32::try_from(open.len()).or_unknown()?,
            Unit::Count,
        );
        for incident in open {
            findings.add_error(ServiceWarning::new(incident));
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "StatusPage".into()
    }

    fn default_ttl(&self) -> Option<Duration> {
        Some(TTL)
    }

    fn measures(&self) -> bool {
        true
    }
}

/// Returns a text of the provider on one line, cut to `MOST` characters.
fn shown(text: &str) -> String {
    let mut text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text = text.trim().to_owned();
    if text.is_empty() {
        return "an incident without a title".into();
    }
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The part of Atlassian's `summary.json` that is read.
#[derive(Deserialize)]
struct Summary {
    status: Overall,
    #[serde(default)]
    components: Vec<Component>,
    #[serde(default)]
    incidents: Vec<Incident>,
}

#[derive(Deserialize)]
struct Overall {
    indicator: String,
    description: String,
}

#[derive(Deserialize)]
struct Component {
    #[serde(default)]
    id: String,
    name: String,
    status: String,
    /// The ID of the group that the component is in.
    #[serde(default)]
    group_id: Option<String>,
}

#[derive(Deserialize)]
struct Incident {
    name: String,
    status: String,
    /// The components that the incident affects.
    #[serde(default)]
    components: Vec<Component>,
}

impl Summary {
    /// Returns the components with these names. A group of the page stands for its members.
    fn watched(&self, names: &[String]) -> Result<Vec<&Component>> {
        let mut watched = Vec::new();
        for name in names {
            let Some(found) = self
                .components
                .iter()
                .find(|component| component.name.trim() == name.trim())
            else {
                let text = format!("the page has no component {name:?}");
                return Err(ServiceReturnedUnexpectedResult::new(text)
                    .with_kind(FailureKind::NotFound)
                    .into());
            };
            let is_member = |component: &&Component| component.group_id.as_ref() == Some(&found.id);
            let members = self.components.iter().filter(is_member);
            match members.clone().next() {
                Some(_) => watched.extend(members),
                None => watched.push(found),
            }
        }
        Ok(watched)
    }
}

impl Incident {
    fn is_of(&self, component: &Component) -> bool {
        self.components
            .iter()
            .any(|affected| affected.name == component.name)
    }

    fn is_open(&self) -> bool {
        !["resolved", "postmortem", "completed"].contains(&self.status.as_str())
    }
}
