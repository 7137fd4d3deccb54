use std::time::Duration;

use health_core::{
    Anonymous, CheckExt as _, GroupSettings, Health, HealthBuilder, ServiceUnavailable, Settings, Unit, check_fn_with,
};

use crate::{ManualClock, ScriptedCheck, Step};

/// The two services that an adapter's test application serves. The application has to have:
///
/// - a route `GET /` that answers with the framework's own state, which is the text `shop`;
/// - a route `GET /orders/{id}` that answers `order {id}`;
/// - [`first`](Self::first) at `/ht/` and at `/status/health/`, and at `/ht/` below a router, scope or path `/internal`;
/// - [`second`](Self::second) at `/other/`;
/// - a middleware of the framework around everything, which adds the header `x-app: shop` to every response.
#[derive(Debug, Clone)]
pub struct Site {
    /// The health that most cases read.
    pub first: Health,
    /// Another health, with other checks and groups.
    pub second: Health,
}

/// The state of the checks of a [`Site`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// All checks pass.
    Healthy,
    /// One check fails, one warns, and a non-critical one fails.
    Unhealthy,
    /// The same checks, shown only with the token `s3cret`. Without it, only the verdict of `batch` is shown.
    Token,
    /// The site has no checks.
    Empty,
}

impl Site {
    /// Creates a site. Its clocks do not move.
    pub fn new(setting: Setting) -> Self {
        let first = match setting {
            Setting::Healthy => checks(&[("cache", Step::Work), ("queue", Step::Work)]),
            Setting::Unhealthy => unhealthy(),
            Setting::Empty => Health::builder(),
            Setting::Token => unhealthy()
                .settings(Settings::default().token("s3cret"))
                .group("batch", GroupSettings::default().anonymous(Anonymous::Status)),
        };
        let second = checks(&[("ledger", Step::Warn("two entries are late"))]);
        let second = second.group("billing", GroupSettings::default());
        let second = second.check(ScriptedCheck::new("invoices").groups(["billing"]));
        Self { first: build(first), second: build(second) }
    }
}

fn unhealthy() -> HealthBuilder {
    let rows = [("cache", Step::Work), ("queue", Step::Fail("connection refused")), ("disk", Step::Warn("<91 %>"))];
    let observed = check_fn_with("größe", |findings| async move {
        findings.observe("used", 91.2, Unit::Percent);
        Err(ServiceUnavailable::new("Überlauf").into())
    });
    checks(&rows)
        .check(observed.non_critical())
        .group("batch", GroupSettings::default())
        .check(ScriptedCheck::new("nightly").groups(["batch"]))
}

fn checks(rows: &[(&str, Step)]) -> HealthBuilder {
    rows.iter().fold(Health::builder(), |builder, (identifier, step)| {
        let check = ScriptedCheck::new(identifier);
        check.script([step.clone()]);
        builder.check(check.ttl(Duration::from_hours(1)))
    })
}

fn build(builder: HealthBuilder) -> Health {
    builder.clock(ManualClock::default()).build().expect("the suite's checks can be built")
}
