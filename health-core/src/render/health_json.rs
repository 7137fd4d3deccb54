use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::Serialize;

use super::Renderer;
use super::outcome::{Outcome, verdict};
use crate::{CheckReport, Report, Scope, Unit};

/// `health`: `application/health+json`, as defined by
/// [draft-inadarei-api-health-check-06](https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06).
///
/// `status` is `pass`, `warn` or `fail`: a problem that makes the service unhealthy is `fail`, any
/// other one `warn`. `checks` has a key for each check and, for each of its observations, a key
/// `{check}:{observation}`. A colon in a name becomes `_` in the key, where a colon is the
/// separator; `componentId` has the name as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct HealthJson;

impl Renderer for HealthJson {
    fn format(&self) -> &'static str {
        "health"
    }

    fn media_types(&self) -> &[&str] {
        &["application/health+json"]
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        let text = serde_json::to_string(&Response::from(report)).map_err(|_| fmt::Error)?;
        out.write_str(&text)
    }
}

/// The root object of the draft's section 3.
#[derive(Serialize)]
struct Response<'a> {
    status: Outcome,
    #[serde(rename = "releaseId", skip_serializing_if = "Option::is_none")]
    release_id: Option<&'a str>,
    #[serde(rename = "serviceId", skip_serializing_if = "Option::is_none")]
    service_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<BTreeMap<String, Vec<Details<'a>>>>,
}

/// An object of the draft's section 4.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    component_id: &'a str,
    component_type: &'static str,
    #[serde(flatten)]
    observation: Option<Observed>,
    status: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Observed {
    observed_value: f64,
    observed_unit: Unit,
}

impl<'a> From<&'a Report> for Response<'a> {
    fn from(report: &'a Report) -> Self {
        let status = Outcome::of_report(report);
        let has_no_checks = !report.redacted && report.checks.is_empty();
        let mut notes: Vec<&str> = report.notice.as_deref().into_iter().collect();
        notes.extend(has_no_checks.then_some("no checks"));
        Self {
            status,
            release_id: report.version.as_deref(),
            service_id: report.instance.as_deref(),
            notes,
            output: (status != Outcome::Pass).then(|| verdict(report)),
            checks: (!report.redacted).then(|| checks(report)),
        }
    }
}

fn checks(report: &Report) -> BTreeMap<String, Vec<Details<'_>>> {
    let mut checks: BTreeMap<String, Vec<Details<'_>>> = BTreeMap::new();
    let mut add = |key: String, component| checks.entry(key).or_default().push(component);
    for row in &report.checks {
        let key = part(&row.identifier);
        for seen in &row.observations {
            let observed = Observed {
                observed_value: seen.value,
                observed_unit: seen.unit,
            };
            add(
                format!("{key}:{}", part(&seen.name)),
                Details::new(row, Some(observed)),
            );
        }
        add(key, Details::new(row, None));
    }
    checks
}

impl<'a> Details<'a> {
    /// Creates the object of the check itself, or of one of its observations. Only the check itself
    /// says what is wrong.
    fn new(row: &'a CheckReport, observation: Option<Observed>) -> Self {
        let status = Outcome::of_row(row);
        let says = status != Outcome::Pass && observation.is_none();
        Self {
            component_id: &row.identifier,
            component_type: if row.scope == Scope::Instance {
                "system"
            } else {
                "component"
            },
            observation,
            status,
            time: row.last_run.map(time),
            output: says.then(|| row.pretty_status()),
        }
    }
}

/// Returns the name in the form that is allowed on either side of the colon of a key.
fn part(name: &str) -> String {
    name.replace(':', "_")
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
