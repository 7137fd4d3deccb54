use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tera::{Context, Tera};

use super::Renderer;
use super::outcome::{because, problems, verdict};
use super::plot::{Meter, Plot};
use super::strip::Strip;
use super::words::{ago, brief, parts, time, tone};
use crate::registry::RESERVED;
use crate::report::ErrorReport;
use crate::{CheckReport, GroupReport, Report, Status, StatusChange};

/// The page that comes with the crate, and the name by which a template can always extend it.
const BASE: (&str, &str) = ("health_check/base.html", include_str!("base.html"));
/// The page that is shown, as in the original.
const INDEX: (&str, &str) = (
    "health_check/index.html",
    r#"{% extends "health_check/base.html" %}"#,
);
/// The name of a template that was given as a string.
const OWN: &str = "health_check/own.html";

/// `html`: the status page, a [Tera](https://keats.github.io/tera/) template.
///
/// The page is `health_check/index.html` with the blocks `title`, `extra_head` and `content`.
/// Replace or extend it:
///
/// ```
/// use health_core::{Health, Html};
///
/// let page = Html::from_string(
///     r#"
///     {% extends "health_check/index.html" %}
///     {% block title %}Orders: {{ verdict }}{% endblock title %}
/// "#,
/// )?;
/// let health = Health::builder().renderer(page).build().unwrap();
/// # Ok::<(), health_core::TemplateError>(())
/// ```
///
/// # Variables
///
/// | name | value |
/// |---|---|
/// | `verdict` | `All systems working`, `Working, with 1 problem`, `2 of 6 failing`, ... |
/// | `problems` | the number of rows that are not working, whether they fail the report or not |
/// | `healthy` | `true` if no row fails the report |
/// | `status` | the worst status of the critical checks: `working`, `warning`, `unknown`, `unavailable` |
/// | `redacted` | `true` if the reader may see the verdict only; `checks` is empty then |
/// | `group` | the group's name, or none |
/// | `notice` | a message for every reader, or none |
/// | `instance`, `version` | the process that answers, and the release that it runs, or none |
/// | `sections` | the rows again, in parts: each with a `title` (`Failing`, `Problems that don't count`, `Working`) and `checks` |
/// | `generated_at`, `duration` | time of the response (RFC 3339, UTC); how long the reader waited (`0.0040 seconds`) |
/// | `because` | the checks that fail the report, each with its kind of failure, or none |
/// | `in_groups` | the verdict of each group: `name`, `healthy`, and the names in `failing` and `held` |
/// | `grpc_services` | the services of the gRPC health protocol, ready to be shown: `orders.v1.Orders (ready)` |
/// | `checks` | the rows, failing ones first and blocked ones below their cause, each with: |
/// | `identifier`, `status`, `raw_status` | name; effective status; status of the last run |
/// | `tone` | the status as a class of the page's style: `good`, `fair`, `open`, `bad`. The style contains no name of a status, so that a monitor that searches the page for one only finds it if a check has it |
/// | `errors` | each with `message_type`, `message` and `reference` (log reference or none) |
/// | `lines` | `working`, or the errors as `{type}: {message}` |
/// | `observations` | `name = value unit`, ready to be shown |
/// | `critical`, `fails_report`, `stale` | `true` if it is critical; if it fails the report; if it shows an older verdict |
/// | `held`, `counts_at` | `true` if the group holds the row; the time (RFC 3339, UTC) from which it counts, or none |
/// | `duration`, `last_run`, `since` | as `0.0040 seconds`; times (RFC 3339, UTC); none before the first run |
/// | `took`, `age`, `for_how_long` | the same for people: `12 ms`, `3 s ago`, `5 min`; none before the first run |
/// | `blocked_by`, `below_cause` | the check that is the cause, or none; `true` if this row is below it |
/// | `parts` | a long identifier in pieces, between which a line may break; a short one as it is |
/// | `strip` | its last runs, or none: `summary` in words, `width`, `height`, `bars` of `x`, `y`, `height`, `status`, `tone` |
/// | `groups`, `labels` | names of its groups; its labels, name and value |
/// | `meters` | the observations with a limit: `name`, `summary`, `width` of `track`, `tone` |
/// | `plot` | the latency of the last hour, or none: `summary`, `width`, `height`, `points` of a line |
/// | `link` | the URL of a page that shows only this check; none for a row of the engine itself |
/// | `changes` | the last changes of its status, the newest first: `at`, `age`, `from` (or none), `to`, `tone` |
/// | `origin` | where the verdict comes from, such as `3 replicas, seen by web-7`, or none |
///
/// Text from checks is escaped. A variable that does not exist is an error: it is logged, and the
/// reader gets the text format.
pub struct Html {
    tera: Tera,
    page: &'static str,
}

/// The error of an invalid template: what is wrong and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

impl Default for Html {
    fn default() -> Self {
        Self::with_templates(INDEX.0, &[]).expect("the page that comes with the crate is tested")
    }
}

impl Html {
    /// Creates the format with a page of your own, which extends `health_check/index.html` or is a
    /// whole page.
    ///
    /// # Errors
    /// Fails if the page is not a valid template.
    pub fn from_string(template: impl Into<String>) -> Result<Self, TemplateError> {
        Self::with_templates(OWN, &[(OWN.to_owned(), template.into())])
    }

    /// Creates the format with every `.html` file below a folder, named by its path within the
    /// folder. `health_check/index.html` replaces the page. It may extend `health_check/base.html`,
    /// which is the page that comes with the crate.
    ///
    /// # Errors
    /// Fails if the folder can't be read, or if a file in it is not a valid template.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self, TemplateError> {
        let mut templates = Vec::new();
        collect(dir.as_ref(), "", &mut templates).map_err(|error| {
            TemplateError(format!(
                "template folder {}: {error}",
                dir.as_ref().display()
            ))
        })?;
        Self::with_templates(INDEX.0, &templates)
    }

    fn with_templates(page: &'static str, own: &[(String, String)]) -> Result<Self, TemplateError> {
        let is_own = |name: &str| own.iter().any(|(own, _)| own == name);
        let shipped = [BASE, INDEX].into_iter().filter(|(name, _)| !is_own(name));
        let shipped = shipped.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let mut tera = Tera::default();
        tera.add_raw_templates(shipped.chain(own.iter().cloned()))
            .map_err(|error| TemplateError(error.to_string()))?;
        Ok(Self { tera, page })
    }
}

fn collect(dir: &Path, prefix: &str, templates: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = format!(
            "{prefix}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            collect(&path, &format!("{name}/"), templates)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            templates.push((name, std::fs::read_to_string(path)?));
        }
    }
    Ok(())
}

impl Renderer for Html {
    fn format(&self) -> &'static str {
        "html"
    }

    fn media_types(&self) -> &[&str] {
        &["text/html", "application/xhtml+xml"]
    }

    fn shows_ages(&self) -> bool {
        true
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        let page = Context::from_serialize(&Page::from(report))
            .and_then(|page| self.tera.render(self.page, &page));
        match page {
            Ok(page) => out.write_str(&page),
            Err(error) => {
                tracing::error!(%error, "the page's template fails");
                Err(fmt::Error)
            }
        }
    }
}

impl fmt::Debug for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Html")
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// The variables of a template: the report, with times and numbers as people read them.
#[derive(Serialize)]
struct Page<'a> {
    verdict: String,
    because: Option<String>,
    problems: usize,
    healthy: bool,
    status: Status,
    redacted: bool,
    group: Option<&'a str>,
    notice: Option<&'a str>,
    instance: Option<&'a str>,
    version: Option<&'a str>,
    in_groups: Vec<Group<'a>>,
    grpc_services: Vec<String>,
    sections: Vec<Section<'a>>,
    generated_at: String,
    duration: String,
    checks: Vec<Row<'a>>,
}

/// The verdict of a group.
#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    healthy: bool,
    failing: String,
    held: String,
}

impl<'a> Group<'a> {
    fn new(group: &'a GroupReport) -> Self {
        let failing = group.failing.join(", ");
        let held = group.held.join(", ");
        Self {
            name: &group.group,
            healthy: group.healthy,
            failing,
            held,
        }
    }
}

/// Formats a service, with its group if that has another name.
fn grpc_service((service, group): (&String, &String)) -> String {
    match service.as_str() {
        "" => format!("\"\" ({group})"),
        service if service == group => service.to_owned(),
        service => format!("{service} ({group})"),
    }
}

/// Rows of the same importance.
#[derive(Serialize)]
struct Section<'a> {
    title: &'static str,
    checks: Vec<Row<'a>>,
}

#[derive(Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a template asks for each by its name"
)]
struct Row<'a> {
    identifier: &'a str,
    status: Status,
    tone: &'static str,
    raw_status: Status,
    errors: &'a [ErrorReport],
    lines: Vec<String>,
    observations: Vec<String>,
    critical: bool,
    fails_report: bool,
    held: bool,
    counts_at: Option<String>,
    stale: bool,
    duration: Option<String>,
    last_run: Option<String>,
    since: Option<String>,
    took: Option<String>,
    age: Option<String>,
    for_how_long: Option<String>,
    strip: Option<Strip>,
    blocked_by: Option<&'a str>,
    below_cause: bool,
    parts: Vec<&'a str>,
    groups: &'a BTreeSet<String>,
    labels: &'a BTreeMap<String, String>,
    origin: Option<String>,
    meters: Vec<Meter>,
    plot: Option<Plot>,
    link: Option<String>,
    changes: Vec<Change>,
}

/// A change of a check's status, for people.
#[derive(Clone, Serialize)]
struct Change {
    at: String,
    age: String,
    from: Option<Status>,
    to: Status,
    tone: &'static str,
}

impl<'a> From<&'a Report> for Page<'a> {
    fn from(report: &'a Report) -> Self {
        let sections = sections(report);
        Self {
            verdict: verdict(report),
            because: because(report),
            in_groups: report.groups.iter().map(Group::new).collect(),
            grpc_services: report.grpc_services.iter().map(grpc_service).collect(),
            problems: problems(report),
            healthy: report.healthy,
            status: report.status,
            redacted: report.redacted,
            group: report.group.as_deref(),
            notice: report.notice.as_deref(),
            instance: report.instance.as_deref(),
            version: report.version.as_deref(),
            generated_at: time(report.generated_at),
            duration: seconds(report.duration),
            checks: sections
                .iter()
                .flat_map(|section| section.checks.clone())
                .collect(),
            sections,
        }
    }
}

/// Returns the rows in sections: those that fail the report, other problems, and those that work. A
/// cause comes before what it blocks, and the cause that blocks most comes first.
fn sections(report: &Report) -> Vec<Section<'_>> {
    let section = |check: &CheckReport| match check.status {
        _ if check.fails_report => 0,
        Status::Working => 2,
        _ => 1,
    };
    let mut blocks = BTreeMap::new();
    for cause in report
        .checks
        .iter()
        .filter_map(|check| check.blocked_by.as_deref())
    {
        *blocks.entry(cause).or_insert(0) += 1;
    }
    let mut sections = Vec::new();
    for (position, title) in ["Failing", "Problems that don't count", "Working"]
        .into_iter()
        .enumerate()
    {
        let mut checks: Vec<&CheckReport> = report
            .checks
            .iter()
            .filter(|check| section(check) == position)
            .collect();
        checks.sort_by_key(|check| {
            let cause = check.blocked_by.as_deref().unwrap_or(&check.identifier);
            let is_blocked = check.blocked_by.is_some();
            (
                Reverse(check.status),
                Reverse(blocks.get(cause).copied().unwrap_or(0)),
                cause,
                is_blocked,
            )
        });
        if !checks.is_empty() {
            let names: BTreeSet<_> = checks
                .iter()
                .map(|check| check.identifier.as_str())
                .collect();
            let is_below = |check: &CheckReport| {
                check
                    .blocked_by
                    .as_ref()
                    .is_some_and(|cause| names.contains(cause.as_str()))
            };
            let row = |check| Row::new(check, is_below(check), report.generated_at);
            sections.push(Section {
                title,
                checks: checks.into_iter().map(row).collect(),
            });
        }
    }
    sections
}

impl<'a> Row<'a> {
    fn new(check: &'a CheckReport, below_cause: bool, now: SystemTime) -> Self {
        Self {
            identifier: &check.identifier,
            status: check.status,
            tone: tone(check.status),
            raw_status: check.raw_status,
            errors: &check.errors,
            lines: check.pretty_status().lines().map(str::to_owned).collect(),
            observations: check
                .observations
                .iter()
                .map(|seen| format!("{} = {seen}", seen.name))
                .collect(),
            critical: check.critical,
            fails_report: check.fails_report,
            held: check.held,
            counts_at: check.counts_at.map(time),
            stale: check.stale,
            duration: check.duration.map(seconds),
            last_run: check.last_run.map(time),
            since: check.since.map(time),
            took: check.duration.map(brief),
            age: check.last_run.map(|at| ago(at, now)),
            for_how_long: check
                .since
                .map(|since| brief(now.duration_since(since).unwrap_or_default())),
            strip: Strip::of(&check.history),
            blocked_by: check.blocked_by.as_deref(),
            below_cause,
            parts: parts(&check.identifier),
            groups: &check.groups,
            labels: &check.labels,
            origin: check.origin.clone(),
            meters: check.observations.iter().filter_map(Meter::of).collect(),
            plot: Plot::of(&check.latency, now),
            link: (!RESERVED.contains(&check.identifier.as_str())).then(|| {
                format!(
                    "?only={}",
                    utf8_percent_encode(&check.identifier, NON_ALPHANUMERIC)
                )
            }),
            changes: check
                .changes
                .iter()
                .rev()
                .map(|change| Change::new(change, now))
                .collect(),
        }
    }
}

impl Change {
    fn new(change: &StatusChange, now: SystemTime) -> Self {
        let from = change.from;
        let to = change.to;
        Self {
            at: time(change.at),
            age: ago(change.at, now),
            from,
            to,
            tone: tone(to),
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.4} seconds", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceUnavailable;

    fn failed(name: &str, cause: Option<&str>) -> CheckReport {
        let mut row = CheckReport::failed(name, &ServiceUnavailable::new("m").into());
        row.blocked_by = cause.map(str::to_owned);
        row
    }

    /// Returns the names of the rows that fail, each with `true` if it is below its cause.
    fn failing(report: &Report) -> Vec<(&str, bool)> {
        sections(report)[0]
            .checks
            .iter()
            .map(|row| (row.identifier, row.below_cause))
            .collect()
    }

    #[test]
    fn what_blocks_most_comes_first_and_above_what_it_blocks() {
        let rows = [
            failed("cache", None),
            failed("a", Some("dns")),
            failed("b", Some("dns")),
            failed("dns", None),
        ];
        assert_eq!(
            failing(&Report::new(rows)),
            [("dns", false), ("a", true), ("b", true), ("cache", false)]
        );
    }

    #[test]
    fn nothing_stands_below_a_cause_that_is_elsewhere() {
        let mut dns = failed("dns", None);
        (dns.critical, dns.fails_report) = (false, false);
        assert_eq!(
            failing(&Report::new([failed("a", Some("dns")), dns])),
            [("a", false)]
        );
    }
}
