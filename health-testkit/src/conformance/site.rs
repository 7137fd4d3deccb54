use std::time::Duration;

use health_core::{
    Anonymous, CheckExt as _, GroupSettings, Health, HealthBuilder, ServiceUnavailable, Settings, Unit, check_fn_with,
};

use crate::{ManualClock, ScriptedCheck, Step};

/// What an adapter's test application has to have:
///
/// - a route `GET /` that answers with the framework's own state, which is the text `shop`;
/// - a route `GET /orders/{id}` that answers `order {id}`;
/// - [`first`](Self::first) at `/ht/` and at `/status/health/`, and at `/ht/` below a router, scope or path `/internal`;
/// - [`second`](Self::second) at `/other/`;
/// - around it all, the framework's kind of middleware, which adds the header `x-app: shop` to every answer.
#[derive(Debug, Clone)]
pub struct Site {
    /// The health that most cases ask.
    pub first: Health,
    /// Another one, with other checks and groups.
    pub second: Health,
}

/// How the checks of a [`Site`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// All of them work.
    Healthy,
    /// There is a failure, a warning and one that does not count.
    Unhealthy,
    /// Shown to whoever has the token `s3cret`; strangers see the verdict of `batch`.
    Token,
    /// There are no checks.
    Empty,
}

impl Site {
    /// A site whose clocks stand still.
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
