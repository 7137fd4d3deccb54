use std::time::Duration;

use health_core::{
    Anonymous, CheckExt as _, Endpoint, GroupSettings, Health, HealthBuilder, ServiceUnavailable,
    Settings, Unit, check_fn_with,
};

use http::{HeaderName, HeaderValue};

use crate::{ManualClock, ScriptedCheck, Step};

/// The two services that an adapter's test application serves. The application has to have:
///
/// - a route `GET /` that answers with the framework's own state, which is the text `shop`;
/// - a route `GET /orders/{id}` that answers `order {id}`;
/// - [`first`](Self::first) at `/ht/` and at `/status/health/`, and at `/ht/` below a router, scope
///   or path `/internal`;
/// - [`second`](Self::second) at `/other/`;
/// - the endpoint [`public`](Self::public), mounted as it is, and the probes of
///   [`first`](Self::first);
/// - a route `GET /checks` that answers with the number of checks of [`first`](Self::first), which
///   the handler extracts in the way of the framework;
/// - a middleware of the framework around everything, which adds the header `x-app: shop` to every
///   response.
#[derive(Debug, Clone)]
pub struct Site {
    /// The health that most cases read.
    pub first: Health,
    /// Another health, with other checks and groups.
    pub second: Health,
    /// An endpoint of [`first`](Self::first) with its own policy, at `/public/`.
    pub public: Endpoint,
}

/// The state of the checks of a [`Site`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// All checks pass.
    Healthy,
    /// One check fails, one warns, and a non-critical one fails.
    Unhealthy,
    /// The same checks, shown only with the token `s3cret`. Without it, only the verdict of `batch`
    /// is shown.
    Token,
    /// The site has no checks.
    Empty,
    /// One check has never finished, and one is running again after it has worked once.
    Pending,
}

impl Site {
    /// Creates a site. Its clocks do not move.
    ///
    /// # Panics
    /// Panics if the system can't start a thread or a runtime.
    pub fn new(setting: Setting) -> Self {
        let first = match setting {
            Setting::Healthy => checks(&[("cache", Step::Work), ("queue", Step::Work)]),
            Setting::Unhealthy => unhealthy(),
            Setting::Empty => Health::builder(),
            Setting::Pending => pending(),
            Setting::Token => unhealthy()
                .settings(Settings::default().token("s3cret"))
                .group(
                    "batch",
                    GroupSettings::default().anonymous(Anonymous::Status),
                ),
        };
        let second = checks(&[("ledger", Step::Warn("two entries are late"))]);
        let second = second.group("billing", GroupSettings::default());
        let second = second.check(ScriptedCheck::new("invoices").groups(["billing"]));
        let first = build(first);
        let second = build(second);
        if setting == Setting::Pending {
            read_once(&first);
        }
        let public = Endpoint::builder(first.clone())
            .path("/public/")
            .without_token()
            .anonymous(Anonymous::Status)
            .formats(["json", "text"])
            .unhealthy_status(503)
            .degraded_status(207)
            .header(
                HeaderName::from_static("x-robots-tag"),
                HeaderValue::from_static("noindex"),
            )
            .build();
        Self {
            first,
            second,
            public: public.expect("the suite's endpoint can be built"),
        }
    }
}

fn pending() -> HealthBuilder {
    let old = ScriptedCheck::new("old");
    let new = ScriptedCheck::new("new");
    new.script([Step::Hang]);
    old.script([Step::Work, Step::Hang]);
    let budget = Duration::from_millis(30);
    let settings = Settings::default().budget(budget).probe_budget(budget);
    Health::builder()
        .settings(settings)
        .check(new)
        .check(old.ttl(Duration::ZERO))
}

/// Reads all checks, on a thread of its own, because the caller may be within a runtime.
fn read_once(health: &Health) {
    let health = health.clone();
    let read = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime can be built")
            .block_on(health.report())
    };
    let report = std::thread::spawn(read).join();
    drop(report.expect("a read does not panic"));
}

fn unhealthy() -> HealthBuilder {
    let rows = [
        ("cache", Step::Work),
        ("queue", Step::Fail("connection refused")),
        ("disk", Step::Warn("<91 %>")),
    ];
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
    rows.iter()
        .fold(Health::builder(), |builder, (identifier, step)| {
            let check = ScriptedCheck::new(identifier);
            check.script([step.clone()]);
            builder.check(check.ttl(Duration::from_secs(3600)))
        })
}

fn build(builder: HealthBuilder) -> Health {
    builder
        .clock(ManualClock::default())
        .build()
        .expect("the suite's checks can be built")
}
